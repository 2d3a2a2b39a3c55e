-- Node closes an idle connection at the moment the proxy sends a POST over it.
local race = require "closerace"
local node = race.need "node"                   -- not installed: skipped

local lab <close> = race.lab { deadline_ms = 60000 }
local server = lab:sut { argv = { node, "-e", [[
  const server = require("http").createServer((request, response) => {
    request.resume();
    response.end("hi");
    if (request.url === "/tidy") server.closeIdleConnections();   // as keepAliveTimeout does, but when we say so
  });
  server.keepAliveTimeout = 0;
  server.listen(process.argv[1], "127.0.0.1");
]], "$LISTEN_PORT" } }
local backend = lab:backend { upstream = server.address }
local client  = lab:client { to = lab:proxy { to = backend } }

client:request { path = "/warm" }               -- leaves one idle connection in the pool
local conn = backend:conn(1)
conn:hold "reading"
conn:hold "sending"
lab:client { to = server }:request { path = "/tidy" }
conn:wait_server_end()                          -- Node's FIN has come, and goes no further

local post = client:start { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
conn:wait_arrival()                             -- the proxy took the connection for alive
conn:release()

local reply, verdict = post:wait(), lab:verdict "p1"
print(reply, verdict, verdict.order)
assert(verdict.reached and verdict.order == "crossing" and verdict.name == "refused")
