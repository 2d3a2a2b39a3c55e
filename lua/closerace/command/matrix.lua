--- closerace matrix: every close race there is, against one system.

local Matrix = require "closerace.matrix"
local Outputs = require "closerace.command.outputs"
local Progress = require "closerace.command.progress"
local arguments = require "closerace.command.arguments"
local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local impossible = require "closerace.matrix.impossible"
local system = require "closerace.command.system"

local USAGE = [[
usage: closerace matrix [OPTION]…

Plays every close race there is against our own proxy, one after the other,
says what became of each request, and which rules of the RFCs were broken.

which cells
%s
  --full             every value of every axis, every byte offset
  --stride N         with --full: every N-th offset
  --shard I/N        the I-th of N shares; closerace merge puts them together
  --rules            what is left out, and why; plays nothing
  LIST is names with commas between; `all`, and for --order `held`, stand for many.

how
  -j, --jobs N       so many processes
  --repeat N         each cell N times: one whose outcome varies is reported
  --strict           advice fails the run, too

what is written
  --format FORMAT    table (default), jsonl, tap, junit; may be repeated
  -o, --output FILE  where the format before it goes
  --save FILE        a baseline for closerace diff
  -q, --quiet        no progress
  --help             this text

the system under test
%s

exit status: 0 all held; 1 a violation, or an outcome that varied; 2 wrong usage;
77 everything was skipped; 130 interrupted
]]

local function help_of_axes()
  local lines = {}
  for i, axis in ipairs(axes.names) do
    lines[i] = ("  --%-16s %s"):format(axis .. " LIST", axis == "order"
      and "settled, crossing, caused, close-first, request-first, held:CHECKPOINT#ATTEMPT"
      or table.concat(axes.words(axis), ", "))
  end
  return table.concat(lines, "\n")
end

local function show_rules()
  for _, axis in ipairs(axes.names) do
    for _, rule in ipairs(impossible.rules) do
      if rule.axis == axis then print(("%-10s %s"):format(axis, rule.name)) end
    end
    if axis == "order" then print(("%-10s %s"):format(axis, impossible.UNASKED)) end
  end
end

local function read(args)
  local options, run = { proxy = {} }, { outputs = {} }
  local function flag(name) return function(value) run[name] = value end end
  local function option(name) return function(value) options[name] = value end end
  local spec = {
    { name = "full", set = option "full" },
    { name = "stride", value = "N", read = arguments.count, set = option "stride" },
    { name = "shard", value = "I/N", set = option "shard" },
    { name = "rules", set = flag "rules" },
    { name = "jobs", short = "j", value = "N", read = arguments.count, set = option "jobs" },
    { name = "repeat", value = "N", read = arguments.count, set = option "times" },
    { name = "strict", set = flag "strict" },
    { name = "save", value = "FILE", set = flag "save" },
    { name = "quiet", short = "q", set = flag "quiet" },
    { name = "help", short = "h", set = flag "help" },
  }
  for _, axis in ipairs(axes.names) do spec[#spec + 1] = { name = axis, value = "LIST", set = option(axis) } end
  table.move(Outputs.options(run.outputs), 1, 2, #spec + 1, spec)
  local more = system.options(options.proxy)
  table.move(more, 1, #more, #spec + 1, spec)
  local rest, why = arguments.parse("closerace matrix", args, spec)
  if not rest then return nil, why end
  if rest[1] then return nil, ("closerace matrix: '%s': it takes options only"):format(rest[1]) end
  local settled, twice = Outputs.settle(run.outputs)
  if not settled then return nil, "closerace matrix: " .. twice end
  return options, run
end

local function play(matrix, outputs, progress)
  for r in matrix:rows() do
    local is_read = outputs:row(r)
    progress:step()
    if not is_read then return end
  end
end

local function sum(list)
  local n = 0
  for _, one in ipairs(list) do n = n + one.n end
  return n
end

local function run_matrix(matrix, options, run)
  local start, n = core.now_ms(), matrix:count()
  local opened, result = pcall(Outputs.open, run.outputs, run.save, {
    n = n, system = matrix.system, is_failure = Outputs.failure_test(run.strict), replay = system.replay,
  })
  if not opened then
    io.stderr:write("closerace matrix: ", result, "\n")
    return 2
  end
  local outputs <close> = result
  if not run.quiet then io.stderr:write(("%d cells against %s\n"):format(n, matrix.system)) end
  local progress = Progress.new(n, run.quiet)
  local good, err = pcall(play, matrix, outputs, progress)
  progress:stop()
  local interrupted = core.is_interrupted()
  if not good and not interrupted then error(err, 0) end
  if good and not outputs.is_gone then
    assert(outputs.sums.rows == n, "the count at the end is not the count at the start")
  end
  outputs:finish {
    ms = core.now_ms() - start, interrupted = interrupted, left_out = sum(matrix:exclusions()), full = options.full,
  }
  if interrupted then io.stderr:write "closerace matrix: interrupted\n" end
  return outputs:status(run.strict)
end

return function(args)
  local options, run = read(args)
  if not options then
    io.stderr:write(run, "\n")
    return 2
  elseif run.help then
    io.write(USAGE:format(help_of_axes(), system.help()))
    return 0
  elseif run.rules then
    show_rules()
    return 0
  end
  local good, matrix = pcall(Matrix.new, options)
  if not good then
    io.stderr:write("closerace matrix: ", (tostring(matrix):gsub("^race%.matrix: ", "")), "\n")
    return 2
  end
  return run_matrix(matrix, options, run)
end
