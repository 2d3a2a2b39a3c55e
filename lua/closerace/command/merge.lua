--- closerace merge: shares of a matrix, put together.

local Outputs = require "closerace.command.outputs"
local arguments = require "closerace.command.arguments"
local row = require "closerace.matrix.row"
local rows = require "closerace.command.rows"
local system = require "closerace.command.system"

local USAGE = [[
usage: closerace merge [OPTION]… FILE…

Puts the JSON Lines of several shares together (closerace matrix --shard I/N
--format jsonl -o FILE), in the order of their cells, and reports them as one run.
A cell that two files tell differently has varied.

  --format FORMAT    table (default), jsonl, tap, junit; may be repeated
  -o, --output FILE  where the format before it goes
  --save FILE        a baseline for closerace diff
  --strict           advice fails the run, too
  --help             this text

exit status: 0 all held; 1 a violation, an outcome that varied, or cells that are
missing; 2 wrong usage
]]

local function add(all, r, path)
  if math.type(r.n) ~= "integer" or math.type(r.of) ~= "integer" then
    error(("%s: %s: the row does not tell which cell of how many it is"):format(path, r.cell), 0)
  end
  all.of, all.system = all.of or r.of, all.system or r.system
  if r.of ~= all.of or r.system ~= all.system then
    error(("%s: %s: it is of another run (%s, %d cells) than the files before (%s, %d cells)"):format(
      path, r.cell, r.system, r.of, all.system, all.of), 0)
  end
  local known = all.rows[r.n]
  if not known then
    all.rows[r.n] = r
    all.n = all.n + 1
  elseif known.cell ~= r.cell then
    error(("%s: %s: another file has %s in its place"):format(path, r.cell, known.cell), 0)
  elseif known.state ~= "varied" and not row.are_same(known, r) then
    known.state = "varied"
    known.why = ("in one file: %s; in another: %s"):format(row.signature(known), row.signature(r))
  end
end

local function gather(paths)
  local all = { rows = {}, n = 0 }
  for _, path in ipairs(paths) do
    for r in rows.read(path) do add(all, r, path) end
  end
  if all.n == 0 then error("there is no row in these files", 0) end
  return all
end

local function merge(paths, run)
  local all = gather(paths)
  local ms, missing = 0, all.of - all.n
  local outputs <close> = Outputs.open(run.outputs, run.save, {
    n = all.n, system = all.system, replay = system.replay, is_failure = Outputs.failure_test(run.strict),
  })
  for n = 1, all.of do
    local r = all.rows[n]
    if r then
      ms = ms + (r.ms or 0)
      if not outputs:row(r) then break end
    end
  end
  outputs:finish { ms = ms }
  if missing == 0 then return outputs:status(run.strict) end
  io.stderr:write(("closerace merge: %d of %d cells are missing\n"):format(missing, all.of))
  return 1
end

return function(args)
  local run = { outputs = {} }
  local spec = Outputs.options(run.outputs)
  spec[#spec + 1] = { name = "save", value = "FILE", set = function(path) run.save = path end }
  spec[#spec + 1] = { name = "strict", set = function() run.strict = true end }
  spec[#spec + 1] = { name = "help", short = "h", set = function() run.help = true end }
  local rest, why = arguments.parse("closerace merge", args, spec)
  if rest and run.help then
    io.write(USAGE)
    return 0
  end
  if rest and #rest == 0 then why = "closerace merge: no file given; see closerace merge --help" end
  if not why then
    local _, twice = Outputs.settle(run.outputs)
    why = twice and "closerace merge: " .. twice
  end
  if why then
    io.stderr:write(why, "\n")
    return 2
  end
  local good, status = pcall(merge, rest, run)
  if good then return status end
  io.stderr:write("closerace merge: ", tostring(status), "\n")
  return 2
end
