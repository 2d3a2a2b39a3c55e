--- closerace matrix: every close race there is, against one system.

local Matrix = require "closerace.matrix"
local Outputs = require "closerace.command.outputs"
local Progress = require "closerace.command.progress"
local arguments = require "closerace.command.arguments"
local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local trouble = require "closerace.trouble"
local count_of = require "closerace.count"
local fold = require "closerace.fold"
local impossible = require "closerace.matrix.impossible"
local system = require "closerace.command.system"

local USAGE = [[
usage: closerace matrix [OPTION]…

Plays every close race there is against a proxy, our own or others, one after
the other, says what became of each request, and which rules of the RFCs were
broken.

which cells
%s
  --full             every value of every axis, every byte offset
  --stride N         with --full: every N-th offset
  --shard I/N        the I-th of N shares; closerace merge puts them together
  --rules            what is left out, and why; plays nothing
  LIST is names with commas between; `all`, and for --order `held`, stand for
  many.

how
  -j, --jobs N       so many processes
  --repeat N         each cell N times: one whose outcome varies is reported
  --strict           advice fails the run, too

what is written
%s
  --compare          the same as --format compare: a line a cell, a column a
                     system
  --differences      with it: only cells in which systems differ
  --save FILE        a baseline for closerace diff
  -q, --quiet        no progress
  --help             this text

the system under test
%s

Tables are as wide as the terminal, or $COLUMNS; 80 columns elsewhere.

exit status: 0 all held; 1 a violation, an outcome that varied, a cell that
failed, or no race took place at all; 2 wrong usage; 70 the machine lacks
something; 77 everything was skipped; 130 interrupted
]]

local function help_of_axes()
  local lines = {}
  for i, axis in ipairs(axes.names) do
    lines[i] = fold.option(("--%s LIST"):format(axis), axis == "order"
      and "settled, crossing, caused, close-first, request-first, held:CHECKPOINT#ATTEMPT"
      or table.concat(axes.words(axis), ", "), 21)
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
  local options, run = {}, { outputs = {}, chosen = {} }
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
    { name = "compare", set = function() Outputs.pair(run.outputs, "format", "compare") end },
    { name = "differences", set = flag "differences" },
    { name = "save", value = "FILE", set = flag "save" },
    { name = "quiet", short = "q", set = flag "quiet" },
    { name = "help", short = "h", set = flag "help" },
  }
  for _, axis in ipairs(axes.names) do spec[#spec + 1] = { name = axis, value = "LIST", set = option(axis) } end
  table.move(Outputs.options(run.outputs), 1, 2, #spec + 1, spec)
  local more = system.options(run.chosen)
  table.move(more, 1, #more, #spec + 1, spec)
  local rest, why = arguments.parse("closerace matrix", args, spec)
  if not rest then return nil, why end
  if rest[1] then return nil, ("closerace matrix: '%s': it takes options only"):format(rest[1]) end
  local settled, twice = Outputs.settle(run.outputs)
  if not settled then return nil, "closerace matrix: " .. twice end
  return options, run
end

--- Make a matrix for each system.  One that cannot be tested here, or does not start, is told; the others go on.
-- @return a list; or nil and a sentence about the options
local function make_all(list, options, sums)
  local matrices = {}
  for _, one in ipairs(list) do
    options.system = one
    local good, matrix = pcall(Matrix.new, options)
    if not good then trouble(matrix) end
    if good and not matrix.lack then
      matrices[#matrices + 1] = matrix
    elseif good then
      sums.n_lacking = sums.n_lacking + 1
      io.stderr:write(("closerace matrix: %s: skipped: %s\n"):format(one.name, matrix.lack))
    elseif tostring(matrix):find "^race%.matrix: " then
      return nil, (tostring(matrix):gsub("^race%.matrix: ", ""))
    elseif core.is_interrupted() then
      return nil, "interrupted"
    elseif one.is_ours then
      return nil, system.plain(matrix)
    elseif system.lacks_program(one, matrix) then
      return nil, ("%s: %s"):format(one.name, system.plain(matrix))
    else
      sums.n_dead = sums.n_dead + 1
      io.stderr:write(("closerace matrix: %s: %s\n"):format(one.name, system.plain(matrix)))
    end
  end
  return matrices
end

local function play(matrices, outputs, progress)
  for _, matrix in ipairs(matrices) do
    for r in matrix:rows() do
      local is_read = outputs:row(r)
      progress:step()
      if not is_read then return end
    end
  end
end

local function sum(list)
  local n = 0
  for _, one in ipairs(list) do n = n + one.n end
  return n
end

--- Why nothing is left to be played, in words; nil where something is.
local function nothing_in(matrices)
  local total, rules = 0, {}
  for _, matrix in ipairs(matrices) do
    total = total + matrix:total()
    for i, one in ipairs(matrix:exclusions()) do rules[i] = rules[i] or one.rule end
  end
  if total > 0 then return nil end
  return ("there is no such cell: %s"):format(table.concat(rules, "; "))
end

local function names_of(matrices)
  local names = {}
  for i, matrix in ipairs(matrices) do names[i] = matrix.system.name end
  return table.concat(names, ", ")
end

local function run_matrices(matrices, options, run, sums)
  local start, n, left_out = core.now_ms(), 0, 0
  for _, matrix in ipairs(matrices) do
    n = n + matrix:count()
    left_out = left_out + sum(matrix:exclusions())
  end
  local opened, result = pcall(Outputs.open, run.outputs, run.save, {
    n = n, system = names_of(matrices), is_failure = Outputs.failure_test(run.strict), replay = system.replay,
    differences = run.differences, is_share = options.shard ~= nil,
  })
  if not opened then
    io.stderr:write("closerace matrix: ", result, "\n")
    return 2
  end
  local outputs <close> = result
  if not run.quiet then io.stderr:write(("%s against %s\n"):format(count_of(n, "cell"), names_of(matrices))) end
  local progress = Progress.new(n, run.quiet)
  local good, err = pcall(play, matrices, outputs, progress)
  progress:stop()
  local interrupted = core.is_interrupted()
  if not good and not interrupted then error(err, 0) end
  if good and not outputs.is_gone then
    assert(outputs.sums.rows == n, "the count at the end is not the count at the start")
  end
  outputs:finish {
    ms = core.now_ms() - start, interrupted = interrupted, left_out = left_out, full = options.full,
  }
  if interrupted then io.stderr:write "closerace matrix: interrupted\n" end
  local status = outputs:status(run.strict)
  return status == 0 and sums.n_dead > 0 and 1 or status
end

return function(args)
  local options, run = read(args)
  if not options then
    io.stderr:write(run, "\n")
    return 2
  elseif run.help then
    io.write(USAGE:format(help_of_axes(), Outputs.HELP, system.help()))
    return 0
  elseif run.rules then
    show_rules()
    return 0
  end
  local sums = { n_lacking = 0, n_dead = 0 }
  local list, why = system.chosen(run.chosen)
  local matrices
  if list then matrices, why = make_all(list, options, sums) end
  if not matrices then
    io.stderr:write("closerace matrix: ", why, "\n")
    return 2
  elseif #matrices == 0 then
    return sums.n_dead > 0 and 1 or 77
  end
  why = nothing_in(matrices)
  if why then
    io.stderr:write("closerace matrix: ", why, "\n")
    return 2
  end
  return run_matrices(matrices, options, run, sums)
end
