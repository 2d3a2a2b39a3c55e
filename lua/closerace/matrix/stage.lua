--- Where cells are played: one lab with a system under test, reset before each cell.
-- A stage sets a race up, lets it run, sends the client's next request, and returns facts; what they mean is for
-- judge.lua.

local axes = require "closerace.matrix.axes"
local command_stage = require "closerace.matrix.command_stage"
local buffers = require "closerace.matrix.buffers"
local core = require "closerace.core"
local plan = require "closerace.matrix.plan"

local Stage = {}
Stage.__index = Stage

-- A client that expects 100 (Continue) and gets none sends its body all the same (RFC 9110 10.1.1).
local EXPECT_MS = 1000

-- A program that is still busy after so much processor time was not made to rest; as it starts, it may have much to
-- do.
local REST_MS, START_MS = 10000, 20000

-- A program that does not answer so soon without any fault, never will.
local MEASURE_MS = 2000

-- Asleep, nobody looks whether the kernel has brought anything.
local DOZE_MS = 50

--- Open a stage.
-- @param options.system    see closerace.system
-- @param options.timeline  keep it, for a person to read
-- @param options.sizes     of another stage with the same system: they need not be measured again
-- @param options.is_blind  of another stage, too; nil: it is found out
-- @param options.is_quick  play nothing that waits for real time to go by
-- @param options.is_free   an external program's threads run as they like
function Stage.open(options)
  local system = options.system
  if system.is_command then return command_stage.open(options) end
  local lab = core.lab { deadline_ms = 120000, timeline = options.timeline or false, private = true }
  local backend = lab:backend()
  local good, target = pcall(system.open, lab, backend)
  if not good then
    lab:close()
    error(target, 0)
  end
  local timeout_ms = system.is_ours and system.patience_ms or 0
  local function client() return lab:client { to = target, timeout_ms = timeout_ms } end
  local self = setmetatable({
    lab = lab, backend = backend, system = system, target = target, sizes = options.sizes or {}, wires = {},
    warm_client = client(), other_client = client(), cannot_vanish = core.cannot_vanish(), n_plays = 0,
    is_quick = options.is_quick, is_blind = options.is_blind, rest_ms = START_MS, options = options,
  }, Stage)
  if system.is_ours then return self end
  good, target = pcall(Stage.greet, self)
  if good then return self end
  lab:close()
  error(target, 0)
end

function Stage:close()
  self.lab:close()
end
Stage.__close = Stage.close

--- Begin with another process of the program.
function Stage:renew()
  self:close()
  local options = { sizes = self.sizes, is_blind = self.is_blind }
  for name, value in pairs(self.options) do options[name] = options[name] or value end
  for name, value in pairs(Stage.open(options)) do self[name] = value end
  self.is_spent = false
end

-- ----------------------------------------------------------------------- resting --

--- An external program has ended, or is busy for ever: nothing can be played with it.
function Stage:check()
  local target = self.target
  if not self.system.is_ours and target.exited then
    local how, number = target:wait_exit()
    error(("%s ended by itself (%s %d); it said: %s"):format(self.system.name, how, number, target.output), 0)
  end
end

--- Let happen what can happen without time going by.
function Stage:settle()
  if self.system.is_ours then
    self.lab:advance(0)
  elseif not self.lab:rest(self.rest_ms) then
    self:check()
    error(("%s is busy and does not come to rest"):format(self.system.name), 0)
  end
end

--- Begin anew: nobody is connected, nothing was asked.
-- A program may be about to send again what the last cell has asked; that is another request, with another id.
function Stage:clear()
  self.n_plays = self.n_plays + 1
  self.lab:reset()
  if self.system.is_ours then return end
  self:check()
  self:settle()
  if self.backend.n_conns > 0 then
    self.lab:reset()
    self:settle()
  end
  if self.is_blind then self:take_connection() end
end

-- --------------------------------------------------------------------- the request --

-- The other two requests of a cell: the first of all, and the client's next one.
local WARM = {}
local NEXT = { method = "POST", body = "amount=20" }

