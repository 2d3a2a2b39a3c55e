-- Once a byte of a response was received nothing is retried, and a cut response must not look complete (R5).
local race = require "closerace"

local function cut(path, at, ending)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = { { conn = 1, request = 2, on = "response_byte", at = at, close = ending } } }
  local client = lab:client { to = lab:proxy { to = backend } }

  client:request { path = "/warm" }
  local reply = client:request { path = path, id = "c1" }
  local verdict = lab:verdict "c1"
  print(("%-15s cut at %-6d by %s: %s, %d bytes of body, %s"):format(path, at, ending, reply, #reply.body, verdict))
  return reply, verdict
end

for _, path in ipairs { "/bytes/200000", "/chunked/200000" } do
  for _, ending in ipairs { "fin", "rst" } do
    -- Nothing has reached the client yet: it can still be told.
    local reply, verdict = cut(path, 9, ending)
    assert(reply.status == 502)
    assert(verdict.name == "ghost" and verdict.attempts == 1)

    -- Half of it has: the client must see that something is missing.
    reply, verdict = cut(path, 150000, ending)
    assert(reply.status == 200 and reply.truncated and not reply.complete)
    assert(verdict.name == "ghost" and verdict.attempts == 1)
  end
end
