-- How many cells of the matrix are played in a second, beside the floor: a bare C loop that makes the same connections,
-- sends and closes (floor.c); with WORKERS=2, two workers beside one.  Both in turns, so that a machine whose speed
-- drifts does so for both; the ratio is the median of the rounds'.
local race = require "closerace"
local stages = require "closerace.matrix.stage"

local ROUNDS = tonumber(os.getenv "ROUNDS") or 9
local FLOOR = (os.getenv "CLOSERACE_BUILD" or "build") .. "/bench/floor"

-- ------------------------------------------------------------------ what the floor does --

local letters = { client = "c", session = "s", upstream = "u", conn = "b" }
local verbs = {
  connect = "o", opened = "o", accepted = "a", sent = "w", received = "r", discarded = "r", eof = "r", reset = "r",
  ended = "e", closed = "x",
}

--- A cell's timeline as words for the floor.
local function words_of(trace)
  local words, client = {}, 0
  for _, e in ipairs(trace) do
    local who, verb = letters[e.who], verbs[e.what]
    if e.what == "connect" then client = client + 1 end
    if e.who == "session" and verb == "o" then verb = "a" end
    if verb then
      local tail = (verb == "w" or verb == "r") and e.bytes or verb == "e" and e.text:match "^%a+"
      local n = e.who == "client" and client or e.n
      words[#words + 1] = ("%s%s%d%s"):format(verb, who, n, tail and ":" .. tail or "")
    end
  end
  return table.concat(words, " ")
end

local function write_script(path, matrix)
  local file = assert(io.open(path, "w"))
  local stage <close> = stages.open { system = matrix.system, timeline = true, sizes = matrix.sizes }
  for _, cell in matrix.plan:cells() do
    if not stage:lacks(cell) then
      stage:play(cell)
      file:write(words_of(stage:trace()), "\n")
    end
  end
  file:close()
end

local function floor_us(script)
  local pipe = assert(io.popen(("%s %s 1"):format(FLOOR, script)))
  local us = tonumber(pipe:read "a")
  assert(pipe:close() and us, "the floor has failed")
  return us
end

-- ------------------------------------------------------------------------- measuring --

local function matrix_us(matrix)
  local start, n = race.now_ms(), 0
  for r in matrix:rows() do
    assert(not r.violation, r.cell)
    n = n + 1
  end
  return (race.now_ms() - start) * 1000 / n
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function line(name, list, more)
  local mid = median(list)
  print(("%-24s %7.1f us a cell  %7.0f cells/s  %s"):format(name, mid, 1e6 / mid, more))
end

local one, two = race.matrix {}, race.matrix { jobs = 2 }

--- The floor and one worker.  Both are to have the same processor (the Makefile's taskset): two may differ.
local function against_floor()
  local script = os.tmpname()
  write_script(script, one)
  local floor, matrix, ratio = {}, {}, {}
  for i = 1, ROUNDS do
    floor[i], matrix[i] = floor_us(script), matrix_us(one)
    ratio[i] = floor[i] / matrix[i]
  end
  os.remove(script)
  line("the floor", floor, ("%d cells, median of %d rounds"):format(#one, ROUNDS))
  line("the matrix, one worker", matrix, ("%.2f x the floor's rate"):format(median(ratio)))
end

--- One worker and two, on all processors.
local function against_one()
  local matrix, workers, ratio = {}, {}, {}
  for i = 1, ROUNDS do
    matrix[i], workers[i] = matrix_us(one), matrix_us(two)
    ratio[i] = matrix[i] / workers[i]
  end
  line("one worker", matrix, "on any processor")
  line("two workers", workers, ("%.2f x one worker's rate"):format(median(ratio)))
end

if os.getenv "WORKERS" == "2" then against_one() else against_floor() end
