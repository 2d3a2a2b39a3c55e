-- A million cells in a row, in one process: its memory stays flat, no descriptor is leaked, no port runs out.
local race = require "closerace"

local CELLS = tonumber(os.getenv "CELLS") or 1000000

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local pid = read "/proc/self/stat":match "%d+"

local function now()
  local n = 0
  for _ in io.popen(("ls /proc/%s/fd"):format(pid)):lines() do n = n + 1 end
  return {
    rss_kb = tonumber(read "/proc/self/status":match "VmRSS:%s+(%d+)"),
    descriptors = n,
    time_wait = tonumber(read "/proc/net/sockstat":match "TCP: .- tw (%d+)"),
  }
end

local matrix = race.matrix()
local played, start, first, last = 0, race.now_ms(), nil, nil
while played < CELLS do
  for row in matrix:rows() do
    assert(row.state == "ok" or row.state == "skipped", row.cell)
    played = played + 1
  end
  collectgarbage()
  last = now()
  -- By then everything has found its size.
  if not first and played >= CELLS / 20 then first = last end
  io.stderr:write(("%d cells, %.0f/s, RSS %d kB, %d descriptors, %d in TIME_WAIT\n"):format(
    played, played / (race.now_ms() - start) * 1000, last.rss_kb, last.descriptors, last.time_wait))
end

print(("%d cells in %.0f s"):format(played, (race.now_ms() - start) / 1000))
print(("RSS %d kB at first, %d kB at last; descriptors %d, %d"):format(
  first.rss_kb, last.rss_kb, first.descriptors, last.descriptors))
assert(last.descriptors == first.descriptors, "descriptors are leaked")
assert(last.rss_kb <= first.rss_kb + 1024, "memory is leaked")
