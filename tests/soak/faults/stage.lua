--- Where rounds are played: a lab with a backend, one proxy and several clients, reset in front of each round.

local core = require "closerace.core"

local Stage = {}
Stage.__index = Stage

-- Longer than all timeouts of a proxy together: whoever has not answered by then, never will.
local TIMEOUT_MS = 3600000
-- A client that expects 100 (Continue) and gets none sends its body all the same (RFC 9110 10.1.1); it looks so often.
local EXPECT_MS, LOOK_MS = 1000, 50
-- Real time for one round, also under a sanitizer on a busy machine.
local DEADLINE_MS = 300000

local function with(options, more)
  local all = {}
  for name, value in pairs(options) do all[name] = value end
  for name, value in pairs(more) do all[name] = value end
  return all
end

--- Open a stage.
-- @param lab       of plan.lab
-- @param retry     the proxy's policy
-- @param timeline  keep it, for a person to read
function Stage.open(lab, retry, timeline)
  local self = setmetatable({ clients = {} }, Stage)
  self.lab = core.lab { deadline_ms = DEADLINE_MS, timeline = timeline or false, private = true }
  self.backend = self.lab:backend(lab.backend)
  self.proxy = self.lab:proxy(with(lab.proxy, { to = self.backend, retry = retry }))
  for n = 1, lab.n_clients do
    self.clients[n] = self.lab:client { to = self.proxy, timeout_ms = TIMEOUT_MS }
  end
  return self
end

function Stage:close()
  self.lab:close()
end
Stage.__close = Stage.close

-- ------------------------------------------------------------------------ the faults --

-- A fault of `accept` or `idle` names its connection; which one that is, is known only now.
local function aim(fault, backend)
  if not fault.conn_ahead then return fault end
  local aimed = with(fault, { conn = math.max(1, backend.n_conns + fault.conn_ahead) })
  aimed.conn_ahead = nil
  if fault.on == "idle" and aimed.conn <= backend.n_conns then
    aimed.request = math.max(1, backend:conn(aimed.conn).finished + fault.request - 1)
  end
  return aimed
end

