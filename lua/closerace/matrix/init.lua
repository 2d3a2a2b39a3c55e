--- race.matrix { … }: every close race there is, against one system, judged.
-- The manual is docs/matrix.md.

local core = require "closerace.core"
local count_of = require "closerace.count"
local axes = require "closerace.matrix.axes"
local nearest = require "closerace.nearest"
local plain = require "closerace.plain"
local planning = require "closerace.matrix.plan"
local play = require "closerace.matrix.play"
local row = require "closerace.matrix.row"
local stages = require "closerace.matrix.stage"
local systems = require "closerace.system"
local trouble = require "closerace.trouble"

local Matrix = {}
Matrix.__index = Matrix

local known = {
  system = true, proxy = true, sut = true, proxy_cmd = true, client_cmd = true, client_request = true,
  client_answer = true, full = true, stride = true, shard = true, jobs = true, times = true,
}
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
      fail("%s: '%s' is unknown; %sallowed: all, %s", axis, tostring(name),
        nearest.hint(tostring(name), axes.words(axis)), table.concat(axes.words(axis), ", "))
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

--- The system that options ask for: one that is there already, or a driver's, a command's, our own.
local function read_system(options)
  local given = {}
  for _, option in ipairs { "system", "proxy", "sut", "proxy_cmd", "client_cmd" } do
    if options[option] ~= nil then given[#given + 1] = option end
  end
  if #given > 1 then fail("%s: only one of them can be the system", table.concat(given, ", ")) end
  for _, option in ipairs { "client_request", "client_answer" } do
    if options[option] and options.client_cmd == nil then fail("%s: goes with client_cmd", option) end
  end
  if options.system then return options.system end
  if options.proxy ~= nil and type(options.proxy) ~= "table" then fail("proxy: expected a table of options") end
  local system, why
  if options.sut ~= nil then
    system, why = systems.driven(tostring(options.sut))
  elseif options.proxy_cmd ~= nil then
    system, why = systems.command(tostring(options.proxy_cmd))
  elseif options.client_cmd ~= nil then
    system, why = systems.client_command(
      tostring(options.client_cmd), options.client_request, options.client_answer)
  else
    system = systems.own(options.proxy or {})
  end
  if not system then fail("%s: %s", given[1], why) end
  return system
end

--- Make a matrix: its cells are known and counted, and none was played.
function Matrix.new(options)
  options = options or {}
  for name in pairs(options) do
    if not known[name] then
      fail("unknown option '%s'; allowed: %s, proxy, sut, proxy_cmd, client_cmd, client_request, client_answer, full, "
        .. "stride, shard, jobs, times", tostring(name), table.concat(axes.names, ", "))
    end
  end
  local wanted = {}
  for _, axis in ipairs(axes.names) do wanted[axis] = read_axis(axis, options[axis]) end
  local system = read_system(options)
  if system.request and not wanted.request then wanted.request = { [system.request] = true } end
  local stride = read_count(options, "stride", 1)
  if stride > 1 and not options.full then fail("stride: goes with full; by default there are three offsets") end
  local self = setmetatable({
    system = system, jobs = read_count(options, "jobs", 1), times = read_count(options, "times", 1),
  }, Matrix)
  self.share, self.shares = read_shard(options.shard)
  if system.lacks then
    self.lack, self.plan = system.lacks, planning.none()
    return self
  end
  local stage <close> = stages.open { system = system }
  self.plan = planning.new {
    wanted = wanted, full = options.full, stride = stride, verifies = system.verifies,
    kind = system.kind, is_command = system.is_command,
    size = function(request, response, kind) return stage:size(request, response, kind) end,
  }
  self.sizes, self.is_blind = stage.sizes, stage.is_blind
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
  return ("matrix (%s, %s)"):format(count_of(self:count(), "cell"), self.system.name)
end

-- ------------------------------------------------------------------------- playing --

--- Stages that can be replaced.
-- A quick stage gives up on a cell that has to wait, and the program has that in hand still: what a timer of its own
-- has it do later (Caddy tries again after 50 ms) falls into another cell.  Where the order of two things is all that a
-- cell is about, it could come between them; so such cells have a stage for themselves, with a program that has
-- nothing else in hand.
local Theatre = {}
Theatre.__index = Theatre

-- A program that did not start so many times in a row will not be started again.  One that dies of a cell will.
local MAX_FAILURES = 3

function Theatre.open(matrix, is_quick)
  return setmetatable({ matrix = matrix, is_quick = is_quick, n_failures = 0 }, Theatre)
end

--- Close the stage of that name.
function Theatre:close_stage(name)
  if self[name] then self[name]:close() end
  self[name] = nil
end

function Theatre:close()
  self:close_stage("stage")
  self:close_stage("race_stage")
end
Theatre.__close = Theatre.close

--- Open the stage of that name, unless there is one.  Whether that goes well is counted.
function Theatre:open_stage(name)
  self.n_failures = self.n_failures + 1
  self[name] = self[name] or stages.open {
    system = self.matrix.system, sizes = self.matrix.sizes, is_blind = self.matrix.is_blind, is_quick = self.is_quick,
  }
  self.n_failures = 0
  return self[name]
end

--- Something went wrong: it is kept for rows to tell.
function Theatre:note(why)
  if core.is_interrupted() then error(why, 0) end
  trouble(why)
  self.why = plain(why)
  self:close()
end

--- Open the stage before the first cell is there.  Where that fails, the cells will tell.
function Theatre:prepare()
  local good, why = pcall(self.open_stage, self, "stage")
  if not good then self:note(why) end
end

--- Play a cell on the stage for its kind.
function Theatre:play_on_stage(cell, n)
  local matrix = self.matrix
  -- A client's command is another process for each cell.
  local alone = self.is_quick and not matrix.system.is_command and play.is_queued(cell)
  local name = alone and "race_stage" or "stage"
  local r = play.row(self:open_stage(name), cell, n, matrix.times)
  if alone and not r then self:close_stage(name) end
  return r
end

--- Play a cell.  One that raises (a deadlock, a program that dies, the lab's deadline) fails, and the others go on, on
-- another stage.
-- @return its row, as play.row() does
function Theatre:play(cell, n)
  local matrix = self.matrix
  if self.n_failures >= MAX_FAILURES and not matrix.system.is_ours then
    return row.unplayed(cell, n, matrix.system.name, "failed", self.why)
  end
  local good, result = pcall(self.play_on_stage, self, cell, n)
  if good then return result end
  self:note(result)
  return row.unplayed(cell, n, matrix.system.name, "failed", self.why)
end

-- ------------------------------------------------------------------------ shared out --

--- Walk over the rows of this share, or of those cells of it that are wanted, played right here.
-- @param is_mine  function(k): is the k-th cell wanted?  nil: all are
-- @param is_quick a cell that has to wait is not played; its row has the state "waits"
local function play_here(self, is_mine, is_quick)
  local theatre = Theatre.open(self, is_quick)
  local cells, total = self.plan:cells(self.share, self.shares, is_mine), self.plan.total
  return function()
    local n, cell = cells()
    if not n then return nil end
    local r = theatre:play(cell, n) or row.unplayed(cell, n, self.system.name, "waits")
    r.of = total
    return r
  end, nil, nil, theatre
end

local Crew = {}
Crew.__index = Crew

-- What a worker says before its first row.
local READY = "ready"

--- The next line of the i-th worker; nil where there is none any more.
function Crew:read(i)
  local line = self[i]:read()
  if line and line:sub(1, 1) == "!" then error(line:sub(2), 0) end
  if line then return line end
  local how, number = self[i]:status()
  if how ~= "exit" or number ~= 0 then error(("worker %d was ended by %s %d"):format(i, how, number), 0) end
end

--- Start so many workers.
-- Whose program has started plays already, and its timeouts are real: were all to start at once, they would keep
-- it waiting for longer.  So no more than two start at a time.
-- @param play_share  function(i): the walk of the i-th
function Crew:start(n, play_share)
  for i = 1, n do
    self[i] = core.worker(function(emit)
      local rows, _, _, theatre <close> = play_share(i)
      theatre:prepare()
      if not emit(READY, true) then return end
      for r in rows do
        if not emit(row.encode(r)) then return end
      end
    end)
    if i > 1 then self:read(i - 1) end
  end
  self:read(n)
end

function Crew:__close()
  for _, worker in ipairs(self) do worker:close() end
end

--- Walk over the rows that so many processes play; the k-th is played by the turn(k)-th.
local function play_elsewhere(n, turn, play_share)
  local crew, k = setmetatable({}, Crew), 0
  return function()
    if k == 0 then crew:start(n, play_share) end
    k = k + 1
    local line = crew:read(turn(k))
    return line and assert(row.decode(line))
  end, nil, nil, crew
end

-- So many cells in a row are one worker's: neighbours differ in what they cost, and always in the same way.
local CHUNK = 16

--- The same cells in chunks, by as many processes as are wanted.
local function play_beside(self, is_quick)
  local function turn(k) return (k - 1) // CHUNK % self.jobs + 1 end
  return play_elsewhere(self.jobs, turn, function(i)
    -- On one processor, whom we wake goes on at once.
    if not self.system.is_ours then core.pin(i) end
    return play_here(self, function(k) return turn(k) == i end, is_quick)
  end)
end

-- Cells that wait in real time are played beside one another, by so many processes; by fewer, where each needs much.
local WAITERS, SLOW_WAITERS = 80, 24

-- So many cells at least are worth the start of a program.
local WAITS = 4

--- Walk over the rows of the cells that have to wait.
-- @param waiting  k → true
local function play_waiting(self, waiting, n)
  local most = self.system.slow and SLOW_WAITERS or WAITERS
  local workers = math.min(math.ceil(n / WAITS), most)
  local function turn(k) return (k - 1) % workers + 1 end
  return play_elsewhere(workers, turn, function(i)
    core.pin(i)
    local place = 0
    return play_here(self, function(k)
      if not waiting[k] then return false end
      place = place + 1
      return turn(place) == i
    end)
  end)
end

--- With an external program: first what needs no time, one cell after the other; then, side by side, what does.
local function play_outside(self)
  local waiting, n_waiting, k = {}, 0, 0
  local rows, _, _, crew = play_beside(self, true)
  local phase = setmetatable({ crew }, { __close = function(phase) phase[1]:__close() end })
  local function first_pass()
    for r in rows do
      k = k + 1
      if r.state ~= "waits" then return r end
      waiting[k], n_waiting = true, n_waiting + 1
    end
  end
  local is_second = false
  return function()
    local r = not is_second and first_pass()
    if r or is_second then return r or rows() end
    is_second = true
    crew:__close()
    if n_waiting == 0 then return nil end
    rows, _, _, phase[1] = play_waiting(self, waiting, n_waiting)
    return rows()
  end, nil, nil, phase
end

--- Play every cell of this share, in order: `for row in matrix:rows() do … end`.  With an external program, cells that
-- wait in real time come behind all others.
function Matrix:rows()
  if not self.system.is_ours then return play_outside(self) end
  if self.jobs == 1 then return play_here(self) end
  return play_beside(self)
end

return Matrix
