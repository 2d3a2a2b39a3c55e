--- How long a function lets its thread sleep: without what it computes, and without what it waits for a processor, so
--- that a busy machine does not make it longer.

local race = require "closerace"

--- In milliseconds: how long this thread has run, and has waited for a processor.
local function awake_ms()
  local file <close> = assert(io.open "/proc/thread-self/schedstat")
  return (file:read "n" + file:read "n") / 1e6
end

return function(f)
  local start, awake = race.now_ms(), awake_ms()
  f()
  return (race.now_ms() - start) - (awake_ms() - awake)
end
