--- closerace merge: shares of a matrix, put together.

local Outputs = require "closerace.command.outputs"
local arguments = require "closerace.command.arguments"
local count_of = require "closerace.count"
local plain = require "closerace.plain"
local row = require "closerace.matrix.row"
local rows = require "closerace.command.rows"
local system = require "closerace.command.system"

local USAGE = [[
usage: closerace merge [OPTION]… FILE…

Puts the JSON Lines of several shares together (closerace matrix --shard I/N
--format jsonl -o FILE), in the order of their cells, system by system, and
reports them as one run.  A cell that two files tell differently has varied.

%s
  --save FILE        a baseline for closerace diff
  --strict           advice fails the run, too
  --help             this text

exit status: 0 all held; 1 a violation, an outcome that varied, or cells that
are missing; 2 wrong usage
]]

local function another_run(path, cell, one, all)
  error(("%s: %s: it is of another run (%s, %s) than the files before (%s, %s)"):format(
    path, cell, one.name, count_of(one.of, "cell"), all[1].name, count_of(all[1].of, "cell")), 0)
end

--- What is known of the cells of a row's system; they are counted for each system.
local function part_of(all, r)
  local part = all[r.system]
  if not part then
    part = { name = r.system, of = r.of, rows = {}, n = 0 }
    all[r.system], all[#all + 1] = part, part
  end
  return part
end

local function add(part, r, path)
  local known = part.rows[r.n]
  if not known then
    part.rows[r.n] = r
    part.n = part.n + 1
  elseif known.cell ~= r.cell then
    error(("%s: %s: another file has %s in its place"):format(path, r.cell, known.cell), 0)
  elseif known.state ~= "varied" and not row.are_same(known, r) then
    known.state = "varied"
    known.why = ("in one file: %s; in another: %s"):format(row.signature(known), row.signature(r))
  end
end

--- A share has no row of a system that has fewer cells than there are shares; but one that has nothing in common with
-- the files before is of another run.
local function gather(paths)
  local all = {}
  for _, path in ipairs(paths) do
    local n_before, is_akin, cell = #all, #all == 0, nil
    for r in rows.read(path) do
      if math.type(r.n) ~= "integer" or math.type(r.of) ~= "integer" or not r.system then
        error(("%s: %s: the row does not tell which cell of how many it is"):format(path, r.cell), 0)
      end
      local part = part_of(all, r)
      if r.of ~= part.of then another_run(path, r.cell, { name = r.system, of = r.of }, all) end
      cell = cell or r.cell
      for i = 1, n_before do is_akin = is_akin or all[i] == part end
      add(part, r, path)
    end
    if cell and not is_akin then another_run(path, cell, all[#all], all) end
  end
  if #all == 0 then error("there is no row in these files", 0) end
  return all
end

local function names_of(all)
  local names = {}
  for i, part in ipairs(all) do names[i] = part.name end
  return table.concat(names, ", ")
end

--- Walk over what is there, system by system.
local function write(all, outputs)
  for _, part in ipairs(all) do
    for n = 1, part.of do
      local r = part.rows[n]
      if r and not outputs:row(r) then return end
    end
  end
end

local function merge(paths, run)
  local all = gather(paths)
  local ms, n, of = 0, 0, 0
  for _, part in ipairs(all) do
    n, of = n + part.n, of + part.of
    for _, r in pairs(part.rows) do ms = ms + (r.ms or 0) end
  end
  local outputs <close> = Outputs.open(run.outputs, run.save, {
    n = n, system = names_of(all), replay = system.replay, is_failure = Outputs.failure_test(run.strict),
  })
  write(all, outputs)
  outputs:finish { ms = ms }
  if n == of then return outputs:status(run.strict) end
  io.stderr:write(("closerace merge: %d of %s %s missing\n"):format(
    of - n, count_of(of, "cell"), of - n == 1 and "is" or "are"))
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
    io.write(USAGE:format(Outputs.HELP))
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
  io.stderr:write("closerace merge: ", plain(status), "\n")
  return 2
end
