-- The same moment, but a reset: not one byte of the POST left, so another connection is no retry (R7).
local race = require "closerace"

local lab <close> = race.lab()
local backend = lab:backend()
local proxy   = lab:proxy { to = backend, retry = "never" }
local client  = lab:client { to = proxy }

client:request { path = "/warm" }

proxy:hold "sending"
local post = client:start { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
proxy:wait "sending"
backend:conn(1):close "rst"
proxy:release "sending"

print(post:wait(), lab:verdict "p1")
for _, try in ipairs(proxy:attempts "p1") do
  print(try.reused and "reused" or "fresh", try.sent .. " bytes sent", try.error or "no error", try.action, try.why)
end

assert(lab:verdict("p1").name == "clean", "even retry = 'never' allows another connection here")
assert(proxy:attempts("p1")[1].sent == 0)
