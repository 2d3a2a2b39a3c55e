--- closerace trial: one cell of the matrix again, with its whole timeline.

local arguments = require "closerace.command.arguments"
local core = require "closerace.core"
local trouble = require "closerace.trouble"
local count_of = require "closerace.count"
local fold = require "closerace.fold"
local judge = require "closerace.matrix.judge"
local paint = require "closerace.paint"
local playing = require "closerace.matrix.play"
local planning = require "closerace.matrix.plan"
local row = require "closerace.matrix.row"
local stages = require "closerace.matrix.stage"
local system = require "closerace.command.system"

local USAGE = [[
usage: closerace trial [OPTION]… CELL

Plays one cell of the matrix and shows what the client, the proxy and the
backend did, what became of the request, and what the rules say to it.  CELL is
as the matrix prints it, such as post-small/reused/arrival/rst/crossing/none/cl.
The line where the connection's end decides the race is marked with >.

  --all    what went before the request, too: what warmed its connection
  --json   the row alone, as a line of JSON
  --help   this text

the system under test
%s

exit status: 0 all held; 1 a violation; 2 wrong usage; 77 it cannot be played
here; 130 interrupted
]]

local who = { client = "client", session = "proxy", upstream = "proxy", conn = "backend" }

--- Who that is, and which part of it: "gate, conn" is the gate's.
local function name_of(entry)
  local of, part = entry.who:match "^(.*), (.*)$"
  return of or who[entry.who] or entry.who, ("%s %d"):format(part or entry.who, entry.n)
end

