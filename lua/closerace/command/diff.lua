--- closerace diff: what changed from one baseline to another.

local arguments = require "closerace.command.arguments"
local paint = require "closerace.paint"
local plain = require "closerace.plain"
local row = require "closerace.matrix.row"
local rows = require "closerace.command.rows"

local USAGE = [[
usage: closerace diff [OPTION]… OLD NEW

Compares two runs of the matrix (closerace matrix --save FILE, or --format
jsonl) cell by cell, and shows those whose outcome changed.  Where a file has
the rows of several systems, each is compared with the one of the same name.

  worse      the client fares worse, a rule is broken, or the cell failed
  better     the opposite
  avoided    the race took place in OLD, and can no longer take place in NEW
  changed    neither: a field of the row differs

A cell that only one of the runs could judge, for want of a capability, is
counted and not compared.

  --common   ignore cells that only one of them has
  --quiet    the summary only
  --help     this text

exit status: 0 nothing got worse; 1 a cell got worse, or is missing in NEW;
2 wrong usage
]]

-- What a verdict does to the client, the least first; `twice` depends on what it was told.
local harm_of = { clean = 0, refused = 2, ghost = 3, hung = 4, phantom = 5, garbled = 6 }

local function harm(r)
  if r.state == "failed" then return 600 end
  if r.state == "not reached" or r.state == "undecided" then return 50 end
  local verdict = harm_of[r.verdict] or (tostring(r.told):find "^2" and 1 or 3)
  return verdict + (r.violation and 1000 or 0) + (r.state == "varied" and 500 or 0) + (r.advice and 100 or 0)
end

--- In a few words: "twice, told 200, attempts 2, violation R2".
local function outcome(r)
  if not r.verdict then return ("%s: %s"):format(r.state, r.why) end
  local text = ("%s, told %s, attempts %d"):format(r.verdict, r.told, r.attempts)
  if r.violation or r.advice then text = ("%s, %s %s"):format(text, r.violation and "violation" or "advice", r.rule) end
  if r.next and r.next ~= "clean" then
    text = ("%s; then %s, told %s, attempts %d"):format(text, r.next, r.next_told, r.next_attempts)
  end
  return r.state == "not reached" and ("%s (not reached: %s)"):format(text, r.why) or text
end

--- What is compared; the rows themselves are not kept.
local function digest(r)
  return {
    state = r.state, why = r.why, unseen = r.unseen, violation = r.violation, signature = row.signature(r),
    harm = harm(r), outcome = outcome(r),
  }
end

local UNSEEN = "without CAP_NET_RAW it cannot be seen what was sent to a connection that was gone"

--- Why two rows cannot be compared; nil where they can.
local function incomparable(a, b)
  if a.state == "skipped" and b.state == "skipped" then return nil end
  if a.state == "skipped" or b.state == "skipped" then
    local which, one = "NEW", b
    if a.state == "skipped" then which, one = "OLD", a end
    return ("skipped in %s: %s"):format(which, one.why)
  end
  -- One that is known to be broken is, whatever was not seen.
  if a.unseen ~= b.unseen and not b.violation then
    return ("unseen in %s: %s"):format(a.unseen and "OLD" or "NEW", UNSEEN)
  end
end

local function took_place(one)
  return one.state == "ok" or one.state == "advice" or one.state == "broken" or one.state == "varied"
end

local function kind_of(a, b)
  if took_place(a) and b.state == "not reached" then return "avoided" end
  return b.harm > a.harm and "worse" or b.harm < a.harm and "better" or "changed"
end

--- What changed, in words: the outcome, or else the fields that differ.
local function change(a, b)
  if a.outcome ~= b.outcome then return ("%s  ->  %s"):format(a.outcome, b.outcome) end
  local changes, parts = {}, {}
  for name, value in (b.signature .. ","):gmatch "([%w_]+) (.-)," do parts[name] = value end
  for name, value in (a.signature .. ","):gmatch "([%w_]+) (.-)," do
    if parts[name] ~= value then changes[#changes + 1] = ("%s %s  ->  %s"):format(name, value, parts[name]) end
  end
  if a.state ~= b.state then table.insert(changes, 1, ("%s  ->  %s"):format(a.state, b.state)) end
  return ("%s; %s"):format(a.outcome, table.concat(changes, ", "))
end

--- A file's rows: for each system, by cell; and all of them in their order.
local function read_all(path)
  local all = { systems = {}, list = {} }
  for r in rows.read(path) do
    local name = r.system or "unknown"
    local cells = all[name]
    if not cells then
      cells = {}
      all[name], all.systems[#all.systems + 1] = cells, name
    end
    if not cells[r.cell] then all.list[#all.list + 1] = { system = name, cell = r.cell } end
    cells[r.cell] = digest(r)
  end
  return all
end

--- A system is compared with the one of its name; but where each file has a single one, with that.
local function counterpart(all, other, name)
  if #all.systems == 1 and #other.systems == 1 then return other[other.systems[1]] end
  return other[name] or {}
end

local function compare(old_path, new_path, run)
  local counts = { same = 0, worse = 0, better = 0, avoided = 0, changed = 0, added = 0, gone = 0 }
  local missing = {}
  local old, new = read_all(old_path), read_all(new_path)
  local has_several = #old.systems > 1 or #new.systems > 1
  local function say(kind, colour, one, text)
    counts[kind] = counts[kind] + 1
    if run.quiet then return end
    local where = has_several and ("%s: %s"):format(one.system, one.cell) or one.cell
    print(("%s %s\n         %s"):format(paint.text(("%-8s"):format(kind), colour), where, text))
  end
  for _, one in ipairs(old.list) do
    local a, b = old[one.system][one.cell], counterpart(old, new, one.system)[one.cell]
    local why = b and incomparable(a, b)
    if why then
      if not missing[why] then missing[#missing + 1] = why end
      missing[why] = (missing[why] or 0) + 1
    elseif b and a.state == b.state and a.signature == b.signature then
      counts.same = counts.same + 1
    elseif b then
      local kind = kind_of(a, b)
      say(kind, kind == "worse" and "red" or kind ~= "changed" and "green" or nil, one, change(a, b))
    elseif not run.common then
      say("gone", "red", one, "it was: " .. a.outcome)
    end
  end
  for _, one in ipairs(new.list) do
    local is_new = not counterpart(new, old, one.system)[one.cell]
    if is_new and not run.common then counts.added = counts.added + 1 end
  end
  table.sort(missing)
  for _, why in ipairs(missing) do print(("%d not compared, %s"):format(missing[why], why)) end
  print(("%d worse, %d better, %d avoided, %d changed otherwise, %d gone, %d new, %d the same"):format(
    counts.worse, counts.better, counts.avoided, counts.changed, counts.gone, counts.added, counts.same))
  return counts.worse + counts.gone > 0 and 1 or 0
end

return function(args)
  local run = {}
  local spec = {
    { name = "common", set = function() run.common = true end },
    { name = "quiet", short = "q", set = function() run.quiet = true end },
    { name = "help", short = "h", set = function() run.help = true end },
  }
  local rest, why = arguments.parse("closerace diff", args, spec)
  if rest and run.help then
    io.write(USAGE)
    return 0
  end
  if rest and #rest ~= 2 then why = ("closerace diff: expected OLD and NEW, got %d files"):format(#rest) end
  if why then
    io.stderr:write(why, "\n")
    return 2
  end
  local good, status = pcall(compare, rest[1], rest[2], run)
  if good then return status end
  io.stderr:write("closerace diff: ", plain(status), "\n")
  return 2
end
