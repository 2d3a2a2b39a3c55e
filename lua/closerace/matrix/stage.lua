--- Where cells are played: one lab with our own proxy, reset before each cell.
-- A stage sets a race up, lets it run, sends the client's next request, and returns facts; what they mean is for
-- judge.lua.

local core = require "closerace.core"
local plan = require "closerace.matrix.plan"

local Stage = {}
Stage.__index = Stage

-- Longer than all timeouts of a proxy together: whoever has not answered by then, never will.
local TIMEOUT_MS = 3600000
-- A client that expects 100 (Continue) and gets none sends its body all the same (RFC 9110 10.1.1).
local EXPECT_MS = 1000

local WARM = { path = "/warm", id = "w" }
local NEXT = { method = "POST", path = "/next", id = "n", body = "amount=20" }

--- Open a stage.
-- @param options.proxy     options of lab:proxy, but for `to`
-- @param options.timeline  keep it, for a person to read
-- @param options.sizes     of another stage with the same proxy: they need not be measured again
function Stage.open(options)
  local lab = core.lab { deadline_ms = 20000, timeline = options.timeline or false, private = true }
  local backend = lab:backend()
  local proxy_options = { to = backend }
  for name, value in pairs(options.proxy or {}) do proxy_options[name] = value end
  local good, proxy = pcall(lab.proxy, lab, proxy_options)
  if not good then
    lab:close()
    error(proxy, 0)
  end
  local client = lab:client { to = proxy, timeout_ms = TIMEOUT_MS }
  return setmetatable({
    lab = lab, backend = backend, proxy = proxy, client = client, sizes = options.sizes or {}, wires = {},
    cannot_vanish = core.cannot_vanish(),
  }, Stage)
end

function Stage:close()
  self.lab:close()
end
Stage.__close = Stage.close

-- --------------------------------------------------------------------- the request --