--- Give a request its id.  With an external program no other one of this stage has the same, and where responses might
-- be kept, nor has another one the same path; their lengths are always the same.
local function give_id(stage, word, wire, path)
  wire.id = stage.system.is_ours and word or ("%s%08d"):format(word, stage.n_plays)
  wire.path = path
  if stage.system.unique then
    wire.path = ("%s%su=%s"):format(path, path:find("?", 1, true) and "&" or "?", wire.id)
  end
  return wire
end

--- What lab.client takes, for a request and the shape of its response.
function Stage:wire(request, response)
  local key = request.name .. "/" .. response.name
  local wire = self.wires[key]
  if not wire then
    wire = { method = request.method, headers = {} }
    if request.key then wire.headers[#wire.headers + 1] = { "Idempotency-Key", "k1" } end
    if request.expect then
      wire.headers[#wire.headers + 1] = { "Expect", "100-continue" }
      wire.open, wire.length = true, #request.body
    else
      wire.body, wire.chunked = request.body, request.chunked
    end
    self.wires[key] = wire
  end
  return give_id(self, "v", wire, response.path .. (request.query or ""))
end

--- What lab.client takes, for a request in front of the victim.
function Stage:warming()
  return give_id(self, "w", WARM, "/warm")
end

--- The client sends the victim.  Where it expects 100 (Continue), the body waits for that, or for a second.
local function start(stage, cell)
  local wire = stage:wire(cell.request, cell.response)
  stage.victim = stage.client:start(wire)
  return wire.id
end

local function send_body(stage, cell)
  local exchange = stage.victim
  if not cell.request.expect then return end
  stage:settle()
  if stage.system.is_ours and not exchange.done and exchange.interim == 0 then stage.lab:advance(EXPECT_MS) end
  if exchange.done then return end
  exchange:send(cell.request.body)
  exchange:finish()
end

--- Wait for an exchange.  With a program its patience is counted only while nobody does anything: a busy machine makes
-- nothing time out.
-- @return false where only time would bring its end, and the stage is quick
local function has_ended(stage, exchange, patience_ms)
  if stage.system.is_ours then return exchange:wait() end
  stage:settle()
  local left_ms = patience_ms or stage.system.patience_ms
  while not exchange.done do
    if stage.is_quick and not patience_ms then return false end
    if left_ms <= 0 then
      exchange:time_out()
    else
      left_ms = left_ms - stage.lab:doze(math.min(DOZE_MS, left_ms))
    end
    stage:settle()
  end
  return true
end

-- Requests with a larger body do not ask whether a program looks at its connections.
local SMALL = 65536

-- A program may need some time of its own before it answers for the first time.
local MAX_GREETINGS = 20

--- Without any fault, send a request that is not the victim.  Returns its reply.
local function ask(stage, word, wire, path)
  local exchange = stage.warm_client:start(give_id(stage, word, wire, path))
  has_ended(stage, exchange, MEASURE_MS)
  return exchange:wait()
end

--- What the system answers to a request of the matrix, without any fault.
local function answer_to(stage, request)
  stage.n_plays = stage.n_plays + 1
  local exchange = stage.warm_client:start(stage:wire(request, axes.response.cl))
  has_ended(stage, exchange, MEASURE_MS)
  return exchange:wait().status
end

--- Does the program see the end of an idle connection?  It may look before some requests and not before others.
-- One that is answered otherwise after the end of all connections than it is without, met one that had ended.
local function is_blind(stage)
  for _, request in ipairs(axes.request) do
    if not request.expect and #(request.body or "") < SMALL then
      local before = answer_to(stage, request)
      stage.lab:reset()
      stage:settle()
      if answer_to(stage, request) ~= before then return true end
    end
  end
  return false
end

--- A program has started: wait until it answers, and find out whether it is blind.
-- From then on its threads run in order; not before, so that one that starts keeps no other one waiting that plays.
function Stage:greet()
  local reply
  for n = 1, MAX_GREETINGS do
    self.n_plays = n
    reply = ask(self, "w", WARM, "/warm")
    if reply.status == 200 and reply.complete then
      self.rest_ms = REST_MS
      if not self.options.is_free then self.target:line_up() end
      self.lab:reset()
      self:settle()
      if self.is_blind == nil then self.is_blind = is_blind(self) end
      return
    end
    self:check()
    if reply.timeout then break end
    self.lab:doze(DOZE_MS)
  end
  error(("without any fault, %s answers GET /warm with %s"):format(self.system.name, tostring(reply)), 0)
end

--- A program that is blind may keep a connection that the reset has ended: its next request finds that out, and the one
-- behind it takes another connection away again, with an announced end.
function Stage:take_connection()
  for _ = 1, 3 do
    local wire = give_id(self, "f", WARM, "/warm")
    self.backend:fault { on = "response_end", close = "fin", announce = true, id = wire.id, optional = true }
    if ask(self, "f", WARM, "/warm").status == 200 then return end
  end
  error(("%s does not let go of a connection that has ended"):format(self.system.name), 0)
end

--- A request before the victim.  Without its answer the cell's race has not been prepared, and is not played.
local function warm_up(stage)
  local exchange = stage.client:start(give_id(stage, "w", WARM, "/warm"))
  has_ended(stage, exchange, MEASURE_MS)
  local reply = exchange:wait()
  if reply.status == 200 and reply.complete then return end
  stage:check()
  error(("the cell was not played: %s answered the warming GET /warm with %s"):format(
    stage.system.name, tostring(reply)), 0)
end

--- So many requests, over the connection that the victim will ride; nobody is busy afterwards.
local function warm(stage, cell)
  local uses = cell.connection.uses
  stage.client = stage.warm_client
  for _ = 1, uses do warm_up(stage) end
  if uses > 0 and cell.client.name == "first" then
    stage.client = stage.other_client
  elseif uses == 0 and cell.client.name == "later" then
    -- The backend closes that connection, and says so.
    local id = give_id(stage, "w", WARM, "/warm").id
    stage.backend:fault { on = "response_end", close = "fin", announce = true, id = id, optional = true }
    warm_up(stage)
  end
end

--- A request without any fault: how many bytes it, and its final response, have at the backend.
-- @return them; or nil and what the system answers instead
local function try_to_measure(stage, request, response)
  stage:clear()
  local cell = { request = request, response = response }
  stage.client = stage.warm_client
  local id = start(stage, cell)
  send_body(stage, cell)
  has_ended(stage, stage.victim, MEASURE_MS)
  local reply, sent = stage.victim:wait(), stage.backend:ledger(id)[1]
  if reply.complete and sent and sent.answered_whole then
    local line = #request.method + 1 + #stage:wire(request, response).path + #" HTTP/1.1\r\n"
    return { request = sent.read, head = sent.head, response = sent.answered, line = line }
  end
  stage:check()
  local why = ("without any fault, %s answers the request %s (%s) with %s"):format(
    stage.system.name, request.name, response.name, tostring(reply))
  if stage.system.is_ours then error(why, 0) end
  if not reply.complete then error(("%s; it said: %s"):format(why, stage.target.output:sub(-500)), 0) end
  return nil, why
end

--- A program that refuses a request does so again; one whose own timeout has gone by on a busy machine does not.
local function measure(stage, request, response)
  local sizes, why
  for _ = 1, 3 do
    sizes, why = try_to_measure(stage, request, response)
    if sizes then break end
  end
  return sizes, why
end

--- The sizes of a request and its response; measured once.
-- @return as try_to_measure() does
function Stage:measures(request, response)
  local key = request.name .. "/" .. response.name
  local sizes = self.sizes[key]
  if not sizes then
    local why
    sizes, why = measure(self, request, response)
    sizes = sizes or { refused = why }
    self.sizes[key] = sizes
  end
  if sizes.refused then return nil, sizes.refused end
  return sizes
end

--- One of them.  Needs: the system answers that request.
function Stage:size(request, response, kind)
  return self:measures(request, response)[kind]
end

--- The cell's byte offset as a number, and of how many bytes; nil where it has none.
function Stage:offset(cell)
  if not cell.at then return nil end
  local size = self:size(cell.request, cell.response, cell.point.offsets)
  return plan.resolve(cell.at, size), size
end

-- ------------------------------------------------------------------------ the race --

local function fault_for(stage, cell)
  local id = stage:wire(cell.request, cell.response).id
  return {
    on = cell.point.name, at = stage:offset(cell), close = cell.ending.close, say = cell.ending.say,
    times = cell.second.times, id = cell.point.name ~= "accept" and id or nil, optional = true,
  }
end

local function end_by_hand(stage, cell, conn)
  if conn.ended or conn.closed then return end
  conn:close(cell.ending.close, cell.ending.say and { say = cell.ending.say })
  stage.n_ended = stage.n_ended + 1
end

--- End the idle connection; a program may have several, and nobody knows which it will take.
local function end_idle(stage, cell)
  for n = 1, stage.backend.n_conns do
    local conn = stage.backend:conn(n)
    if conn.idle then end_by_hand(stage, cell, conn) end
  end
end

--- The fault table does it.
local function by_fault(stage, cell)
  stage.backend:fault(fault_for(stage, cell))
  start(stage, cell)
  send_body(stage, cell)
end

--- The idle connection is ended, and everybody has seen what there is to see.
local function before(stage, cell)
  end_idle(stage, cell)
  stage:settle()
  start(stage, cell)
  send_body(stage, cell)
end

--- Two things are queued in that order before the system looks.
-- The client has its connection by then: what is queued is the request, and not a connect before it.
local function queue(stage, cell, one, other)
  stage.client:connect()
  stage:settle()
  local function both()
    one(stage, cell)
    other(stage, cell)
  end
  if stage.system.is_ours then both() else stage.lab:turn(both) end
  send_body(stage, cell)
end

local function close_first(stage, cell) queue(stage, cell, end_idle, start) end
local function request_first(stage, cell) queue(stage, cell, start, end_idle) end

local function release(stage)
  local held = stage.target:held()
  if held then held:release() end
  stage:settle()
  return held ~= nil
end

--- An attempt stands at a checkpoint while the connection that it rides, or is about to, is ended by hand.
local function held_by_hand(stage, cell)
  local held = cell.order.held
  -- A connection that becomes idle serves nobody; it is the victim's all the same.
  local of = held ~= "idle" and { id = "v" } or {}
  of.times = held == "sending" and cell.second.times or 1
  stage.target:hold(cell.order.machine .. "." .. held, of)
  start(stage, cell)
  stage:settle()
  while stage.target:held() do
    stage.n_held = stage.n_held + 1
    end_by_hand(stage, cell, stage.backend:conn(stage.backend.n_conns))
    release(stage)
  end
  send_body(stage, cell)
end

--- How much of the request may leave before the close comes, where the attempt stands in the middle of sending.
local function bytes_before(stage, cell)
  local name = cell.point.name
  if name == "arrival" then return 1 end
  if name == "request_byte" then
    return (stage:offset(cell))
  elseif name == "request_line" or name == "request_head" then
    return stage:size(cell.request, cell.response, name == "request_line" and "line" or "head")
  end
end

--- The n-th attempt stands at a checkpoint when the fault table ends its connection.
local function held_by_fault(stage, cell)
  local order, backend = cell.order, stage.backend
  local fault, after = fault_for(stage, cell), nil
  if order.held == "sending" then after = bytes_before(stage, cell) end
  if after then
    -- What has arrived by then need not tell whose it is: the connection does.  Attempts that are not held are ended
    -- by id, as ever.
    local reused = cell.connection.uses > 0
    local held = { on = fault.on, at = fault.at, close = fault.close, say = fault.say, optional = true }
    held.conn = order.attempt + backend.n_conns - (reused and 1 or 0)
    held.request = order.attempt == 1 and reused and cell.connection.uses + 1 or 1
    backend:fault(held)
    if cell.second.times > 1 then
      fault.times = fault.times - 1
      backend:fault(fault)
    end
  else
    backend:fault(fault)
  end
  stage.target:hold(order.machine .. "." .. order.held, { id = "v", attempt = order.attempt, after_bytes = after })
  start(stage, cell)
  send_body(stage, cell)
  stage:settle()
  while release(stage) do stage.n_held = stage.n_held + 1 end
end

local function way_of(cell)
  local order, point = cell.order, cell.point
  if order.held then return point.name == "idle" and held_by_hand or held_by_fault end
  if order.name == "close-first" then return close_first end
  if order.name == "request-first" then return request_first end
  return point.name == "idle" and before or by_fault
end

--- What a proxy asks for itself (OPTIONS *) is nobody's.
local function is_own(sending) return sending.id == "" and sending.path == "*" end

--- Has the program asked for something itself, and is waiting for an answer that will not come?  What it makes of the
-- reset that ends that (Perlbal opens no connection for a second) must not be part of the next cell.
local function is_left_waiting(stage, cell)
  if stage.system.is_ours or not axes.tells_nobody(cell.ending.name) then return false end
  for _, sending in ipairs(stage.backend:ledger()) do
    if is_own(sending) and not sending.answered_whole then return true end
  end
  return false
end

--- The sendings of the ledger, those of the victim and those of the client's next request.
local function sort_sendings(stage, id, next_id)
  local sendings, next_sendings = {}, {}
  for _, sending in ipairs(stage.backend:ledger()) do
    local list
    if sending.unseen then
      list = nil                        -- something may have been sent, or nothing: the verdict says so
    elseif sending.id == next_id then
      list = next_sendings
    elseif sending.id == id or sending.id == "" and not is_own(sending) then
      -- Too little may have come to tell whose it was.
      list = sendings
    end
    if list then list[#list + 1] = sending end
  end
  return sendings, next_sendings
end

local function play(stage, cell)
  stage:clear()
  stage.n_held, stage.n_ended = 0, 0
  warm(stage, cell)
  local id = stage:wire(cell.request, cell.response).id
  way_of(cell)(stage, cell)
  if not has_ended(stage, stage.victim) then return nil end
  if cell.second.name ~= "all" then stage.backend:clear_faults() end
  local wire = give_id(stage, "n", NEXT, "/next")
  local next_one = stage.client:start(wire)
  if not has_ended(stage, next_one) then return nil end
  local how = { wait = stage.system.is_ours }     -- what has ended at a program has ended at rest
  local verdict, next_verdict = stage.lab:verdict(id, how), stage.lab:verdict(wire.id, how)
  stage:check()
  local sendings, next_sendings = sort_sendings(stage, id, wire.id)
  return {
    at = stage:offset(cell), reply = stage.victim:wait(), next_reply = next_one:wait(),
    verdict = verdict, next_verdict = next_verdict, sendings = sendings, next_sendings = next_sendings,
    attempts = stage.system.is_ours and stage.target:attempts(id) or {}, n_held = stage.n_held,
    n_ended = stage.n_ended, kind = stage.system.kind,
  }
end

--- Play a cell.
-- @return nil where a quick stage would have to wait; else facts: at, the byte offset; reply, verdict, next_reply,
-- next_verdict; sendings and next_sendings, from the ledger; attempts, from the proxy; n_held; n_ended, connections
-- that were ended by hand; kind, of the system.  All is data; the stage can go on to the next cell.
function Stage:play(cell)
  if self.is_spent then self:renew() end
  assert(self:measures(cell.request, cell.response))      -- it may need the stage for itself
  local facts = play(self, cell)
  self.is_spent = is_left_waiting(self, cell)
  return facts
end

--- The timeline of the cell that was played last.
function Stage:trace()
  return self.lab:trace()
end

--- Why a cell cannot be played here; nil where it can.
function Stage:lacks(cell)
  if cell.ending.close == "vanish" and self.cannot_vanish then return self.cannot_vanish end
  local held = axes.is_refused_upload(cell) and buffers.hold(#cell.request.body)
  if held then return held end
  local _, why = self:measures(cell.request, cell.response)
  return why
end

return { open = Stage.open }
