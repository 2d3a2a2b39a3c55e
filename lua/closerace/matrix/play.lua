--- How often a cell is played on a stage, and the row that comes of it.  closerace matrix and closerace trial play it
-- in this one way.

local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local count_of = require "closerace.count"
local row = require "closerace.matrix.row"

local play = {}

--- How often a cell is played in which a program may look at two things in either order.
local UNDECIDED_TIMES = 8

--- Are request and close queued before the system looks, so that it decides which it takes first?
function play.is_queued(cell)
  return cell.order.name == "close-first" or cell.order.name == "request-first"
end

--- Play a cell until another outcome than the first one comes, at most so many times.
-- @return the row of the first time, which says so where another one differed; nil where it has to wait
local function play_times(once, times)
  local first = once()
  for time = 2, first and times or 1 do
    local r = once()
    if not r then return nil end
    if not row.are_same(first, r) then
      first.state = "varied"
      first.why = ("at first: %s; the %d. time: %s"):format(row.signature(first), time, row.signature(r))
      break
    end
  end
  return first
end

--- Play a cell that an external program decides as it likes.
-- @return the row of the first time, and what came how often, where not always the same did; nil where it has to wait
local function play_undecided(once)
  local list, counts, first = {}, {}, nil
  for _ = 1, UNDECIDED_TIMES do
    local r = once()
    if not r then return nil end
    first = first or r
    local outcome = ("%s, told %s, attempts %d"):format(r.verdict, r.told, r.attempts)
    if not counts[outcome] then list[#list + 1] = outcome end
    counts[outcome] = (counts[outcome] or 0) + 1
  end
  if #list == 1 then return first end
  table.sort(list)
  for i, outcome in ipairs(list) do list[i] = ("%s %s"):format(count_of(counts[outcome], "time"), outcome) end
  return first, table.concat(list, "; ")
end

--- Play a cell so many times; more often, and otherwise reported, where an external program decides it.
-- @param n      which cell it is; nil: it stands alone
-- @param times  default 1
-- @return its row; nil where it has to wait, and the stage is quick
function play.row(stage, cell, n, times)
  local system = stage.system
  local lack = stage:lacks(cell)
  if lack then return row.unplayed(cell, n, system.name, "skipped", lack) end
  local function once()
    local start = core.now_ms()
    local facts = stage:play(cell)
    if not facts then return nil end
    local r = row.played(cell, n, system.name, facts)
    r.ms = core.now_ms() - start
    return r
  end
  -- Queued, or read by one thread and sent by another.
  local is_free = not system.is_ours and (play.is_queued(cell) or axes.is_refused_upload(cell))
  if not is_free then return play_times(once, times or 1) end
  local first, counts = play_undecided(once)
  return counts and row.unplayed(cell, n, system.name, "undecided", counts) or first
end

return play
