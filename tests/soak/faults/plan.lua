--- What is played, drawn from a seed: labs with their options, rounds, requests and the faults that they meet.
-- Pure: a round is data, and depends on nothing but the seed, its own number and what is possible here.
--
-- A round is a list of turns.  In a turn some clients send, all at once; then the lab runs.  What a backend may say out
-- of turn is chosen so that an honest proxy can tell it from an answer: what cannot be told (a response that stands on
-- a connection before its request does) is no proxy's fault, and would prove nothing.

local Random = require "faults.random"
local core = require "closerace.core"

local plan = {}

--- So many rounds are played by one lab, which is reset in front of each.
plan.ROUNDS_PER_LAB = 25

-- What the numbers are for; no two of them draw alike.
local FOR_LAB, FOR_ROUND = 1, 2

--- Close points and endings that are possible here.
plan.points = core.words().points
plan.endings = {}
for _, ending in ipairs(core.words().endings) do
  if ending ~= "vanish" or not core.cannot_vanish() then plan.endings[#plan.endings + 1] = ending end
end

plan.idempotent = { GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true, DELETE = true }

-- -------------------------------------------------------------------------- the lab --

--- Options of lab n.
function plan.lab(seed, n)
  local random = Random.new(seed, FOR_LAB, n)
  local keep_alive_ms = random:pick { 0, 0, 0, 2000, 9000 }
  local reuse = random:pick { "always", "always", "always", "always", "idempotent", "static", "never" }
  local pool_size = random:pick { 0, 1, 2, 4, 128, 128 }
  return {
    n_clients = random:between(1, 5),
    backend = {
      keep_alive_ms = keep_alive_ms,
      keep_alive_close = random:pick(plan.endings),
      keep_alive_hint = keep_alive_ms > 0 and random:percent(50),
    },
    proxy = {
      reuse = reuse,
      retries = random:pick { 0, 1, 1, 1, 2, 3 },
      backoff_ms = random:pick { 0, 0, 0, 10, 700 },
      verify = random:pick { "peek", "peek", "peek", "none", "options" },
      probe_unsafe = random:pick { "none", "none", "expect", "fresh" },
      pool_size = pool_size,
      spares = reuse == "never" and 0 or math.min(pool_size, random:pick { 0, 0, 0, 2 }),
      persist_client = random:percent(95),
      max_uses = random:pick { 0, 0, 0, 1, 2, 7 },
      replay_bytes = random:pick { 65536, 65536, 65536, 1000, 16, 0 },
      idle_timeout_ms = random:pick { 0, 40, 60000, 60000 },
      honour_keep_alive = random:percent(70),
      connect_timeout_ms = random:pick { 100, 5000 },
      response_timeout_ms = random:pick { 0, 300, 60000, 60000, 60000, 60000, 60000, 60000 },
      client_timeout_ms = random:pick { 2000, 60000, 60000 },
      linger_ms = random:pick { 20, 2000 },       -- without, what is pipelined may cost its forerunner the answer
    },
  }
end

--- The lab that plays a round.
function plan.lab_of(round)
  return (round - 1) // plan.ROUNDS_PER_LAB + 1
end

-- ---------------------------------------------------------------------- the request --

local METHODS = { "GET", "GET", "GET", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "PUT", "DELETE", "PATCH",
  "POST", "POST", "POST", "POST", "POST", "POST" }

-- A body, by what stands in the head and how it is sent.
local WITH_BODY = { "empty", "length", "length", "length", "chunked", "chunked", "steps", "chunked steps", "expect",
  "expect", "large", "none" }
local BODY_METHOD = { PUT = true, PATCH = true, POST = true }

local LARGE = ("0123456789abcde\n"):rep(1 << 12)
local TOO_LARGE = (16 << 20) + 1                -- for /echo, which says so by the head alone

local function draw_body(random, method)
  if not BODY_METHOD[method] then
    return method ~= "TRACE" and random:percent(4) and "length" or "none"
  end
  return random:percent(3) and "early" or random:pick(WITH_BODY)
end

-- Bytes that are sent one after another.
local function cut(random, text)
  local pieces, at = {}, 1
  while at <= #text do
    local size = math.min(random:upto(#text), #text - at + 1)
    pieces[#pieces + 1] = text:sub(at, at + size - 1)
    at = at + size
  end
  return pieces
end

local function content(random, form)
  if form == "large" then return LARGE:sub(1, random:between(16000, #LARGE)) end
  return LARGE:sub(1, random:pick { 1, 9, random:upto(64), random:upto(3000) })
end

-- What lab.client takes, and the pieces that follow.
local function add_body(random, form, request)
  local wire = request.wire
  if form == "none" then return end
  if form == "empty" then
    wire.body = ""
  elseif form == "early" then
    request.path, request.response_size, request.close_delimited, request.delayed = "/echo", 60, false, false
    request.early, wire.open, wire.length = true, true, TOO_LARGE
    request.pieces = { LARGE:sub(1, random:upto(2000)) }
  else
    local text = content(random, form)
    request.body_size = #text
    if form == "length" or form == "large" then
      wire.body = text
    elseif form == "chunked" then
      wire.body, wire.chunked = text, true
    else
      wire.open, wire.length = true, form ~= "chunked steps" and #text or nil
      request.pieces = form == "expect" and { text } or cut(random, text)
      request.expects = form == "expect"
    end
  end
end

--- What is asked for: a path, how large the response's body is, and what ends it.
local RESPONSES = {
  function(random) return "/bytes/", random:pick { 0, 1, 400, random:upto(3000) } end,
  function(random) return "/bytes/", random:pick { 400, random:upto(3000) } end,
  function(random) return "/chunked/", random:pick { 0, 1, 400, random:upto(3000) } end,
  function(random) return "/close/", random:pick { 0, 400, random:upto(3000) } end,
  function(random) return random:pick { "/bytes/", "/chunked/", "/close/" }, random:between(20000, 120000) end,
  function() return "/echo" end,
  function(random) return "/status/" .. random:pick { 201, 204, 301, 304, 404, 500, 502, 503 } end,
  function(random) return "/item" .. random:pick { "", "?q=1" } end,
}
local SOMETIMES = function(random) return "/delay/" .. random:pick { 0, 1, 200, 5000 } end

local function add_response(random, request, may_end_by_close)
  local draw = random:percent(2) and SOMETIMES or random:pick(RESPONSES)
  local path, size = draw(random)
  if path == "/close/" and not may_end_by_close then path = "/bytes/" end
  request.path, request.response_size = path .. (size or ""), size or 60
  request.close_delimited = path == "/close/"
  request.delayed = draw == SOMETIMES
end

local function add_headers(random, request)
  local headers = {}
  if request.expects then headers[1] = { "Expect", "100-continue" } end
  if random:percent(6) then headers[#headers + 1] = { "Connection", "close" } end
  if random:percent(5) then headers[#headers + 1] = { "Cookie", "a=b" } end
  request.wire.headers = headers
end

--- A request of HTTP/1.0, as bytes: with or without a Host, keep-alive or not.
local function old_bytes(random, request)
  local body = request.wire.body
  return table.concat {
    request.method, " ", request.path, " HTTP/1.0\r\n",
    random:pick { "", "Host: closerace.test\r\n" },
    "X-Closerace-Id: ", request.id, "\r\n",
    random:pick { "", "Connection: keep-alive\r\n" },
    body and ("Content-Length: %d\r\n"):format(#body) or "",
    "\r\n", body or "",
  }
end

--- Who a request is, stands in its head or in its path.
local function finish(random, request)
  local wire, old = request.wire, random:percent(6) and not (request.wire.open or request.wire.chunked)
  wire.method, wire.path = request.method, request.path
  if old then
    request.bytes = old_bytes(random, request)
  elseif random:percent(6) then
    wire.path = "/id/" .. request.id .. request.path
  else
    wire.id = request.id
  end
end

local function draw_request(random, id, may_end_by_close)
  local request = { id = id, method = random:pick(METHODS), wire = {}, body_size = 0 }
  add_response(random, request, may_end_by_close)
  add_body(random, draw_body(random, request.method), request)
  add_headers(random, request)
  finish(random, request)
  request.idempotent = plan.idempotent[request.method] or false
  request.aborted = random:percent(1)
  return request
end

-- ----------------------------------------------------------------------- the faults --

local function said(line, fields, body)
  return ("HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s"):format(line, body and #body or 0, fields or "", body or "")
end

local CLOSE = "Connection: close\r\n"
local SAYS = {
  stale = { said("408 Request Timeout", CLOSE) },
  refusal = { said("413 Content Too Large", CLOSE), said("503 Busy", nil, "later\n") },
  second = { said("200 OK"), said("200 OK", nil, "alien\n"), "HTTP/1.1 200 OK\r\n\r\nalien\n" },
  interim = { "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" },
  junk = { "garbage\r\n\r\n", "\21\3\1\0\2\2\40", "220 mail.example ESMTP\r\n", "\r\n", "\0" },
  half = { "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "H" },
}

-- In front of an answer, what is no whole response harms nobody.
local ALWAYS = { "interim", "junk", "half" }
local BEFORE_ANSWER = { "stale", "refusal", "interim", "junk", "half" }
local SAYS_AT = {
  accept = ALWAYS,
  idle = { "stale", "stale", "interim", "junk", "half" },
  arrival = { "stale", "stale", "interim", "junk", "half" },
  request_byte = BEFORE_ANSWER, request_line = BEFORE_ANSWER, request_head = BEFORE_ANSWER,
  request_end = BEFORE_ANSWER, interim = BEFORE_ANSWER,
  executed = { "refusal", "second", "interim", "junk", "half" },
  response_end = { "stale", "interim", "junk", "half" },
}

-- A whole response that nobody asked for can be told from an answer only where nobody takes the connection meanwhile,
-- or it stands right behind an answer.
local function may_say_second(fault, request, draft)
  if fault.on == "idle" then return draft.alone and fault.conn_ahead > 0 end
  return fault.on == "response_end" and (draft.alone or request.response_size <= 3000)
end

-- Behind a response that only the close ends, what is said would be more of it.
local function may_say(fault, request, draft)
  if fault.on == "idle" then return draft.idle_speak end
  return SAYS_AT[fault.on] ~= nil and not (fault.on == "response_end" and request.close_delimited)
end

local function add_say(random, fault, request, draft)
  if not may_say(fault, request, draft) or not random:percent(25) then return end
  local second = may_say_second(fault, request, draft) and random:percent(30)
  local kind = second and "second" or random:pick(SAYS_AT[fault.on])
  fault.say = random:pick(SAYS[kind])
  -- Who says that nothing was received does not go on to execute it.
  if kind == "stale" and fault.close == "half" then fault.close = "fin" end
  -- On a fresh connection a 408 is an answer (RFC 9110 15.5.9).
  if kind == "stale" and fault.on == "arrival" then fault.request = random:between(2, 4) end
end

local ANNOUNCED = { idle = true, response_byte = true, response_head = true, response_end = true }

local function size_of(on, request)
  if on == "request_byte" then return 130 + #request.path + request.body_size end
  return 180 + request.response_size
end

--- A fault of any point and ending.  One of `accept` or `idle` knows no request: it names a connection, so many ahead
-- of the newest one (conn_ahead; 0: that one, -1: the one before).  For one that is there, `idle` counts requests from
-- now on: 1 is "as it is", 2 "after the next one".
local function draw_fault(random, request, draft)
  local fault = { on = random:pick(plan.points), close = random:pick(plan.endings), optional = true }
  if fault.on == "accept" then
    fault.conn_ahead = random:upto(2)
  elseif fault.on == "idle" then
    fault.conn_ahead = random:pick { -2, -1, 0, 0, 1, 1, 2 }
    fault.request = random:pick { 1, 1, 2, 2, 3 }
    fault.after_ms = random:pick { 0, 0, 1, 30, 900 }
  else
    fault.id = request.id
    fault.times = random:pick { 1, 1, 1, 2, 4 }
  end
  if fault.on == "request_byte" or fault.on == "response_byte" then
    fault.at = random:upto(random:percent(30) and 12 or size_of(fault.on, request))
  end
  fault.announce = ANNOUNCED[fault.on] and random:percent(20) or nil
  add_say(random, fault, request, draft)
  return fault
end

local function draw_faults(random, request, draft)
  local faults = {}
  if random:percent(55) then
    repeat
      faults[#faults + 1] = draw_fault(random, request, draft)
    until #faults == 3 or not random:percent(20)
  end
  return faults
end

-- ------------------------------------------------------------------------ the round --

local Draft = {}
Draft.__index = Draft

function Draft:add(turn, client)
  self.n = self.n + 1
  local request = draw_request(self.random, ("q%02d"):format(self.n), not self.idle_speak)
  request.client = client
  request.faults = draw_faults(self.random, request, self)
  turn[#turn + 1] = request
  return request
end

-- Only the last request of a client may be sent in steps.
function Draft:add_pipeline(turn, client)
  local random = self.random
  local request = self:add(turn, client)
  while not request.pieces and self.n < self.size and random:percent(15) do request = self:add(turn, client) end
end

function Draft:turn()
  local random, turn = self.random, {}
  if self.alone then
    self:add(turn, random:upto(self.n_clients))
  else
    for client = 1, self.n_clients do
      if self.n < self.size and random:percent(60) then self:add_pipeline(turn, client) end
    end
  end
  turn.goes_on = not self.alone and random:percent(15)
  turn.clears = random:percent(2)
  turn.restart = #turn > 0 and random:percent(5) and random:pick(plan.endings) or nil
  turn.idle_ms = random:percent(20) and random:pick { 1, 35, 1000, 5000, 61000 } or nil
  return turn
end

--- Round n, played by that lab.
-- @return a list of turns, each a list of requests with
--   wire or bytes   what the client sends at once     pieces   what follows, one after another
--   client          which one                         faults   for the backend, before it is sent
--   expects         the pieces wait for 100 (Continue)        aborted   the client drops its connection
-- and in a turn
--   clears    the fault table, first          goes_on   its answers are not waited for
--   restart   every idle connection ends like that, while requests stand between the last look at it and the first byte
--   idle_ms   time goes by, last
function plan.round(seed, n, lab)
  local random = Random.new(seed, FOR_ROUND, n)
  local draft = setmetatable({
    random = random, n = 0, size = random:between(20, 60), n_clients = lab.n_clients,
    -- one request at a time; idle connections may say something, and no response ends by the close
    alone = lab.n_clients == 1 or random:percent(25), idle_speak = random:percent(50),
  }, Draft)
  local round = { n = n }
  while draft.n < draft.size do round[#round + 1] = draft:turn() end
  round.n_requests = draft.n
  return round
end

return plan
