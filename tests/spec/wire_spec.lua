--- Every close point with every ending, on a reused connection, as the client's own socket meets it.
--
-- What is expected follows from the rules below and from the sizes of an undisturbed exchange.  The facts come from
-- what the client's recv and send returned, never from the backend.
local race = require "closerace"
local victim = require "victim"

local words = race.words()

-- How an ending shows.  unread: request bytes lie in the backend's kernel when it ends the connection.
--   end:   what the client reads behind the bytes that were sent: "eof", "reset", or nothing, and then it is "silent"
--   sends: what its next two sends meet, and how the silent ones learn it
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

local function check_end(seen, wanted)
  local silent = wanted[1] == "silent"
  assert.equal(not silent, seen.at_once)
  assert.same({ wanted[2], wanted[3] }, seen.sends)
  local how = silent and wanted[4] or wanted[1]
  for _, reply in ipairs { seen.after, not seen.reply.complete and seen.reply or nil } do
    assert.equal(how == "reset", reply.reset)
    assert.equal(how == "reset" and "ECONNRESET" or nil, reply.error)
    assert.equal(how == "eof" or how == "reset", reply.closed)
    assert.equal(how == "timeout", reply.timeout)
    if how == "timeout" then assert.equal(victim.TIMEOUT_MS, reply.ms) else assert.equal(0, reply.ms) end
    assert.False(reply.refused)
    assert.False(reply.invalid)
  end
  assert.equal(0, seen.after.received)
end

local function check_bytes(reply, size, whole)
  assert.equal(size, reply.received)
  assert.equal(0, reply.interim)
  assert.equal(size == whole, reply.complete)
  assert.equal(size > 0 and size < whole, reply.truncated)
  if reply.complete then assert.equal(200, reply.status) end
end

for _, method in ipairs { "GET", "POST" } do
  local request = victim.requests[method]
  local sizes = victim.sizes(request)

  describe("a " .. method .. " on a reused connection", function()
    for _, point in ipairs(victim.points(sizes)) do
      for _, ending in ipairs(words.endings) do
        local unread = point.on == "accept" and 0 or sizes.request - victim.taken(point, sizes)
        local sentence = ("that meets %s at %s%s"):format(ending, point.on, point.at and " " .. point.at or "")
        victim.it(it, pending, ending, sentence, function()
          local seen = victim.play(point, ending, request)
          check_bytes(seen.reply, victim.answered(point, sizes), sizes.response)
          check_end(seen, shows[ending](unread))
        end)
      end
    end
  end)
end

-- A 1xx comes either because the client asked for it, or of the backend's own accord.
local EXPECTS = {
  "POST /item HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: v1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
  "amount=10",
}

local function check_interim(seen, size, ending)
  assert.equal(size, seen.reply.received)
  assert.equal(1, seen.reply.interim)
  assert.is_nil(seen.reply.status)
  assert.False(seen.reply.complete)
  assert.False(seen.reply.truncated)         -- of the final response nothing came
  check_end(seen, shows[ending](0))
end

describe("an interim response", function()
  for _, ending in ipairs(words.endings) do
    victim.it(it, pending, ending, "that was asked for stands alone before " .. ending, function()
      check_interim(victim.play({ on = "interim" }, ending, EXPECTS), #"HTTP/1.1 100 Continue\r\n\r\n", ending)
    end)
    for _, method in ipairs { "GET", "POST" } do
      victim.it(it, pending, ending, ("unasked for by a %s stands alone before %s"):format(method, ending), function()
        local seen = victim.play({ on = "interim" }, ending, victim.requests[method])
        local stalled = victim.play({ on = "interim" }, "stall", victim.requests[method])
        assert.is_true(stalled.reply.received > #"HTTP/1.1 103 \r\n\r\n")
        check_interim(seen, stalled.reply.received, ending)
      end)
    end
  end
end)
