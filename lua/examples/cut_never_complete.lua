-- Once a byte of a response was received nothing is retried, and a cut response must not look complete (R5).
local race = require "closerace"

local function cut(path, ending)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = { { conn = 1, request = 2, on = "response_byte", at = 300, close = ending } } }
  local client = lab:client { to = lab:proxy { to = backend } }

  client:request { path = "/warm" }
  local reply = client:request { path = path, id = "c1" }
  local verdict = lab:verdict "c1"
  print(("%-14s %-4s %s after %d bytes of body, %s"):format(path, ending, reply, #reply.body, verdict))
  return reply, verdict
end

for _, path in ipairs { "/bytes/1000", "/chunked/1000" } do
  for _, ending in ipairs { "fin", "rst" } do
    local reply, verdict = cut(path, ending)
    assert(not reply.complete, "the client must see that something is missing")
    assert(verdict.name == "ghost" and verdict.attempts == 1)
  end
end
