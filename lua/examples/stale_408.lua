-- A backend times out an idle connection and says so: 408, then FIN.  The 408 crosses a request, and it is not its
-- answer: nothing of that was received, so it may be sent again, whatever its method (RFC 9110 15.5.9).
local race = require "closerace"

local STALE = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

local function cross(request)
  local lab <close> = race.lab()
  local backend = lab:backend()
  local proxy   = lab:proxy { to = backend }
  local client  = lab:client { to = proxy }

  client:request { path = "/warm" }

  proxy:hold "sending"
  local victim = client:start(request)
  proxy:wait "sending"
  backend:conn(1):close("fin", { say = STALE })
  proxy:release "sending"

  local reply = victim:wait()
  local verdict, first = lab:verdict(request.id), proxy:attempts(request.id)[1]
  print(request.method, reply, verdict, first.action .. ": " .. first.why)
  return reply, verdict
end

local reply, verdict = cross { method = "GET", path = "/item", id = "g1" }
assert(reply.status == 200 and verdict.name == "clean")

reply, verdict = cross { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
assert(reply.status == 200, "not 408: nothing timed out while this request was read")
assert(verdict.name == "clean")

-- While nobody uses the connection, anything that it says retires it.
local lab <close> = race.lab()
local backend = lab:backend { faults = { { conn = 1, request = 1, on = "idle", close = "fin", say = STALE } } }
local proxy   = lab:proxy { to = backend }
local client  = lab:client { to = proxy }
client:request { path = "/warm" }
assert(#proxy:pool() == 0, "the connection that spoke out of turn is gone")
assert(client:request { path = "/item", id = "g2" }.status == 200)
assert(lab:verdict("g2").order == "settled")
