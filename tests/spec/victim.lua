--- One victim request on a reused connection, a fault in its way, and what the client's own socket says of it.
--
-- The client speaks to the backend directly, in bytes that are written here, and stays half open: what its later
-- sends meet tells endings apart that look alike at first.
local assert = require "luassert"
local race = require "closerace"

local victim = {}

victim.WARM = "GET /warm HTTP/1.1\r\nHost: h\r\n\r\n"
victim.TIMEOUT_MS = 7000

local BODY = "amount=10"

victim.requests = {
  GET = "GET /item HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: v1\r\n\r\n",
  POST = "POST /item HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: v1\r\nContent-Length: " .. #BODY .. "\r\n\r\n" .. BODY,
}

-- A POST that asks for an interim response before it sends its body.
victim.EXPECTS = {
  "POST /item HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: v1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
  BODY,
}

--- Two requests that the client sends when the connection has ended.
function victim.later(n)
  return ("GET /later HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: later%d\r\n\r\n"):format(n)
end

--- The sizes of a request and of its response; the response is measured in an undisturbed run.
function victim.sizes(request)
  local lab <close> = race.lab()
  local client = lab:client { to = lab:backend() }
  client:raw(victim.WARM):wait()
  local reply = client:raw(request):wait()
  assert.equal(#reply.head + #reply.body, reply.received)
  return {
    line = select(2, request:find "\r\n"),
    head = select(2, request:find "\r\n\r\n"),
    request = #request,
    response_head = #reply.head,
    response = reply.received,
  }
end

--- Every close point for a request of these sizes, without `interim`, which needs requests of its own; offsets at
-- their least, in the middle, and at their most.
function victim.points(sizes)
  local points = {}
  local function at(on, size)
    for _, n in ipairs { 1, size // 2, size - 1 } do points[#points + 1] = { on = on, at = n } end
  end
  for _, on in ipairs { "accept", "idle", "arrival", "request_line", "request_head", "request_end", "executed",
      "response_head", "response_end" } do
    points[#points + 1] = { on = on }
  end
  at("request_byte", sizes.request)
  at("response_byte", sizes.response)
  return points
end

function victim.sentence(point, ending)
  return ("that meets %s at %s%s"):format(ending, point.on, point.at and " " .. point.at or "")
end

--- Bytes of the request that the backend has taken when it ends the connection.
function victim.taken(fault, sizes)
  if fault.on == "accept" or fault.on == "arrival" then return 0 end
  if fault.on == "request_byte" then return fault.at end
  if fault.on == "request_line" then return sizes.line end
  if fault.on == "request_head" then return sizes.head end
  return sizes.request
end

--- Bytes of the response that it has sent by then.
function victim.answered(fault, sizes)
  if fault.on == "response_byte" then return fault.at end
  if fault.on == "response_head" then return sizes.response_head end
  if fault.on == "response_end" or fault.on == "idle" then return sizes.response end
  return 0
end

--- Has the handler run by then?
function victim.executed(fault)
  return fault.on == "executed" or fault.on:find "^response_" ~= nil or fault.on == "idle"
end

-- How an ending shows.  unread: request bytes lie in the backend's kernel when it ends the connection.
--   1: what the client reads behind the bytes that were sent: "eof", "reset", or nothing ("silent")
--   2, 3: what its next two sends meet
--   4: how it learns what was silent, after these
local shows = {
  fin = function() return { "eof", "sent", "sent" } end,                    -- somebody still reads, and discards
  half = function() return { "eof", "sent", "sent" } end,                   -- somebody still reads
  rst = function() return { "reset", "ENOTCONN", "ENOTCONN" } end,
  plain = function(unread)
    if unread > 0 then return { "reset", "ENOTCONN", "ENOTCONN" } end       -- close(2) with unread bytes
    return { "eof", "sent", "EPIPE" }                                       -- nobody is there: a reset answers
  end,
  vanish = function() return { "silent", "sent", "ENOTCONN", "reset" } end, -- the next send is answered by a reset
  stall = function() return { "silent", "sent", "sent", "timeout" } end,
}

--- Check how a connection ended, from what victim.listen() saw.
function victim.check_end(seen, ending, unread)
  local wanted = shows[ending](unread)
  local silent = wanted[1] == "silent"
  local how = silent and wanted[4] or wanted[1]
  assert.equal(not silent, seen.at_once)
  assert.same({ wanted[2], wanted[3] }, seen.sends)
  for _, reply in ipairs { seen.after, not seen.reply.complete and seen.reply or nil } do
    assert.equal(how == "reset", reply.reset)
    assert.equal(how == "reset" and "ECONNRESET" or nil, reply.error)
    assert.equal(how == "eof" or how == "reset", reply.closed)
    assert.equal(how == "timeout", reply.timeout)
    assert.False(reply.refused)
    assert.False(reply.invalid)
  end
  assert.equal(how == "timeout" and victim.TIMEOUT_MS or 0, seen.after.ms)
  assert.equal(0, seen.after.received)
end

--- A client whose sockets victim.listen() can look at.
function victim.client(lab, backend)
  return lab:client { to = backend, timeout_ms = victim.TIMEOUT_MS, half_open = true }
end

--- See how the connection ended on which an exchange waits.
-- @param listener client:raw "", started behind it and before the end
-- @param rest what to send after the end instead of victim.later(1) and (2)
function victim.listen(lab, exchange, listener, rest)
  local seen = { sends = {} }
  lab:advance(0)
  seen.at_once = listener.done
  for n = 1, 2 do
    local sent, why = listener:send(rest and rest[n] or victim.later(n))
    seen.sends[n] = sent and "sent" or why
    lab:advance(0)
  end
  seen.reply, seen.after = exchange:wait(), listener:wait()
  return seen
end

--- `it`, or pending where connections cannot vanish.
function victim.it(it, pending, ending, sentence, test)
  local can, why = race.has "vanish"
  if ending == "vanish" and not can then
    pending(sentence .. " (" .. why .. ")")
  else
    it(sentence, test)
  end
end

--- Play it once.
-- @param point its `on` and `at`
-- @param request the bytes; or a list of two: what is sent before the end, and what the client sends after it
-- @return what the client saw, and what the backend's books say:
--   reply      the victim's
--   after      the reply of an exchange behind it, that only listens: how the connection ended
--   at_once    it had ended before the client sent any more
--   sends      what the two sends after the end met: "sent", or the errno's name
--   ledger     the victim's attempts
--   later      the attempt of each of the two later requests, if any
--   n_unseen   entries for what may have been sent, and could not be seen
function victim.play(point, ending, request)
  local fresh = point.on == "accept"
  local lab <close> = race.lab()
  local backend = lab:backend { faults = {
    { conn = 1, request = not fresh and 2 or nil, on = point.on, at = point.at, close = ending },
  } }
  local client = victim.client(lab, backend)
  local before, rest = request, nil
  if type(request) == "table" then before, rest = request[1], { request[2] } end
  if fresh then before, rest = "", { request } end    -- no byte can be there before the connection is accepted
  if not fresh then client:raw(victim.WARM):wait() end

  local exchange, listener = client:raw(before), client:raw ""
  local seen = victim.listen(lab, exchange, listener, rest)
  seen.ledger = backend:ledger "v1"
  seen.later = {}
  for n = 1, 2 do seen.later[n] = backend:ledger("later" .. n)[1] end
  seen.n_unseen = 0
  for _, attempt in ipairs(backend:ledger()) do seen.n_unseen = seen.n_unseen + (attempt.unseen and 1 or 0) end
  return seen
end

return victim
