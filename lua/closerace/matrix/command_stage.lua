--- Where cells are played with a client command: a program that is run once for each of them, in a lab of its own.
-- The program asks for warming URLs first, then for one that another server, the gate, keeps waiting, then for the
-- victim.  While it waits, its connection is idle: what the order of the cell asks for is done then, and the gate
-- opened.  The interface is that of stage.lua.  The client's next request does not exist.

local axes = require "closerace.matrix.axes"
local buffers = require "closerace.matrix.buffers"
local core = require "closerace.core"
local count_of = require "closerace.count"
local plan = require "closerace.matrix.plan"

local Stage = {}
Stage.__index = Stage

-- A program that is still busy after so much processor time was not made to rest.
local REST_MS = 10000

-- One that rests without having asked for what comes next waits for something else; it gets that long.
local START_MS = 2000

-- Asleep, nobody looks whether the kernel has brought anything.
local DOZE_MS = 50

local WARM, GATE, VICTIM = "/id/w/bytes/0", "/id/g/bytes/0", "/id/v"

--- Open a stage.
-- @param options  as of stage.lua
function Stage.open(options)
  local self = setmetatable({
    system = options.system, timeline = options.timeline or false, sizes = options.sizes or {},
    is_quick = options.is_quick, cannot_vanish = core.cannot_vanish(),
  }, Stage)
  if next(self.sizes) == nil and self.system.request then
    -- Whether it makes its request at all is said at once.
    local good, why = pcall(self.measures, self, axes.request[self.system.request], axes.response.cl)
    if not good then
      self:close()
      error(why, 0)
    end
  end
  return self
end

function Stage:close()
  if self.lab then self.lab:close() end
  self.lab = nil
end
Stage.__close = Stage.close

-- ----------------------------------------------------------------------- the program --

--- The last line of what it said, without what differs from one run to the next.
local function last_words(stage)
  local line = stage.target.errors:match "([^\n]*[^%s])%s*$"
  if not line then return nil end
  for _, server in ipairs { stage.backend, stage.gate } do
    line = line:gsub("%f[%d]" .. server.port .. "%f[%D]", "PORT")
  end
  return (line:gsub("%f[%d]%d+ ms%f[%W]", "N ms"):gsub("%f[%d]%d+ milliseconds", "N milliseconds"))
end

local function fail(stage, format, ...)
  error(("without any fault, %s %s; it said: %s"):format(
    stage.system.name, format:format(...), last_words(stage) or "nothing"), 0)
end

--- Let happen what can happen without time going by.
local function settle(stage)
  if not stage.lab:rest(REST_MS) then
    error(("%s is busy and does not come to rest"):format(stage.system.name), 0)
  end
end

--- Wait for what the program is to do next.  That it rests says nothing as long as that has not come: what it has sent
-- may still be under way in the kernel of a busy machine.
-- @param patience_ms  counted only while nobody does anything: a busy machine makes nothing time out
-- @return false where it ends, or waits for something else
local function await(stage, patience_ms, is_there)
  local left_ms = patience_ms
  settle(stage)
  while not is_there() do
    if stage.target.exited or left_ms <= 0 then return false end
    left_ms = left_ms - stage.lab:doze(math.min(DOZE_MS, left_ms))
    settle(stage)
  end
  return true
end

--- Wait for its end, or for so long.
local function await_end(stage, patience_ms)
  await(stage, patience_ms, function() return stage.target.exited end)
end

--- A lab without a program.
local function clear(stage)
  stage:close()
  stage.lab = core.lab { deadline_ms = 60000, timeline = stage.timeline, private = true }
  stage.backend, stage.gate = stage.lab:backend(), stage.lab:backend { name = "gate" }
  stage.watcher = stage.lab:client { to = stage.backend }
  stage.target, stage.waiting, stage.n_ended = nil, nil, 0
end

--- How often does it ask for a warming URL?
local function n_warm(stage, cell)
  if stage.system.warms then return stage.system.warms end
  return cell.connection.uses > 0 and cell.connection.uses or cell.client.name == "later" and 1 or 0
end

local function path_of(cell)
  return VICTIM .. cell.response.path .. (cell.request.query or "")
end

--- Start the program; where there is a gate, until it waits there.
local function start(stage, cell)
  local function url(server, path) return ("http://%s%s"):format(server.address, path) end
  stage.gate:hold()
  stage.target = stage.system.run(stage.lab, stage.backend, {
    request = cell.request, n_warm = n_warm(stage, cell), warm = url(stage.backend, WARM),
    gate = stage.system.waits and url(stage.gate, GATE) or nil, url = url(stage.backend, path_of(cell)),
  })
  if not stage.system.waits then return end
  local asks = await(stage, START_MS, function() return stage.gate:accept() > 0 end)
  if not asks then fail(stage, "does not ask for $GATE") end
  stage.waiting = stage.gate:conn(1)
  stage.waiting:hold()
  stage.gate:release()
