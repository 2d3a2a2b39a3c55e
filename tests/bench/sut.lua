--- What a cell costs through a program that nobody here wrote: HAProxy, one worker, cells that need no time to go by.
--
--   build/closerace run tests/bench/sut.lua
--
-- The floor is our own proxy in the lab, the same cells, in the same round: the machine may move by half from one round
-- to the next.  VTest takes 61 ms for a test with HAProxy.

local race = require "closerace"

local ROUNDS = 5
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
local systems = { { name = "our own proxy", matrix = matrix {} }, { name = SYSTEM, matrix = matrix { sut = SYSTEM } } }
local mids, ratios = {}, {}
for i = 1, ROUNDS do
  local round = {}
  for k, system in ipairs(systems) do
    local mid, slow, mean, n = measure(system.matrix)
    round[k] = mid
    print(("%-16s median %.3f ms a cell, 99 of 100 below %.3f ms; %.3f ms each in all, with the start (%d cells)")
      :format(system.name, mid, slow, mean, n))
  end
  mids[i], ratios[i] = round[2], round[2] / round[1]
end
print(("%-16s %.3f ms a cell, %.1f times the floor: the middle of %d rounds"):format(
  SYSTEM, median(mids), median(ratios), ROUNDS))
