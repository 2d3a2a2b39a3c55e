--- race.matrix { … }: every close race there is, against one system, judged.
-- The manual is docs/matrix.md.

local core = require "closerace.core"
local axes = require "closerace.matrix.axes"
local planning = require "closerace.matrix.plan"
local row = require "closerace.matrix.row"
local stages = require "closerace.matrix.stage"

local Matrix = {}
Matrix.__index = Matrix

local known = { proxy = true, full = true, stride = true, shard = true, jobs = true, times = true }
for _, axis in ipairs(axes.names) do known[axis] = true end

local function fail(format, ...)
  error(("race.matrix: " .. format):format(...), 0)
end

-- ------------------------------------------------------------------------- options --

--- An axis' values, from a list or from words with commas between them; nil: as they are chosen.
local function read_axis(axis, value)
  if value == nil then return nil end
  local list = value
  if type(value) == "string" then
    list = {}
    for word in (value .. ","):gmatch "(.-)," do list[#list + 1] = word end
  end
  if type(list) ~= "table" then fail("%s: expected a list of names", axis) end
  local wanted = {}
  for _, name in ipairs(list) do
    if name == "all" then
      for _, word in ipairs(axes.words(axis)) do wanted[word] = true end
    elseif axis == "order" and name == "held" then
      for _, order in ipairs(axes.order) do wanted[order.name] = wanted[order.name] or order.held ~= nil end
    elseif axes[axis][name] then
      wanted[name] = true
    else
      fail("%s: '%s' is unknown; allowed: all, %s", axis, tostring(name), table.concat(axes.words(axis), ", "))
    end
  end
  if next(wanted) == nil then fail("%s: no name is given", axis) end
  return wanted
end

local function read_count(options, name, otherwise)
  local value = options[name]
  if value == nil then return otherwise end
  local n = math.type(value) == "integer" and value or nil
  if not n or n < 1 then fail("%s: expected a whole number from 1, got %s", name, tostring(value)) end
  return n
end

--- "I/N": the I-th of N shares.
local function read_shard(value)
  if value == nil then return 1, 1 end
  local i, n = tostring(value):match "^(%d+)/(%d+)$"
  i, n = math.tointeger(i), math.tointeger(n)
  if not i or i < 1 or n < i then fail("shard: expected I/N with I from 1 to N, got '%s'", tostring(value)) end
  return i, n
end

local function quoted(text)
  if text:find "^[%w_./:,=+@#-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The name of the system: our proxy, and what is not as it is by default, as a shell would read it.
local function name_of(proxy)
  local parts = { "closerace-proxy" }
  for _, option in ipairs(core.proxy_options()) do
    local value = proxy[option.name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      if tostring(one) ~= option.value then
        parts[#parts + 1] = ("%s=%s"):format(option.name, quoted(tostring(one)))
      end
    end
  end
  return table.concat(parts, " ")
end

--- Make a matrix: its cells are known and counted, and none was played.
function Matrix.new(options)
  options = options or {}
  for name in pairs(options) do
    if not known[name] then
      fail("unknown option '%s'; allowed: %s, proxy, full, stride, shard, jobs, times", tostring(name),
        table.concat(axes.names, ", "))
    end
  end
  local wanted = {}
  for _, axis in ipairs(axes.names) do wanted[axis] = read_axis(axis, options[axis]) end
  if options.proxy ~= nil and type(options.proxy) ~= "table" then fail("proxy: expected a table of options") end
  local stride = read_count(options, "stride", 1)
  if stride > 1 and not options.full then fail("stride: goes with full; by default there are three offsets") end
  local self = setmetatable({
    proxy = options.proxy or {}, jobs = read_count(options, "jobs", 1), times = read_count(options, "times", 1),
  }, Matrix)
  self.share, self.shares = read_shard(options.shard)
  self.system = name_of(self.proxy)
  local stage <close> = stages.open { proxy = self.proxy }
  self.plan = planning.new {
    wanted = wanted, full = options.full, stride = stride, verifies = self.proxy.verify == "options",
    size = function(request, response, kind) return stage:size(request, response, kind) end,
  }
  self.sizes = stage.sizes
  return self
end

-- --------------------------------------------------------------------------- facts --

--- How many cells this share has.
function Matrix:count()
  return self.plan:count(self.share, self.shares)
end
Matrix.__len = Matrix.count

--- How many cells all shares have together.
function Matrix:total()
  return self.plan.total
end

--- What the rules left out: a list of { rule =, n = }.
function Matrix:exclusions()
  return self.plan:exclusions()
end

function Matrix:__tostring()
  return ("matrix (%d cells, %s)"):format(self:count(), self.system)
end

-- ------------------------------------------------------------------------- playing --

--- Play a cell so many times; the row of the first time, which says so where another one differed.
local function play(stage, cell, n, system, times)
  local lack = stage:lacks(cell)
  if lack then return row.unplayed(cell, n, system, "skipped", lack) end
  local function once()
    local start = core.now_ms()
    local r = row.played(cell, n, system, stage:play(cell))
    r.ms = core.now_ms() - start
    return r
  end
  local first = once()
  for time = 2, times do
    local r = once()
    if not row.are_same(first, r) then
      first.state = "varied"
      first.why = ("at first: %s; the %d. time: %s"):format(row.signature(first), time, row.signature(r))
      break
    end
  end
  return first
end

--- A stage that can be replaced.
local Theatre = {}
Theatre.__index = Theatre

function Theatre.open(matrix)
  return setmetatable({
    matrix = matrix, stage = stages.open { proxy = matrix.proxy, sizes = matrix.sizes },
  }, Theatre)
end

function Theatre:__close()
  if self.stage then self.stage:close() end
end

--- Play a cell.  One that raises (a deadlock, the lab's deadline) fails, and the others go on, on another stage.
function Theatre:play(cell, n)
  local matrix = self.matrix
  local good, result = pcall(play, self.stage, cell, n, matrix.system, matrix.times)
  if good then return result end
  if core.is_interrupted() then error(result, 0) end
  self.stage = self.stage:close()
  self.stage = stages.open { proxy = matrix.proxy, sizes = matrix.sizes }
  return row.unplayed(cell, n, matrix.system, "failed", tostring(result))
end

--- Walk over the rows of this share, or of those cells of it that are wanted, played right here.
local function play_here(self, is_mine)
  local theatre = Theatre.open(self)
  local cells, total = self.plan:cells(self.share, self.shares, is_mine), self.plan.total
  return function()
    local n, cell = cells()
    if not n then return nil end
    local r = theatre:play(cell, n)
    r.of = total
    return r
  end, nil, nil, theatre
end

local Crew = {}
Crew.__index = Crew

function Crew:__close()
  for _, worker in ipairs(self) do worker:close() end
end

-- So many cells in a row are one worker's: neighbours differ in what they cost, and always in the same way.
local CHUNK = 16

--- The next row of a worker; nil where there is none any more.
local function read_row(worker, i)
  local line = worker:read()
  if line and line:sub(1, 1) == "!" then error(line:sub(2), 0) end
  if line then return assert(row.decode(line)) end
  local how, number = worker:status()
  if how ~= "exit" or number ~= 0 then error(("worker %d was ended by %s %d"):format(i, how, number), 0) end
end

--- The same, shared out among processes.  The rows come in order all the same.
local function play_elsewhere(self)
  local crew = setmetatable({}, Crew)
  for i = 1, self.jobs do
    crew[i] = core.worker(function(emit)
      local function is_mine(k) return (k - 1) // CHUNK % self.jobs == i - 1 end
      for r in play_here(self, is_mine) do
        if not emit(row.encode(r)) then return end
      end
    end)
  end
  local k = 0
  return function()
    local turn = k // CHUNK % self.jobs + 1
    k = k + 1
    return read_row(crew[turn], turn)
  end, nil, nil, crew
end

--- Play every cell of this share, in order: `for row in matrix:rows() do … end`.
function Matrix:rows()
  if self.jobs == 1 then return play_here(self) end
  return play_elsewhere(self)
end

return Matrix
