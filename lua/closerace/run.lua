--- closerace run: scripts, a line each, and what is needed to understand a failure.

local arguments = require "closerace.command.arguments"
local core = require "closerace.core"
local count_of = require "closerace.count"
local fold = require "closerace.fold"
local race = require "closerace"
local paint = require "closerace.paint"
local plain = require "closerace.plain"
local told_text = require "closerace.told"

-- Nobody computes for so long between two things that happen in a lab.
local LIMIT_S = 60

local USAGE = [[
usage: closerace run [OPTION]… FILE…

Runs each script and prints a line: how it ended, its verdicts, what the client
was told, the attempts that the backend met, and the time it took.  What the
script prints follows, indented; where it fails, the last events follow.

  --repeat N    run each script N times and report every verdict that varied
  --limit-s N   end a script that computes for so many seconds of processor time
                while nothing happens in a lab (default 60; 0: no limit)
  -q, --quiet   failures and the summary only
  --help        this text

A lab that a script leaves open is a failure, too.

On a terminal the words are coloured, unless NO_COLOR is set.

exit status: 0 all held; 1 a script failed or a verdict varied; 2 wrong usage;
77 everything was skipped; 130 interrupted
]]

-- ------------------------------------------------------------------ command line --

--- @return the options; or nil and a sentence
local function parse(args)
  local options = { times = 1, limit_s = LIMIT_S }
  local rest, why = arguments.parse("closerace run", args, {
    { name = "repeat", value = "N", read = arguments.count, set = function(n) options.times = n end },
    { name = "limit-s", value = "N", set = function(s) options.limit_s = s end, read = function(text)
      if text:find "^%d+$" and #text < 10 then return math.tointeger(tonumber(text)) end
      return nil, "a whole number from 0"
    end },
    { name = "quiet", short = "q", set = function() options.quiet = true end },
    { name = "help", short = "h", set = function() options.help = true end },
  })
  if not rest then return nil, why end
  options.files = rest
  if #rest == 0 and not options.help then return nil, "closerace run: no script given; see closerace run --help" end
  return options
end

-- ----------------------------------------------------------------------- running --

