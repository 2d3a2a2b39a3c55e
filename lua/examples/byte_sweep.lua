-- Reset the connection after every single byte of a POST, then of its response; one lab per byte.
local race = require "closerace"

local ORDER = { method = "POST", path = "/order", id = "o1", body = ("x"):rep(64) }

local function run(faults)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = faults }
  local client  = lab:client { to = lab:proxy { to = backend } }

  client:request { path = "/warm" }
  local conn = backend:conn(1)
  local received, sent = conn.received, conn.sent
  client:request(ORDER)
  return lab:verdict "o1", conn.received - received, conn.sent - sent
end

local clean, request_size, response_size = run {}    -- no fault: measure, do not assume
assert(clean.name == "clean")

local function sweep(point, size, wanted)
  local tally = race.tally(point)
  for byte = 1, size - 1 do
    local verdict = run { { conn = 1, request = 2, on = point, at = byte, close = "rst" } }
    tally:add(byte, verdict)
    assert(verdict.name == wanted, ("%s %d: %s"):format(point, byte, verdict))
  end
  print(tally)
end

sweep("request_byte", request_size, "refused")       -- read in part: never executed, never repeated
sweep("response_byte", response_size, "ghost")       -- executed once; the client is told, or cut off