end

--- The victim begins: it is known from now on, and the program may go on.
local function begin(stage, cell)
  local request = cell.request
  local body = stage.system.knows_body and (request.body or "") or nil
  stage.victim = stage.watcher:watch { method = request.method, path = path_of(cell), id = "v", body = body }
  if stage.waiting then
    stage.waiting:release()
  else
    start(stage, cell)
  end
end

--- Everything that the program has to do by itself is done, connection by connection.
-- @param is_awaited  it is about to connect, unless it ends
local function let_connect(stage, is_awaited)
  if is_awaited then await(stage, START_MS, function() return stage.backend:accept() > 0 end) end
  repeat settle(stage) until stage.backend:accept() == 0
  stage.backend:release()
end

--- Wait for its end.
-- @return false where only time would bring it, and the stage is quick
local function has_ended(stage)
  settle(stage)
  if stage.target.exited then return true end
  if stage.is_quick then return false end
  await_end(stage, stage.system.patience_ms)
  return true
end

--- What the program was told: it ends with 0, or not, or never.
local function tell(stage)
  local target, tale = stage.target, {}
  if not target.exited then
    tale.timeout = true
  else
    local how, number = target:wait_exit()
    if how == "exit" and number == 0 then
      tale = stage.system.reads(target) or {}
      tale.complete = true
    end
  end
  stage.victim:tell(tale)
  return tale
end

-- -------------------------------------------------------------------------- measuring --

