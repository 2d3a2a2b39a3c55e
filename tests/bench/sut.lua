--- What a cell costs through a program that nobody here wrote: HAProxy, one worker, cells that need no time to go by.
--
--   build/closerace run tests/bench/sut.lua
--
-- The floor of the same run is our own proxy in the lab, the same cells.  VTest takes 61 ms for a test with HAProxy.

local race = require "closerace"

local ROUNDS = 3
local SYSTEM = os.getenv "SUT" or "haproxy:always"
local AXES = { order = "settled,crossing,caused", ending = "fin,rst,half,plain,408+fin,200+fin,413+plain",
               client = "first,later" }

local function matrix(more)
  local options = {}
  for name, value in pairs(AXES) do options[name] = value end
  for name, value in pairs(more) do options[name] = value end
  return race.matrix(options)
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

--- Milliseconds of the cell in the middle, of the slowest of a hundred, and of all.
local function measure(a_matrix)
  local list, start = {}, race.now_ms()
  for r in a_matrix:rows() do
    assert(r.ms, r.why)
    list[#list + 1] = r.ms
  end
  local all = race.now_ms() - start
  table.sort(list)
  return median(list), list[#list * 99 // 100], all / #list, #list
end

race.need "haproxy"
local best = {}
for i, system in ipairs { { "our own proxy", matrix {} }, { SYSTEM, matrix { sut = SYSTEM } } } do
  best[i] = math.huge
  for _ = 1, ROUNDS do
    local mid, slow, mean, n = measure(system[2])
    best[i] = math.min(best[i], mid)
    print(("%-16s median %.3f ms a cell, 99 of 100 below %.3f ms; %.3f ms each in all, with the start (%d cells)")
      :format(system[1], mid, slow, mean, n))
  end
end
print(("%-16s %.1f times as much as our own proxy, by the best medians"):format(SYSTEM, best[2] / best[1]))