local function add_faults(self, request)
  for _, fault in ipairs(request.faults) do
    local aimed = aim(fault, self.backend)
    self.backend:fault(aimed)
    if aimed.conn then self.aimed[#self.aimed + 1] = aimed end
  end
end

-- -------------------------------------------------------------------------- the turn --

-- What is sent behind another request may never be looked at.
local function is_behind(self, client)
  local last = self.last[client]
  return last ~= nil and not last.done
end

local function start(self, request)
  local client, played = self.clients[request.client], { request = request }
  add_faults(self, request)
  played.behind = is_behind(self, request.client)
  played.exchange = request.bytes and client:raw(request.bytes) or client:start(request.wire)
  self.last[request.client] = played.exchange
  self.played[#self.played + 1] = played
end

-- The client has gone, and with it whoever else waited on its connection.
local function abort(self, n)
  for _, played in ipairs(self.played) do
    if played.request.client == n and not played.exchange.done then played.aborted = true end
  end
  self.clients[n]:close()
end

local function send_piece(played, n)
  local pieces, exchange = played.request.pieces, played.exchange
  if exchange.done then n = #pieces end
  if n <= #pieces and not exchange.done then exchange:send(pieces[n]) end
  if n >= #pieces then exchange:finish() end
  return n < #pieces
end

local function waits_for_continue(played)
  return played.request.expects and not played.exchange.done and played.exchange.interim == 0
end

-- Those who expect 100 (Continue) send as soon as it is there, and at the latest after a second.
local function send_patiently(self, patient)
  for ms = LOOK_MS, EXPECT_MS, LOOK_MS do
    if #patient == 0 then return end
    self.lab:advance(LOOK_MS)
    local rest = {}
    for _, played in ipairs(patient) do
      if ms < EXPECT_MS and waits_for_continue(played) then
        rest[#rest + 1] = played
      else
        send_piece(played, 1)
      end
    end
    patient = rest
  end
end

-- Bodies in steps: a piece of each in turn.  Time goes by only when none is left but those that expect 100 (Continue);
-- who is slower than that, is a matter of the client's, not of the backend's.
local function send_bodies(self, turn_begins)
  local open, patient, n = {}, {}, 0
  for i = turn_begins, #self.played do
    if self.played[i].request.pieces then open[#open + 1] = self.played[i] end
  end
  while #open > 0 do
    self.lab:advance(0)
    n = n + 1
    local rest = {}
    for _, played in ipairs(open) do
      if waits_for_continue(played) then
        patient[#patient + 1] = played
      elseif send_piece(played, n) then
        rest[#rest + 1] = played
      end
    end
    open = rest
  end
  send_patiently(self, patient)
end

local function wait_for_all(self)
  for i = self.n_waited + 1, #self.played do self.played[i].reply = self.played[i].exchange:wait() end
  self.n_waited = #self.played
end

-- The backend lets go of all connections that carry nothing, as a server does that restarts.
local function end_idle(self, ending)
  for n = 1, self.backend.n_conns do
    local conn = self.backend:conn(n)
    if conn.idle and not conn.ended and not conn.closed then conn:close(ending) end
  end
end

local function let_go(self)
  local held = self.proxy:held()
  while held do
    held:release()
    self.n_in_window = self.n_in_window + 1
    held = self.proxy:held()
  end
  self.proxy:release()                          -- and whoever would be held later
end

local function play_turn(self, turn)
  local begins = #self.played + 1
  if turn.clears then self.backend:clear_faults() end
  if turn.restart then self.proxy:hold("sending", { times = #turn }) end
  for _, request in ipairs(turn) do start(self, request) end
  if turn.restart then
    self.lab:advance(0)
    end_idle(self, turn.restart)
    let_go(self)
  end
  send_bodies(self, begins)
  for _, request in ipairs(turn) do
    if request.aborted then
      self.lab:advance(0)
      abort(self, request.client)
    end
  end
  if turn.goes_on then
    self.lab:advance(0)
  else
    wait_for_all(self)
  end
  if turn.idle_ms then self.lab:advance(turn.idle_ms) end
end

-- ------------------------------------------------------------------------- the books --

local function by_id(ledger)
  local sendings = {}
  for _, sending in ipairs(ledger) do
    local list = sendings[sending.id]
    if list then
      list[#list + 1] = sending
    else
      sendings[sending.id] = { sending }
    end
  end
  return sendings
end

local NONE = {}

-- A fault of `idle` ends, or delays the end of, a connection whose end was to complete a response: the attempt is over
-- by then, and does not tell.
local function lost_its_end(self, one)
  local last = one.sendings[#one.sendings]
  if not (one.request.close_delimited and last) then return false end
  for _, fault in ipairs(self.aimed) do
    if fault.on == "idle" and fault.conn == last.conn then return true end
  end
  return self.backend:conn(last.conn).ended
end

--- Play a round.
-- @return a list with, for each request in the order of sending,
--   request    of the plan           reply, verdict, sendings   what became of it
--   behind     pipelined behind one that had no answer yet      aborted   its client left
--   lost_its_end   the end of its connection was to be its response's, and may have come otherwise
-- and ledger, the whole of it; attempts, of the proxy; aimed, the faults that name a connection; n_in_window, how many
-- stood in the window while idle connections ended.
function Stage:play(round)
  self.lab:reset()
  self.played, self.aimed, self.last, self.n_waited, self.n_in_window = {}, {}, {}, 0, 0
  for _, turn in ipairs(round) do play_turn(self, turn) end
  wait_for_all(self)
  local played = self.played
  played.ledger, played.attempts, played.aimed = self.backend:ledger(), self.proxy:attempts(), self.aimed
  played.n_in_window = self.n_in_window
  local sendings = by_id(played.ledger)
  for _, one in ipairs(played) do
    one.exchange = nil
    one.verdict = self.lab:verdict(one.request.id)
    one.sendings = sendings[one.request.id] or NONE
    one.lost_its_end = lost_its_end(self, one)
  end
  return played
end

--- Did connection n end, after so many finished requests?
function Stage:ended(n, n_finished)
  if n > self.backend.n_conns then return false end
  local conn = self.backend:conn(n)
  return conn.ended and conn.finished == n_finished
end

--- The timeline of the round that was played last.
function Stage:trace()
  return self.lab:trace()
end

return { open = Stage.open }
