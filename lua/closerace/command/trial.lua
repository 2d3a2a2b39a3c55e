--- closerace trial: one cell of the matrix again, with its whole timeline.

local arguments = require "closerace.command.arguments"
local core = require "closerace.core"
local judge = require "closerace.matrix.judge"
local paint = require "closerace.paint"
local planning = require "closerace.matrix.plan"
local row = require "closerace.matrix.row"
local stages = require "closerace.matrix.stage"
local system = require "closerace.command.system"

local USAGE = [[
usage: closerace trial [OPTION]… CELL

Plays one cell of the matrix and shows what the client, the proxy and the backend
did, what became of the request, and what the rules say to it.  CELL is as the
matrix prints it, such as post-small/reused/arrival/rst/crossing/none/cl.

  --json   the row alone, as a line of JSON
  --help   this text

the system under test
%s

exit status: 0 all held; 1 a violation; 2 wrong usage; 77 it cannot be played here;
130 interrupted
]]

local who = { client = "client", session = "proxy", upstream = "proxy", conn = "backend" }

--- Who that is, and which part of it: "gate, conn" is the gate's.
local function name_of(entry)
  local of, part = entry.who:match "^(.*), (.*)$"
  return of or who[entry.who] or entry.who, ("%s %d"):format(part or entry.who, entry.n)
end

local function show_timeline(trace)
  for _, entry in ipairs(trace) do
    local what = entry.what
    local actor, part = name_of(entry)
    if entry.bytes > 0 then what = ("%s %d B"):format(what, entry.bytes) end
    local line = ("%6d ms  %-8s %-12s %-18s %s"):format(
      entry.time_ms, actor, part, what, entry.text)
    print((line:gsub(" +$", "")))
  end
end

local function describe(cell, r)
  local request = cell.request
  local body = request.body and ("%d bytes of body%s"):format(#request.body, request.chunked and ", chunked" or "")
    or "no body"
  print(paint.text(cell.id, "bold"))
  print(("the client sends a %s with %s; its connection to the backend is %s"):format(
    request.method, body, cell.connection.name))
  print(("the backend ends that at %s%s by %s; order: %s; second fault: %s; response: %s\n"):format(
    cell.point.name, r.at and (", byte %d"):format(r.at) or "", cell.ending.name, cell.order.name, cell.second.name,
    cell.response.name))
end

local colours = { broken = "red", permitted = "yellow" }

local function show_findings(findings, by_whom)
  for _, name in ipairs(judge.names) do
    local finding = findings[name]
    if finding then
      local rule = judge.rules[name]
      local weight = finding == "broken" and rule.weight or finding
      print(("%s       %s%s: %s (%s)"):format(
        name, paint.text(weight, colours[finding]), by_whom, rule.says, rule.source))
    end
  end
end

local function show_judgement(r)
  print(("\nverdict  %s: executed %d, %d %s on %d %s, the client was told %s"):format(
    r.verdict, r.executed, r.attempts, r.attempts == 1 and "attempt" or "attempts", r.connections,
    r.connections == 1 and "connection" or "connections", r.told))
  print(("race     %s%s"):format(r.decided, r.why and " (not reached: " .. r.why .. ")" or ""))
  if r.next then
    print(("next     the client's next request: %s, told %s, attempts %d"):format(r.next, r.next_told, r.next_attempts))
  end
  if r.reason then print(("%s   it said: %s"):format(r.next and "proxy " or "client", r.reason)) end
  show_findings(r.rules, "")
  show_findings(r.next_rules, ", by the next request")
  if not next(r.rules) and not next(r.next_rules) then print "rules    all were kept" end
end

local function read(args)
  local run = { chosen = {} }
  local spec = {
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
    io.stderr:write(("closerace trial: %s@%s: there are %d bytes; allowed: 1 to %d\n"):format(
      cell.point.name, cell.at, size, size - 1))
    return 2
  end
  local r = row.played(cell, nil, run.system.name, stage:play(cell))
  if run.json then
    print(row.encode(r, "ms"))
  else
    describe(cell, r)
    show_timeline(stage:trace())
    show_judgement(r)
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
  io.stderr:write("closerace trial: ", core.is_interrupted() and "interrupted" or tostring(status), "\n")
  return 2
end