--- What lab.client takes, for a request and the shape of its response.
function Stage:wire(request, response)
  local key = request.name .. "/" .. response.name
  local wire = self.wires[key]
  if wire then return wire end
  wire = { method = request.method, path = response.path .. (request.query or ""), id = "v", headers = {} }
  if request.key then wire.headers[#wire.headers + 1] = { "Idempotency-Key", "k1" } end
  if request.expect then
    wire.headers[#wire.headers + 1] = { "Expect", "100-continue" }
    wire.open, wire.length = true, #request.body
  else
    wire.body, wire.chunked = request.body, request.chunked
  end
  self.wires[key] = wire
  return wire
end

--- The client sends the victim.  Where it expects 100 (Continue), the body waits for that, or for a second.
local function start(stage, cell)
  local exchange = stage.client:start(stage:wire(cell.request, cell.response))
  stage.victim = exchange
  return exchange
end

local function send_body(stage, cell)
  local exchange = stage.victim
  if not cell.request.expect then return end
  stage.lab:advance(0)
  if not exchange.done and exchange.interim == 0 then stage.lab:advance(EXPECT_MS) end
  if exchange.done then return end
  exchange:send(cell.request.body)
  exchange:finish()
end

--- Bytes of a request or a final response at the backend: measured once, without any fault.
function Stage:size(request, response, kind)
  local key = request.name .. "/" .. response.name
  local sizes = self.sizes[key]
  if not sizes then
    self.lab:reset()
    local cell = { request = request, response = response }
    start(self, cell)
    send_body(self, cell)
    local reply = self.victim:wait()
    local sent = self.backend:ledger("v")[1]
    if not (reply.complete and sent and sent.answered_whole) then
      error(("without any fault, the system answers the request %s (%s) with %s"):format(
        request.name, response.name, tostring(reply)), 0)
    end
    sizes = { request = sent.read, head = sent.head, response = sent.answered }
    sizes.line = #request.method + 1 + #self:wire(request, response).path + #" HTTP/1.1\r\n"
    self.sizes[key] = sizes
  end
  return sizes[kind]
end

--- The cell's byte offset as a number, and of how many bytes; nil where it has none.
function Stage:offset(cell)
  if not cell.at then return nil end
  local size = self:size(cell.request, cell.response, cell.point.offsets)
  return plan.resolve(cell.at, size), size
end

-- ------------------------------------------------------------------------ the race --

local function fault_for(stage, cell)
  return {
    on = cell.point.name, at = stage:offset(cell), close = cell.ending.close, say = cell.ending.say,
    times = cell.second.times, id = cell.point.name ~= "accept" and "v" or nil, optional = true,
  }
end

local function end_by_hand(cell, conn)
  if not conn.ended and not conn.closed then
    conn:close(cell.ending.close, cell.ending.say and { say = cell.ending.say })
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
  end_by_hand(cell, stage.backend:conn(1))
  stage.lab:advance(0)
  start(stage, cell)
  send_body(stage, cell)
end

--- Both are queued before anybody looks.
local function close_first(stage, cell)
  end_by_hand(cell, stage.backend:conn(1))
  start(stage, cell)
  send_body(stage, cell)
end

local function request_first(stage, cell)
  start(stage, cell)
  end_by_hand(cell, stage.backend:conn(1))
  send_body(stage, cell)
end

local function release(stage)
  local held = stage.proxy:held()
  if held then held:release() end
  stage.lab:advance(0)
  return held ~= nil
end

--- An attempt stands at a checkpoint while the connection that it rides, or is about to, is ended by hand.
local function held_by_hand(stage, cell)
  local held = cell.order.held
  -- A connection that becomes idle serves nobody; it is the victim's all the same.
  local of = held ~= "idle" and { id = "v" } or {}
  of.times = held == "sending" and cell.second.times or 1
  stage.proxy:hold(cell.order.machine .. "." .. held, of)
  start(stage, cell)
  stage.lab:advance(0)
  while stage.proxy:held() do
    stage.n_held = stage.n_held + 1
    end_by_hand(cell, stage.backend:conn(stage.backend.n_conns))
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
  stage.proxy:hold(order.machine .. "." .. order.held, { id = "v", attempt = order.attempt, after_bytes = after })
  start(stage, cell)
  send_body(stage, cell)
  stage.lab:advance(0)
  while release(stage) do stage.n_held = stage.n_held + 1 end
end

local function way_of(cell)
  local order, point = cell.order, cell.point
  if order.held then return point.name == "idle" and held_by_hand or held_by_fault end
  if order.name == "close-first" then return close_first end
  if order.name == "request-first" then return request_first end
  return point.name == "idle" and before or by_fault
end

--- Play a cell.
-- @return facts: at, the byte offset; reply, verdict, next_reply, next_verdict; sendings and next_sendings, from the
-- ledger; attempts, from the proxy; n_held.  All is data; the stage can go on to the next cell.
function Stage:play(cell)
  self:size(cell.request, cell.response, "request")       -- it may need the stage for itself
  self.lab:reset()
  self.n_held = 0
  for _ = 1, cell.connection.uses do self.client:request(WARM) end
  way_of(cell)(self, cell)
  local reply = self.victim:wait()
  if cell.second.name ~= "all" then self.backend:clear_faults() end
  local next_reply = self.client:request(NEXT)
  local sendings, next_sendings = {}, {}
  for _, sending in ipairs(self.backend:ledger()) do
    -- What the proxy asks for itself (verify options) is nobody's.
    local list = sending.id == "n" and next_sendings or sending.id ~= "w" and sending.path ~= "*" and sendings
    if list then list[#list + 1] = sending end
  end
  return {
    at = self:offset(cell), reply = reply, next_reply = next_reply, verdict = self.lab:verdict "v",
    next_verdict = self.lab:verdict "n", sendings = sendings, next_sendings = next_sendings,
    attempts = self.proxy:attempts "v", n_held = self.n_held,
  }
end

--- The timeline of the cell that was played last.
function Stage:trace()
  return self.lab:trace()
end

--- Why a cell cannot be played here; nil where it can.
function Stage:lacks(cell)
  return cell.ending.close == "vanish" and self.cannot_vanish or nil
end

return { open = Stage.open }