--- Is that the request of the matrix?  Returns nil, or what is wrong.
local function is_other(request, sent)
  if sent.method ~= request.method then
    return ("makes a %s; the request %s is a %s"):format(sent.method, request.name, request.method)
  end
  local body = request.body or ""
  if (sent.content > 0) ~= (#body > 0) then
    return ("sends %s of content; the request %s has %d"):format(count_of(sent.content, "byte"), request.name, #body)
  end
end

--- A run without any fault: how many bytes the request, and its final response, have at the backend.
local function measure(stage, request, response)
  clear(stage)
  local uses = stage.system.warms or 1
  local cell = {
    request = request, response = response, connection = { uses = uses },
    client = { name = uses > 0 and "later" or "first" },
  }
  if stage.system.waits then start(stage, cell) end
  begin(stage, cell)
  settle(stage)
  local target, sent = stage.target, stage.backend:ledger("v")[1]
  await_end(stage, sent and stage.system.patience_ms or START_MS)
  sent = stage.backend:ledger("v")[1]
  if not target.exited then
    fail(stage, sent and "does not end" or "waits for something else and does not ask for $URL")
  end
  local how, number = target:wait_exit()
  if how ~= "exit" or number ~= 0 then fail(stage, "ends with %s %d", how, number) end
  if not sent then fail(stage, "ends without having asked for $URL") end
  local other = is_other(request, sent)
  if other then fail(stage, "%s", other) end
  if not sent.answered_whole then fail(stage, "ends before it was answered") end
  if stage.system.answers then
    tell(stage)
    if stage.lab:verdict("v").name == "garbled" then
      fail(stage, "writes %s to stdout, which is not the answer's body", count_of(#target.output, "byte"))
    end
  end
  return {
    request = sent.read, head = sent.head, response = sent.answered,
    line = #request.method + 1 + #sent.path + #" HTTP/1.1\r\n", n_carried = sent.request - 1,
  }
end

--- The sizes of a request and its response; measured once.  Needs: the system makes that request.
function Stage:measures(request, response)
  local key = request.name .. "/" .. response.name
  self.sizes[key] = self.sizes[key] or measure(self, request, response)
  return self.sizes[key]
end

--- One of them; of a request that the program does not make, one that allows for one cell.
function Stage:size(request, response, kind)
  return self.system.lacks_request(request) and 2 or self:measures(request, response)[kind]
end

--- The cell's byte offset as a number, and of how many bytes; nil where it has none.
function Stage:offset(cell)
  if not cell.at then return nil end
  local size = self:size(cell.request, cell.response, cell.point.offsets)
  return plan.resolve(cell.at, size), size
end

-- ------------------------------------------------------------------------------- races --

local function end_idle(stage, cell)
  for n = 1, stage.backend.n_conns do
    local conn = stage.backend:conn(n)
    if conn.idle and not conn.ended and not conn.closed then
      conn:close(cell.ending.close, cell.ending.say and { say = cell.ending.say })
      stage.n_ended = stage.n_ended + 1
    end
  end
end

--- The fault table does it.  The backend looks at nothing before the program has done what it can.
local function by_fault(stage, cell)
  local backend, used = stage.backend, nil
  backend:fault {
    on = cell.point.name, at = stage:offset(cell), close = cell.ending.close, say = cell.ending.say,
    times = cell.second.times, id = cell.point.name ~= "accept" and "v" or nil, optional = true,
  }
  if cell.connection.uses > 0 and stage.waiting then
    used = backend:conn(1)
    used:hold()
  end
  begin(stage, cell)
  if used then
    await(stage, START_MS, function() return used.closed or used.unread > 0 end)
    if not used.closed then used:release() end
  end
  let_connect(stage, not used)
end

--- The idle connection is ended, and everybody has seen what there is to see.
local function before(stage, cell)
  end_idle(stage, cell)
  settle(stage)
  begin(stage, cell)
  -- Where it is not told of the end by then, it waits in vain.
  let_connect(stage, cell.ending.close ~= "stall")
end

--- Two things are queued in that order before the program looks.
local function queue(stage, cell, one, other)
  stage.target:stop()
  one(stage, cell)
  settle(stage)                         -- the gate's answer is on its way, too
  other(stage, cell)
  settle(stage)
  stage.target:continue()
  let_connect(stage, true)
end

local function way_of(cell)
  local order = cell.order.name
  if order == "close-first" then return function(stage) queue(stage, cell, end_idle, begin) end end
  if order == "request-first" then return function(stage) queue(stage, cell, begin, end_idle) end end
  return cell.point.name == "idle" and before or by_fault
end

--- What the connection of the victim has carried before is played; nobody is busy afterwards.
local function warm(stage, cell)
  local n = n_warm(stage, cell)
  if n > 0 and cell.connection.uses == 0 then
    -- The backend closes that connection, and says so.
    stage.backend:fault {
      on = "response_end", close = "fin", announce = true, id = "w", request = n, optional = true,
    }
  end
  if stage.system.waits then start(stage, cell) end
end

--- The sendings of the ledger that are the victim's.
local function sendings_of(stage)
  local sendings = {}
  for _, sending in ipairs(stage.backend:ledger()) do
    -- Too little may have come to tell whose it was.
    if sending.id == "v" or sending.id == "" and not sending.unseen then sendings[#sendings + 1] = sending end
  end
  return sendings
end

--- Play a cell.
-- @return as stage.lua; reason, what the program said last, where it failed
function Stage:play(cell)
  self:measures(cell.request, cell.response)
  clear(self)
  warm(self, cell)
  self.backend:hold()
  way_of(cell)(self, cell)
  if not has_ended(self) then return nil end
  local tale = tell(self)
  local verdict, reply = self.lab:verdict "v", self.victim:wait()
  if tale.complete and not tale.status then reply.status, reply.mark = verdict.told.status, verdict.mark end
  return {
    at = self:offset(cell), reply = reply, verdict = verdict, sendings = sendings_of(self), attempts = {}, n_held = 0,
    n_ended = self.n_ended, kind = self.system.kind, reason = not tale.complete and last_words(self) or nil,
  }
end

--- The timeline of the cell that was played last.
function Stage:trace()
  return self.lab:trace()
end

-- --------------------------------------------------------------------- what is lacking --

--- Why the command line cannot bring the victim's connection about.
local function lacks_connection(system, cell)
  local uses, warms = cell.connection.uses, system.warms
  local is_later = cell.client.name == "later"
  if uses > 0 and not is_later then
    return "the first request of a client command rides no used connection"
  elseif warms == 0 and is_later then
    return "the command line has no $WARM: its request is the first"
  elseif warms and warms > 0 and not is_later then
    return "the command line has $WARM: its request is not the first"
  elseif warms and uses > 0 and warms ~= uses then
    return ("the command line has $WARM %s: it is needed %s"):format(
      count_of(warms, "time"), count_of(uses, "time"))
  elseif not system.waits and cell.point.name == "idle" then
    return "the command line has no $GATE: nobody knows when its connection is idle"
  end
end

--- Why a cell cannot be played here; nil where it can.
function Stage:lacks(cell)
  if cell.ending.close == "vanish" and self.cannot_vanish then return self.cannot_vanish end
  local held = axes.is_refused_upload(cell) and buffers.hold(#cell.request.body)
  if held then return held end
  local why = self.system.lacks_request(cell.request) or lacks_connection(self.system, cell)
  if why then return why end
  if self:measures(cell.request, cell.response).n_carried == 0 and cell.connection.uses > 0 then
    return "the program takes another connection for $URL than for $WARM"
  end
end

return { open = Stage.open }
