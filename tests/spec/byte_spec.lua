--- Every byte of one small exchange, and of a chunked one, as the offset of a fault: exact counts at the client.
local race = require "closerace"
local victim = require "victim"

local ENDINGS = { "fin", "rst", "half", "plain", "stall" }
if race.has "vanish" then ENDINGS[#ENDINGS + 1] = "vanish" end

for _, method in ipairs { "GET", "POST" } do
  local request = victim.requests[method]
  local sizes = victim.sizes(request)

  describe("every byte of a " .. method, function()
    for _, ending in ipairs(ENDINGS) do
      it(("ends with %s behind it, answers nothing, and reads no byte more"):format(ending), function()
        for n = 1, sizes.request - 1 do
          local seen = victim.play({ on = "request_byte", at = n }, ending, request)
          assert.equal(0, seen.reply.received)
          assert.equal(ending == "half" and sizes.request or n, seen.ledger[1].read)
          assert.equal(ending == "half" and 1 or 0, seen.ledger.executed)
          victim.check_end(seen, ending, sizes.request - n)
        end
      end)

      it(("of its response arrives up to where %s cuts it"):format(ending), function()
        for n = 1, sizes.response - 1 do
          local seen = victim.play({ on = "response_byte", at = n }, ending, request)
          assert.equal(n, seen.reply.received)
          assert.is_true(seen.reply.truncated)
          assert.equal(n < sizes.response_head and n or sizes.response_head, #seen.reply.head)
          assert.equal(math.max(0, n - sizes.response_head), #seen.reply.body)
          assert.equal(n, seen.ledger[1].answered)
          assert.equal(1, seen.ledger.executed)
          victim.check_end(seen, ending, 0)
        end
      end)
    end
  end)
end

describe("every byte of a chunked request and response", function()
  local REQUEST = "POST /chunked/30 HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: v1\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n"

  local function run(fault)
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { fault } }
    local reply = lab:client { to = backend }:raw(REQUEST):wait()
    return reply, backend:ledger "v1", backend:conn(1).sent
  end

  it("is an offset of its own", function()
    local clean, books, size = run(nil)
    assert.equal(30, #clean.body)
    assert.equal(#REQUEST, books[1].read)
    for n = 1, #REQUEST - 1 do
      local reply, ledger = run { on = "request_byte", at = n, close = "rst" }
      assert.is_true(reply.reset)
      assert.same({ n, #REQUEST - n, 0 }, { ledger[1].read, ledger[1].unread, ledger.executed })
    end
    for n = 1, size - 1 do
      local reply, ledger = run { on = "response_byte", at = n, close = "rst" }
      assert.is_true(reply.reset)
      assert.is_true(reply.truncated)
      assert.equal(n, reply.received)
      assert.same({ #REQUEST, n, 1 }, { ledger[1].read, ledger[1].answered, ledger.executed })
    end
  end)

  it("counts the same where the request comes byte by byte", function()
    for n = 1, #REQUEST - 1 do
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { on = "request_byte", at = n, close = "fin" } } }
      local exchange = lab:client { to = backend }:raw ""
      for i = 1, n - 1 do
        assert.is_true(exchange:send(REQUEST:sub(i, i)))
        lab:advance(0)
      end
      assert.False(exchange.done)
      assert.is_true(exchange:send(REQUEST:sub(n, n)))
      lab:advance(0)
      assert.is_true(exchange.done)
      assert.equal(n, backend:ledger()[1].read)
    end
  end)
end)

describe("a response to HEAD, 204 and 304", function()
  local cases = { { "HEAD", "/bytes/500", 200 }, { "GET", "/status/204", 204 }, { "GET", "/status/304", 304 } }
  for _, case in ipairs(cases) do
    it(("ends with its head (%s %s)"):format(case[1], case[2]), function()
      local request = { method = case[1], path = case[2], id = "h1" }
      local lab <close> = race.lab()
      local reply = lab:client { to = lab:backend() }:request(request)
      local size = reply.received
      assert.equal(case[3], reply.status)
      assert.equal(#reply.head, size)
      for n = 1, size - 1 do
        local cut <close> = race.lab()
        local backend = cut:backend { faults = { { on = "response_byte", at = n, close = "fin" } } }
        local told = cut:client { to = backend }:request(request)
        assert.same({ n, true, false }, { told.received, told.truncated, told.complete })
      end
      for _, on in ipairs { "response_head", "response_end" } do
        local cut <close> = race.lab()
        local backend = cut:backend { faults = { { on = on, close = "fin" } } }
        local client = cut:client { to = backend }
        local exchange, listener = client:start(request), client:raw ""
        assert.same({ size, true }, { exchange:wait().received, exchange:wait().complete })
        assert.is_true(listener:wait().closed)
        assert.is_true(backend:ledger "h1"[1].answered_whole)
      end
      assert.error_matches(function()
        local beyond <close> = race.lab()
        local backend = beyond:backend { faults = { { on = "response_byte", at = size, close = "rst" } } }
        assert.is_true(beyond:client { to = backend }:request(request).complete)
      end, "never fired")
    end)
  end
end)

describe("an offset of size or more", function()
  for _, at in ipairs { 0, 1, 1000 } do
    it(("never fires, and leaves the exchange alone (size + %d)"):format(at), function()
      local sizes = victim.sizes(victim.requests.POST)
      for _, point in ipairs { { "request_byte", sizes.request }, { "response_byte", sizes.response } } do
        local lab <close> = race.lab()
        local backend = lab:backend { faults = {
          { conn = 1, request = 2, on = point[1], at = point[2] + at, close = "rst", optional = true },
        } }
        local client = lab:client { to = backend }
        client:raw(victim.WARM):wait()
        assert.is_true(client:raw(victim.requests.POST):wait().complete)
        assert.is_true(client:raw(victim.WARM):wait().complete)
        assert.equal(1, backend.n_conns)
        assert.equal(1, backend:ledger "v1".executed)
        assert.False(backend:ledger "v1"[1].ended)
      end
    end)
  end
end)
