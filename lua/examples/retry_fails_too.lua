-- The retry fails too, later in the exchange than the first attempt did.  It is not repeated (R4, R5).
local race = require "closerace"

local function run(faults)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = faults }
  local proxy  = lab:proxy { to = backend, retry = "idempotent", retries = 3 }
  local client = lab:client { to = proxy }

  client:request { path = "/warm" }
  local reply = client:request { path = "/item", id = "g1" }

  for i, try in ipairs(proxy:attempts "g1") do
    print(i, try.reused and "reused" or "fresh", try.sent, try.received, try.error or "fin", try.action, try.why)
  end
  return reply, lab:verdict "g1"
end

-- A byte of the response has come back: retries are left, but nothing may be repeated any more.
local reply, verdict = run {
  { conn = 1, request = 2, on = "request_end", close = "fin" },
  { conn = 2, request = 1, on = "response_byte", at = 9, close = "rst" },
}
print(reply, verdict)
assert(verdict.name == "ghost" and verdict.attempts == 2)

-- Executed, not answered: the GET is sent again until its three retries are used up.
reply, verdict = run { { id = "g1", on = "executed", close = "fin", times = 4 } }
print(reply, verdict)
assert(reply.status == 502)
assert(verdict.name == "twice" and verdict.attempts == 4, verdict)
