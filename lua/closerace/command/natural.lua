--- closerace natural: races that nobody decides, counted.

local Progress = require "closerace.command.progress"
local arguments = require "closerace.command.arguments"
local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local natural = require "closerace.natural"
local paint = require "closerace.paint"
local system = require "closerace.command.system"
local systems = require "closerace.system"

local USAGE = [[
usage: closerace natural [OPTION]…

Counts what becomes of requests that meet a natural race: a backend with a short
keep-alive timeout closes the idle connection, unannounced, by close(2), a
moment after its answer, while the client goes on with its next request.  Nobody
decides who wins, and time is real: what comes of it are rates, not certainties.

what is played
  --trials N         of each series: system, request and time (default 1000)
  --close-after LIST the backend's timeout: milliseconds, with fractions
                     (default 0.2,0.5,1)
  --request LIST     the client's next request (default get,post-small):
%s
  --seed N           decides when the client goes on: at once, or up to twice
                     the backend's timeout later (default: another one each
                     time)
  LIST is values with commas between.

what is written
  --format FORMAT    table (default) or jsonl
  -o, --output FILE  where it goes
  -q, --quiet        no progress
  --help             this text

the system under test, here a program in any case
%s

exit status: 0 all was played; 1 a system did not start, or ended; 2 wrong
usage; 77 everything was skipped; 130 interrupted
]]

-- A server's timeout may be of any length; whoever waits for it has to sit through all of it, again and again.
local MOST_MS = 10000

-- ---------------------------------------------------------------------- command line --

