--- Every close point with every ending, on a reused connection, as the client's own socket meets it.
--
-- What is expected follows from the rules of victim.lua and from the sizes of an undisturbed exchange.  The facts come
-- from what the client's recv and send returned, never from the backend.
local race = require "closerace"
local victim = require "victim"

local words = race.words()

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
        local sentence = victim.sentence(point, ending)
        victim.it(it, pending, ending, sentence, function()
          local seen = victim.play(point, ending, request)
          check_bytes(seen.reply, victim.answered(point, sizes), sizes.response)
          victim.check_end(seen, ending, unread)
        end)
      end
    end
  end)
end

-- A 1xx comes either because the client asked for it, or of the backend's own accord.
local function check_interim(seen, size, ending)
  assert.equal(size, seen.reply.received)
  assert.equal(1, seen.reply.interim)
  assert.is_nil(seen.reply.status)
  assert.False(seen.reply.complete)
  assert.False(seen.reply.truncated)         -- of the final response nothing came
  victim.check_end(seen, ending, 0)
end

describe("an interim response", function()
  for _, ending in ipairs(words.endings) do
    victim.it(it, pending, ending, "that was asked for stands alone before " .. ending, function()
      check_interim(victim.play({ on = "interim" }, ending, victim.EXPECTS), #"HTTP/1.1 100 Continue\r\n\r\n", ending)
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