--- Texts counted in the order in which they first came: "refused x3, clean".
local function condense(texts)
  local counts, order = {}, {}
  for _, text in ipairs(texts) do
    if not counts[text] then order[#order + 1] = text end
    counts[text] = (counts[text] or 0) + 1
  end
  for i, text in ipairs(order) do
    if counts[text] > 1 then order[i] = text .. " x" .. counts[text] end
  end
  return table.concat(order, ", ")
end

--- What must not vary from one run of a script to the next.
local function signature(verdicts)
  local parts = {}
  for i, v in ipairs(verdicts) do
    parts[i] = ("%s %s told %s attempts %d executed %d-%d order %s reached %s")
      :format(v.id, v.name, told_text(v.told), v.attempts, v.executed, v.executed_max, v.order, v.reached)
  end
  return table.concat(parts, "\n")
end

local function on_error(err)
  if type(err) ~= "string" then return err end
  return { message = err, trace = debug.traceback("", 2) }
end

--- Close the labs that a script has left open: no other script is to meet them.
-- @return what there is to say of them, and what they say of themselves; nil where there was none
local function close_left_open()
  local list, seen = {}, {}
  for _, left in ipairs(core.left_open()) do
    list[#list + 1] = left.place
      .. 'this lab was never closed: write "local lab <close> = race.lab()", or call lab:close()'
    if left.lab then
      local good, why = pcall(left.lab.close, left.lab)
      if not good then list[#list] = ("%s\n%s"):format(list[#list], plain(why)) end
    end
    seen[list[#list]] = (seen[list[#list]] or 0) + 1
  end
  table.sort(list)
  local lines = {}
  for i, text in ipairs(list) do
    if text ~= list[i - 1] then
      lines[#lines + 1] = seen[text] > 1 and ("%s (%s)"):format(text, count_of(seen[text], "time")) or text
    end
  end
  return lines[1] and table.concat(lines, "\n")
end

--- Run a loaded script once.
-- @return a table: state ("ok", "FAIL", "skip" or "interrupted"), error, tail, verdicts, output, ms
local function run_once(chunk, environment, limit_s)
  local output = {}
  environment.print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    output[#output + 1] = table.concat(parts, "\t")
  end
  core.verdicts()
  core.last_tail()
  local start = core.now_ms()
  core.limit(limit_s)
  local good, err = xpcall(chunk, on_error)
  core.limit(0)
  local left = close_left_open()
  if good and left then good, err = false, left end
  local result = {
    state = "ok", ms = core.now_ms() - start, verdicts = core.verdicts(), output = output,
  }
  if good then return result end
  result.tail = core.last_tail()
  if core.is_interrupted() then
    result.state = "interrupted"
  elseif race.skip_reason(err) then
    result.state, result.error = "skip", race.skip_reason(err)
  else
    result.state = "FAIL"
    result.error = type(err) == "table" and err.message or tostring(err)
  end
  return result
end

-- ---------------------------------------------------------------------- reporting --

local colours = { ok = "green", FAIL = "red", skip = "yellow", VARIED = "red" }

local function painted(word, width)
  return paint.text(paint.pad(word, width), colours[word])
end

local function indent(text, by)
  return (by .. text:gsub("\n", "\n" .. by))
end

local function title_of(file)
  return (file:gsub("^.*/", ""):gsub("%.lua$", ""))
end

--- A script's name and what became of it, in columns; below one another where they do not fit into a line.
local function lined_up(width, title, names, told, attempts, ms)
  local line = ("%s  %s  %s  %-12s %8.1f ms"):format(
    paint.pad(title, width), paint.pad(names, 16), paint.pad(told, 8), attempts, ms)
  if utf8.len(line) + 6 <= paint.columns then return line end
  return title .. "\n" .. fold.text((" "):rep(6), ("%s; %s; %s; %.1f ms"):format(names, told, attempts, ms), 6,
    paint.columns)
end

local function line_of(title, width, result)
  local names, told, attempts = {}, {}, 0
  for i, v in ipairs(result.verdicts) do
    names[i], told[i] = v.name, told_text(v.told)
    attempts = attempts + v.attempts
  end
  return painted(result.state, 5) .. " " .. lined_up(width, title, condense(names), condense(told),
    count_of(attempts, "attempt"), result.ms)
end

local function report(title, width, result, quiet)
  local bad = result.state == "FAIL" or result.state == "VARIED"
  if quiet and not bad then return end
  if result.state == "skip" then
    print(painted("skip", 5) .. " " .. ("%-" .. width .. "s  %s"):format(title, result.error))
    return
  end
  print(line_of(title, width, result))
  if #result.output > 0 then print(indent(table.concat(result.output, "\n"), "      | ")) end
  if not bad then return end
  print(indent(result.error, "      "))
  if result.tail and not result.error:find("last events:", 1, true) then
    print(indent(result.tail, "      "))
  end
end

local function progress(title, n, times)
  if paint.is_terminal and times > 1 and (n % 16 == 0 or n == times) then
    io.stderr:write(("\r\27[K%s %d/%d%s"):format(title, n, times, n == times and "\r\27[K" or ""))
  end
end

--- Which outcomes there were, when there should be one.
local function describe_variation(seen)
  local lines = {}
  for _, one in ipairs(seen) do
    local text = one.text == "" and "no verdict" or one.text
    lines[#lines + 1] = ("%s:\n%s"):format(count_of(one.n, "time"), indent(text, "  "))
  end
  return "the verdict varied\n" .. table.concat(lines, "\n")
end

--- Run a script N times; the first result that is not ok ends it.
local function run_repeatedly(title, chunk, environment, options)
  local times = options.times
  local seen, by_text = {}, {}
  local first
  for n = 1, times do
    local result = run_once(chunk, environment, options.limit_s)
    progress(title, n, times)
    first = first or result
    if result.state ~= "ok" then
      if n > 1 and result.state == "FAIL" then
        result.error = ("in repetition %d of %d: %s"):format(n, times, result.error)
      end
      return result
    end
    local text = signature(result.verdicts)
    if not by_text[text] then
      by_text[text] = { text = text, n = 0 }
      seen[#seen + 1] = by_text[text]
    end
    by_text[text].n = by_text[text].n + 1
    first.total_ms = (first.total_ms or 0) + result.ms
  end
  if #seen > 1 then
    first.state, first.error = "VARIED", describe_variation(seen)
  end
  return first
end

local function run_file(file, options)
  local environment = setmetatable({ arg = { [0] = file } }, { __index = _G })
  local chunk, err = loadfile(file, "t", environment)
  if not chunk then
    return { state = "FAIL", error = err, verdicts = {}, output = {}, ms = 0 }
  end
  return run_repeatedly(title_of(file), chunk, environment, options)
end

local function summarise(counts, options, ms)
  local parts = {}
  for _, word in ipairs { "ok", "FAIL", "VARIED", "skip" } do
    if counts[word] then
      local name = ({ ok = "passed", FAIL = "failed", VARIED = "varied", skip = "skipped" })[word]
      parts[#parts + 1] = ("%d %s"):format(counts[word], name)
    end
  end
  local times = options.times > 1 and (", each %s"):format(count_of(options.times, "time")) or ""
  print(("%s%s, %.1f s"):format(table.concat(parts, ", "), times, ms / 1000))
end

return function(args)
  local options, why = parse(args)
  if not options then
    io.stderr:write(why, "\n")
    return 2
  elseif options.help then
    io.write(USAGE)
    return 0
  end
  local counts, width, start = {}, 0, core.now_ms()
  for _, file in ipairs(options.files) do width = math.max(width, #title_of(file)) end
  for _, file in ipairs(options.files) do
    local result = run_file(file, options)
    if result.state == "interrupted" then
      io.stderr:write("closerace run: interrupted\n")
      return 130
    end
    counts[result.state] = (counts[result.state] or 0) + 1
    report(title_of(file), width, result, options.quiet)
  end
  summarise(counts, options, core.now_ms() - start)
  if counts.FAIL or counts.VARIED then return 1 end
  return counts.skip and not counts.ok and 77 or 0
end