--- For `read`: values with commas between, each read by a function.
local function list_of(read)
  return function(text)
    local list = {}
    for word in (text .. ","):gmatch "(.-)," do
      local value, expected = read(word)
      if value == nil then return nil, expected end
      list[#list + 1] = value
    end
    return list
  end
end

local function read_ms(word)
  local ms = tonumber(word)
  if ms and ms > 0 and ms <= MOST_MS then return ms + 0.0 end
  return nil, ("milliseconds above 0, at most %d, with commas between"):format(MOST_MS)
end

local function read_seed(text)
  local seed = math.tointeger(tonumber(text))
  if seed and seed >= 0 then return seed end
  return nil, "a whole number from 0"
end

--- All requests but the one that is sent in two steps, which takes the client longer than "at once".
local function requests()
  local words = {}
  for _, request in ipairs(axes.request) do
    if not request.expect then words[#words + 1] = request.name end
  end
  return words
end

local function help_of_requests()
  local lines, line = {}, "                    "
  for _, word in ipairs(requests()) do
    if #line + 1 + #word > 80 then
      lines[#lines + 1] = line
      line = "                    "
    end
    line = line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local function read(args)
  local run = {
    chosen = {}, trials = 1000, close_after = { 0.2, 0.5, 1.0 }, request = { "get", "post-small" }, format = "table",
    seed = math.floor(core.now_ms() * 1000) & 0x7fffffff,
  }
  local function flag(name) return function(value) run[name] = value end end
  local spec = {
    { name = "trials", value = "N", read = arguments.count, set = flag "trials" },
    { name = "close-after", value = "LIST", read = list_of(read_ms), set = flag "close_after" },
    { name = "request", value = "LIST", read = list_of(arguments.word(requests())), set = flag "request" },
    { name = "seed", value = "N", read = read_seed, set = flag "seed" },
    { name = "format", value = "table|jsonl", read = arguments.word { "table", "jsonl" }, set = flag "format" },
    { name = "output", short = "o", value = "FILE", set = flag "output" },
    { name = "quiet", short = "q", set = flag "quiet" },
    { name = "help", short = "h", set = flag "help" },
  }
  local more = system.options(run.chosen)
  table.move(more, 1, #more, #spec + 1, spec)
  local rest, why = arguments.parse("closerace natural", args, spec)
  if not rest then return nil, why end
  if rest[1] then return nil, ("closerace natural: '%s': it takes options only"):format(rest[1]) end
  return run
end

--- The systems that were chosen; our own proxy is a program here like any other, and this program can be it.
local function choose(run)
  local list, why = system.chosen(run.chosen)
  for i, one in ipairs(list or {}) do
    if one.is_command then return nil, one.name .. ": a client command is over before it can meet a race by chance" end
    if one.is_ours then list[i] = systems.alone(run.chosen.proxy, { "/proc/self/exe", "proxy" }) end
  end
  return list, why
end

-- ------------------------------------------------------------------------ for people --

local HEAD = "  request       close after  trials   raced  crossed  failed                   met twice  verdicts"
local LINE = "  %-12s %9g ms %7d %7d  %7d  %s  %s  %s"

--- "22   2.2 % (1.5-3.3)"
local function failures(r)
  local text = ("%5d %5.1f %% (%.1f-%.1f)"):format(
    r.failed, 100 * r.failed_rate, 100 * r.failed_low, 100 * r.failed_high)
  return paint.text(paint.pad(text, 23), r.failed > 0 and "yellow" or "green")
end

local function met_twice(r)
  local is_bad = r.met_twice > 0 and not axes.request[r.request].idempotent
  return paint.text(paint.pad(("%9d"):format(r.met_twice), 9), is_bad and "red" or nil)
end

local function counts(map, words)
  local parts = {}
  for _, word in ipairs(words) do
    if map[word] > 0 then parts[#parts + 1] = ("%s %d"):format(word, map[word]) end
  end
  return table.concat(parts, ", ")
end

local People = {}
People.__index = People

function People:row(r)
  if r.system ~= self.system then
    self.write(("%s%s\n%s\n"):format(self.system and "\n" or "", paint.text(r.system, "bold"), HEAD))
    self.system = r.system
  end
  local words = natural.told_of(r)
  self.write(LINE:format(r.request, r.close_after_ms, r.trials, r.raced, r.crossed, failures(r), met_twice(r),
    ("%s; told %s"):format(counts(r.verdicts, natural.verdicts), counts(r.told, words))) .. "\n")
  if r.void > 0 then
    self.write(("  %d trials were played again: their first request got no answer\n"):format(r.void))
  end
  self.is_blind = self.is_blind or r.unseen > 0
end

function People:finish(sums)
  if self.is_blind then
    self.write "what was sent to a closed connection was not seen (no CAP_NET_RAW): crossed and met twice may be more\n"
  end
  self.write(("%sfailed: of all trials, with the 95 %% interval (Wilson); seed %d; %.1f s%s\n"):format(
    self.system and "\n" or "", sums.seed, sums.ms / 1000, sums.interrupted and "; interrupted" or ""))
end

local Lines = {}
Lines.__index = Lines
function Lines:row(r) self.write(natural.encode(r) .. "\n") end
function Lines:finish() end

local formats = { table = People, jsonl = Lines }

-- --------------------------------------------------------------------------- playing --

--- One series, reported also where it was cut short.
local function play(trials, series, run)
  local good, why = pcall(trials.run, trials, series, run.trials, function() run.progress:step() end)
  if series.trials > 0 then run.output:row(series:row()) end
  if not good then error(why, 0) end
end

local function play_system(one, run)
  local trials <close> = natural.open(one)
  for _, request in ipairs(run.request) do
    local why = trials:lacks(axes.request[request])
    if why then
      io.stderr:write(("closerace natural: %s: %s: skipped: %s\n"):format(one.name, request, why))
    else
      for _, after_ms in ipairs(run.close_after) do
        play(trials, natural.series {
          system = one.name, request = request, close_after_ms = after_ms, seed = run.seed,
        }, run)
        run.n_played = run.n_played + 1
        if run.is_gone then return end
      end
    end
  end
end

--- One that cannot be tested here, or does not start, or ends, is told; the others go on.
local function play_all(list, run)
  for _, one in ipairs(list) do
    if core.is_interrupted() or run.is_gone then break end
    if one.lacks then
      io.stderr:write(("closerace natural: %s: skipped: %s\n"):format(one.name, one.lacks))
    else
      local good, why = pcall(play_system, one, run)
      if not good and core.is_interrupted() then break end
      if not good then
        run.n_dead = run.n_dead + 1
        io.stderr:write(("closerace natural: %s: %s\n"):format(one.name, tostring(why)))
      end
    end
  end
end

local function names_of(list)
  local names = {}
  for i, one in ipairs(list) do names[i] = one.name end
  return table.concat(names, ", ")
end

--- Where rows go.
-- @return a file; or nil and a sentence
local function open_output(run)
  local file, why = io.stdout, nil
  if run.output then file, why = io.open(run.output, "w") end
  if not file then return nil, why end
  local function write(text)
    local good, trouble = file:write(text)
    if good and file:flush() then return end
    if file ~= io.stdout then error(("%s: %s"):format(run.output, trouble), 0) end
    run.is_gone = true                          -- whoever read it (`| head`) has seen what they wanted
  end
  return file, setmetatable({ write = write }, formats[run.format])
end

local function run_trials(list, run)
  local file, output = open_output(run)
  if not file then
    io.stderr:write("closerace natural: ", output, "\n")
    return 2
  end
  run.path, run.output, run.n_played, run.n_dead = run.output, output, 0, 0
  local n = #list * #run.request * #run.close_after * run.trials
  if not run.quiet then
    io.stderr:write(("%d trials against %s, seed %d\n"):format(n, names_of(list), run.seed))
  end
  run.progress = Progress.new(n, run.quiet)
  local start = core.now_ms()
  play_all(list, run)
  run.progress:stop()
  local interrupted = core.is_interrupted()
  if run.n_played > 0 or interrupted then
    output:finish { seed = run.seed, ms = core.now_ms() - start, interrupted = interrupted }
  end
  if file ~= io.stdout then file:close() end
  if interrupted then
    io.stderr:write "closerace natural: interrupted\n"
    return 130
  end
  return run.n_dead > 0 and 1 or run.n_played == 0 and 77 or 0
end

return function(args)
  local run, why = read(args)
  if not run then
    io.stderr:write(why, "\n")
    return 2
  elseif run.help then
    io.write(USAGE:format(help_of_requests(), system.help()))
    return 0
  end
  local list
  list, why = choose(run)
  if not list then
    io.stderr:write("closerace natural: ", why, "\n")
    return 2
  end
  return run_trials(list, run)
end