--- Where the victim is sent for the first time; 1 where nobody can tell.
local function first_of_victim(trace, cell)
  local start = cell.request.method .. " "
  for i, entry in ipairs(trace) do
    local is_request = (entry.who == "client" and (entry.what == "sent" or entry.what == "watch"))
    if is_request and not entry.text:find("/warm", 1, true)
      and (entry.what == "watch" or entry.text:sub(1, #start) == start) then
      return i
    end
  end
  return 1
end

--- The end of a connection that decided the race: the first since the victim was sent, unless an idle one was ended
-- before it.  (What ends at its response's end before is not the race's: it only prepares it.)
local function decisive(trace, from)
  for i, entry in ipairs(trace) do
    if entry.who == "conn" and entry.what == "ended" and (i >= from or not entry.text:find "response_end") then
      return i
    end
  end
end

-- A line's text begins there.
local TEXT_AT = 47

local function show_entry(entry, mark)
  local what = entry.what
  local actor, part = name_of(entry)
  if entry.bytes > 0 then what = ("%s %d B"):format(what, entry.bytes) end
  local line = ("%s%5d ms  %-8s %-11s %-15s "):format(mark and ">" or " ", entry.time_ms, actor, part, what)
  line = fold.text(line, entry.text, TEXT_AT, paint.columns):gsub(" +$", "")
  print(mark and paint.text(line, "bold") or line)
end

--- Show it all, or from where the victim is sent, or its connection ended.
local function show_timeline(trace, cell, shows_all)
  local from = first_of_victim(trace, cell)
  local marked = decisive(trace, from)
  from = shows_all and 1 or math.min(from, marked or from)
  if from > 1 then print(("         … %s before (--all shows them)"):format(count_of(from - 1, "event"))) end
  for i = from, #trace do show_entry(trace[i], i == marked) end
end

local function describe(cell, r)
  local request = cell.request
  local body = request.body and ("%s of body%s"):format(count_of(#request.body, "byte"),
    request.chunked and ", chunked" or "") or "no body"
  local function say(text) print(fold.text("", text, 2, paint.columns)) end
  print(paint.text(cell.id, "bold"))
  say(("the client sends a %s with %s; its connection to the backend is %s"):format(
    request.method, body, cell.connection.name))
  say(("the backend ends that at %s%s by %s; order: %s; second fault: %s; response: %s"):format(
    cell.point.name, r.at and (", byte %d"):format(r.at) or "", cell.ending.name, cell.order.name, cell.second.name,
    cell.response.name))
  print ""
end

local colours = { violation = "red", advice = "yellow", permitted = "yellow" }

--- A title and a text, folded behind it.
local function say(title, text, colour)
  local line = fold.text(("%-8s "):format(title), text, 9, paint.columns)
  print(colour and paint.text(line, colour) or line)
end

local function show_findings(findings, by_whom)
  for _, name in ipairs(judge.names) do
    local finding = findings[name]
    if finding then
      local rule = judge.rules[name]
      local weight = judge.weight(name, finding) or finding
      say(name, ("%s%s: %s (%s)"):format(weight, by_whom, rule.says, rule.source), colours[weight])
    end
  end
end

local function show_judgement(r)
  print ""
  if not r.verdict then
    say(r.state, r.why)
    return
  end
  say("verdict", ("%s: executed %d, %s on %s, the client was told %s"):format(r.verdict, r.executed,
    count_of(r.attempts, "attempt"), count_of(r.connections, "connection"), r.told))
  say("race", r.decided .. (r.why and " (not reached: " .. r.why .. ")" or ""))
  if r.next then
    say("next", ("the client's next request: %s, told %s, attempts %d"):format(r.next, r.next_told, r.next_attempts))
  end
  if r.reason then say(r.next and "proxy" or "client", "it said: " .. r.reason) end
  show_findings(r.rules, "")
  show_findings(r.next_rules, ", by the next request")
  if not next(r.rules) and not next(r.next_rules) then say("rules", "all were kept") end
end

-- What a verdict means to whoever sent the request.
local meanings = {}
for _, verdict in ipairs(core.words().verdicts) do meanings[verdict.word] = verdict.meaning end

--- What the rules say, in a few words.
local function judgement_of(r)
  if not (r.violation or r.advice) then return "no rule is broken" end
  local by_whom = r.rules[r.rule] == "broken" and "" or " by the client's next request"
  return ("%s %s is not kept%s"):format(r.violation and "rule" or "the advice", r.rule, by_whom)
end

--- All of it in one sentence.
local function show_sentence(cell, r)
  local text = ("So: %s at %s, and the %s is %s (%s); %s%s."):format(cell.ending.name, cell.point.name,
    cell.request.method, r.verdict, meanings[r.verdict], judgement_of(r),
    r.why and "; but this was another race: " .. r.why or "")
  print("\n" .. fold.text("", text, 4, paint.columns))
end

local function read(args)
  local run = { chosen = {} }
  local spec = {
    { name = "all", set = function() run.all = true end },
    { name = "json", set = function() run.json = true end },
    { name = "help", short = "h", set = function() run.help = true end },
  }
  local more = system.options(run.chosen)
  table.move(more, 1, #more, #spec + 1, spec)
  local rest, why = arguments.parse("closerace trial", args, spec)
  if not rest then return nil, why end
  if run.help then return run end
  if #rest ~= 1 then return nil, ("closerace trial: expected one CELL, got %d"):format(#rest) end
  run.cell, why = planning.parse(rest[1])
  if not run.cell then return nil, "closerace trial: " .. why end
  local list
  list, why = system.chosen(run.chosen)
  if list and #list > 1 then why = "--sut: expected one system" end
  if why then return nil, "closerace trial: " .. why end
  run.system = list[1]
  return run
end

local function play(run)
  local cell = run.cell
  if run.system.lacks then
    io.stderr:write("closerace trial: skipped: ", run.system.lacks, "\n")
    return 77
  end
  if not run.system.is_ours then core.pin(1) end
  local stage <close> = stages.open { system = run.system, timeline = true }
  local lack = stage:lacks(cell)
  if lack then
    io.stderr:write("closerace trial: skipped: ", lack, "\n")
    return 77
  end
  local at, size = stage:offset(cell)
  if at and (at < 1 or at >= size) then
    io.stderr:write(("closerace trial: %s@%s: there are %s; allowed: 1 to %d\n"):format(
      cell.point.name, cell.at, count_of(size, "byte"), size - 1))
    return 2
  end
  local r = playing.row(stage, cell)
  if run.json then
    print(row.encode(r, "ms"))
  else
    describe(cell, r)
    show_timeline(stage:trace(), cell, run.all)
    show_judgement(r)
    show_sentence(cell, r)
  end
  return r.violation and 1 or 0
end

return function(args)
  local run, why = read(args)
  if not run then
    io.stderr:write(why, "\n")
    return 2
  elseif run.help then
    io.write(USAGE:format(system.help()))
    return 0
  end
  local good, status = pcall(play, run)
  if good then return status end
  trouble(status)
  io.stderr:write("closerace trial: ", core.is_interrupted() and "interrupted" or system.plain(status), "\n")
  return 2
end
