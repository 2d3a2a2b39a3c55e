--- Connections held, released and ended by hand.
local race = require "closerace"
local victim = require "victim"

local words = race.words()
local POST = victim.requests.POST
local SIZES = victim.sizes(POST)

--- Begin a victim on a reused connection: sent is a part of it, or all; held says which direction is held before.
local function begin(lab, backend, sent, held)
  local client = victim.client(lab, backend)
  client:raw(victim.WARM):wait()
  local conn = backend:conn(1)
  if held then conn:hold(held) end
  local exchange = client:raw(sent)
  if held == "reading" then conn:wait_arrival(#sent) else lab:advance(0) end
  return conn, exchange, client:raw ""
end

-- What the connection is doing when it is ended, and what must be in the books:
-- read, unread and executed at the end; rest is what the client sends afterwards.
local situations = {
  { "that is idle", sent = "", on = "idle", unread = 0 },
  { "whose request lies unread", sent = POST, held = "reading", on = "arrival", read = 0, unread = #POST },
  { "whose response is kept back", sent = POST, held = "sending", on = "executed", read = #POST, unread = 0,
    executed = 1 },
  { "whose answer is delayed", sent = POST:gsub("/item", "/delay/5000", 1), on = "executed",
    read = #POST + #"/delay/5000" - #"/item", unread = 0, executed = 1 },
}
for on, at in pairs { request_byte = 5, request_line = SIZES.line, request_head = SIZES.head } do
  situations[#situations + 1] = { "that has read up to " .. on, sent = POST:sub(1, at), rest = POST:sub(at + 1),
    on = on, read = at, unread = 0 }
  situations[#situations + 1] = { ("that has read up to %s, with more unread"):format(on), sent = POST:sub(1, at),
    more = POST:sub(at + 1), on = on, read = at, unread = #POST - at }
end
table.sort(situations, function(a, b) return a[1] < b[1] end)

describe("a connection", function()
  for _, s in ipairs(situations) do
    for _, ending in ipairs(words.endings) do
      victim.it(it, pending, ending, ("%s ends by hand with %s"):format(s[1], ending), function()
        local lab <close> = race.lab()
        local backend = lab:backend()
        local conn, exchange, listener = begin(lab, backend, s.sent, s.held)
        if s.more then
          conn:hold()
          exchange:send(s.more)
          conn:wait_arrival(#s.more)
        end
        conn:close(ending)

        -- At the moment of the end.
        local attempt = backend:ledger()[2]             -- behind the warm one; its id may not be known yet
        if s.on == "arrival" and ending == "half" then
          assert.is_nil(attempt)                        -- it will be read after all
        elseif s.read then
          assert.same({ true, s.on, ending, true },
            { attempt.ended, attempt.ended_on, attempt.ending, attempt.by_hand })
          assert.equal(s.read, attempt.read)
          assert.equal(ending == "half" and 0 or s.unread, attempt.unread)
          assert.equal(s.executed or 0, attempt.executed)
        else
          assert.is_true(attempt == nil or attempt.unseen)
        end

        local seen = victim.listen(lab, exchange, listener, { s.rest })
        assert.equal(0, seen.reply.received)
        victim.check_end(seen, ending, s.unread)

        -- With half the server goes on, once it may read; the others never run what they did not run before.
        if ending == "half" and (s.more or s.held == "reading") then
          conn:release()
          lab:advance(0)
        end
        lab:advance(10000)
        if s.read then
          attempt = backend:ledger()[2]
          assert.equal(ending == "half" and 1 or s.executed or 0, attempt.executed)
          assert.equal(0, attempt.answered)
          assert.equal(s.on, attempt.ended_on)
        end
        assert.is_true(conn.ended)
      end)
    end
  end

  it("that stalls reads no more, and does not close when its peer does", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request { path = "/warm" }
    local conn = backend:conn(1)
    conn:close "stall"
    client:raw(POST)
    lab:advance(0)
    assert.equal(#POST, conn.unread)
    client:half_close()
    lab:advance(0)
    assert.equal(#POST, conn.unread)
    assert.False(conn.closed)
  end)

  it("ends once", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local conn = begin(lab, backend, "")
    conn:close "stall"
    assert.error_matches(function() conn:close "rst" end, "has ended already %(stall%)")
  end)

  it("that ended leaves the next one alone", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request { path = "/warm" }
    backend:conn(1):close "rst"
    lab:advance(0)
    assert.equal(200, client:request { id = "n1" }.status)
    assert.equal(2, backend.n_conns)
    assert.equal(2, backend:conn { carried = "n1" }.n)
  end)
end)

describe("reading that is held", function()
  it("leaves requests in the kernel until it is released, and then all are answered", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local conn, exchange = begin(lab, backend, POST, "reading")
    assert.same({ #POST, #victim.WARM, 1 }, { conn.unread, conn.received, conn.requests })
    lab:advance(3600000)
    assert.equal(0, backend:ledger "v1".executed)
    assert.is_true(exchange:wait().timeout)             -- the client has given up; its request is still there

    local other = lab:client { to = backend }
    other:request { path = "/warm" }
    backend:conn(2):hold()
    local first, second = other:start { id = "r1" }, other:start { id = "r2" }
    backend:conn(2):wait_arrival()
    backend:conn(2):release()
    assert.equal("r1", first:wait().headers["x-closerace-id"])
    assert.equal("r2", second:wait().headers["x-closerace-id"])
  end)

  it("is waited on by bytes", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local conn, exchange = begin(lab, backend, "GET /", "reading")
    assert.equal(5, conn:wait_arrival())
    assert.equal(5, conn:wait_arrival(5))
    local task = lab:task(function()
      for _ = 1, 10 do exchange:send "xyz" lab:advance(1) end
    end)
    assert.equal(5 + 3 * 3, conn:wait_arrival(12))      -- the first total that is enough
    task:wait()
    assert.equal(5 + 30, conn:wait_arrival(5 + 30))
  end)

  it("is a deadlock to wait on where nothing comes, and told at once", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    lab:client { to = backend }:request { path = "/warm" }
    backend:conn(1):hold()
    assert.error_matches(function() backend:conn(1):wait_arrival() end, "deadlock.*hand_spec.lua:%d+: waits in conn")
  end)

  it("still reads what a peer sent that has gone meanwhile", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request { path = "/warm" }
    local conn = backend:conn(1)
    conn:hold()
    client:raw(POST)
    conn:wait_arrival(#POST)
    client:half_close()
    lab:advance(0)
    assert.False(conn.closed)
    assert.equal(0, backend:ledger "v1".executed)
    conn:release()
    lab:advance(0)
    assert.equal(1, backend:ledger "v1".executed)
    assert.is_true(conn.closed)
  end)
end)

describe("sending that is held", function()
  it("keeps the response back until it is released", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local conn, exchange = begin(lab, backend, POST, "sending")
    lab:advance(1000)
    assert.False(exchange.done)
    local attempt = backend:ledger "v1"[1]
    assert.same({ 1, 0 }, { attempt.executed, attempt.answered })
    conn:release "sending"
    local reply = exchange:wait()
    assert.same({ 200, 1000 }, { reply.status, reply.ms })
    assert.is_true(backend:ledger "v1"[1].answered_whole)
  end)

  for _, point in ipairs { { "executed", 0 }, { "response_byte", 20, 20 }, { "request_end", 0 } } do
    it("keeps a fault's ending back too, at " .. point[1], function()
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { id = "v1", on = point[1], at = point[3], close = "rst" } } }
      local conn, exchange, listener = begin(lab, backend, POST, "sending")
      lab:advance(1000)
      assert.False(exchange.done)
      assert.False(listener.done)
      assert.False(conn.ended)
      conn:release "sending"
      local reply = exchange:wait()
      assert.is_true(reply.reset)
      assert.equal(point[2], reply.received)
      assert.equal(point[1], backend:ledger "v1"[1].ended_on)
    end)
  end

  it("does not keep reading back", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request { path = "/warm" }
    backend:conn(1):hold "sending"
    local one, two = client:start { id = "s1" }, client:start { id = "s2" }
    lab:advance(0)
    assert.equal(1, backend:ledger "s1".executed)
    assert.equal(0, backend:ledger "s2".executed)        -- its turn comes when the one before was answered
    backend:conn(1):release "sending"
    assert.same({ 200, 200 }, { one:wait().status, two:wait().status })
  end)
end)

describe("backend:conn { carried = id }", function()
  it("is the newest connection that carried it", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local one, two = lab:client { to = backend }, lab:client { to = backend }
    one:request { id = "x" }
    two:request { id = "y" }
    assert.equal(1, backend:conn { carried = "x" }.n)
    assert.equal(2, backend:conn { carried = "y" }.n)
    two:request { id = "x" }
    assert.equal(2, backend:conn { carried = "x" }.n)
    one:request { path = "/id/z/thing" }
    assert.equal(1, backend:conn { carried = "z" }.n)
    assert.error_matches(function() backend:conn { carried = "nobody" } end, "no connection carried 'nobody'")
  end)

  it("counts a request that only lay unread", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local conn = begin(lab, backend, POST, "reading")
    conn:close "rst"
    assert.equal(1, backend:conn { carried = "v1" }.n)
  end)
end)

-- ------------------------------------------------------------------------- sayings --

local STALE = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

describe("what is said before the end", function()
  for _, ending in ipairs { "fin", "rst", "half", "plain", "stall" } do
    it(("arrives in front of %s, and a whole response bears a mark"):format(ending), function()
      for _, by in ipairs { "hand", "fault" } do
        local lab <close> = race.lab()
        local backend = lab:backend()
        local client = lab:client { to = backend }
        client:request { path = "/warm" }
        local exchange, listener = client:raw "", client:raw ""
        if by == "hand" then
          backend:conn(1):close(ending, { say = STALE })
        else
          backend:fault { conn = 1, request = 1, on = "idle", close = ending, say = STALE }
        end
        local reply = exchange:wait()
        assert.same({ 408, true }, { reply.status, reply.complete })
        assert.equal(#STALE + #("X-Closerace-Mark: %d\r\n"):format(reply.mark), reply.received)
        local told = listener:wait()
        assert.equal(ending == "rst", told.reset)
        assert.equal(ending ~= "stall", told.closed)
        assert.equal(0, told.received)
      end
    end)
  end

  it("may be half a status line, and is then cut short", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local _, exchange = begin(lab, backend, POST, "sending")
    backend:conn(1):close("fin", { say = "HTTP/1.1 50" })
    local reply = exchange:wait()
    assert.same({ #"HTTP/1.1 50", true, true, false, "HTTP/1.1 50" },
      { reply.received, reply.closed, reply.truncated, reply.complete, reply.head })
    assert.is_nil(reply.mark)
  end)

  it("may be junk, byte for byte", function()
    local junk = "\0\1\255not http at all\n\r\n"
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { id = "v1", on = "executed", close = "rst", say = junk } } }
    local client = lab:client { to = backend }
    local reply = client:raw(POST):wait()
    assert.is_true(reply.invalid)
    assert.False(reply.complete)
    assert.equal(#junk, reply.received)
    assert.equal(junk, reply.head)
  end)

  it("belongs to the request of which a byte was taken, and else to none", function()
    for _, case in ipairs { { "request_byte", 1, true }, { "request_end", nil, true }, { "arrival", nil, false } } do
      local lab <close> = race.lab()
      local backend = lab:backend { faults = {
        { id = "v1", on = case[1], at = case[2], close = "fin", say = STALE },
      } }
      local reply = lab:client { to = backend }:raw(POST):wait()
      assert.equal(408, reply.status)
      assert.equal(case[3] and reply.mark or 0, backend:ledger "v1"[1].mark)
      assert.equal(0, backend:ledger "v1".executed)
      -- Whose it is decides whether it may be taken for an answer.
      assert.verdict(case[3] and "refused" or "garbled", lab, "v1")
    end
  end)
end)

describe("an end that announces itself", function()
  local points = { { "response_byte", 100 }, { "response_head" }, { "response_end" }, { "idle" } }
  for _, point in ipairs(points) do
    for _, ending in ipairs { "fin", "rst", "stall" } do
      it(("says Connection: close and still ends with %s at %s"):format(ending, point[1]), function()
        local lab <close> = race.lab()
        local backend = lab:backend { faults = {
          { request = 1, on = point[1], at = point[2], close = ending, announce = true },
        } }
        local client = lab:client { to = backend, timeout_ms = 100 }
        local exchange, listener = client:raw(POST), client:raw ""
        local reply, told = exchange:wait(), listener:wait()
        assert.equal("close", (reply.head:match "\r\nConnection: (%w+)" or ""):lower())
        assert.equal(ending == "rst", told.reset)
        assert.equal(ending == "stall", told.timeout)
        assert.equal(point[1] == "idle" or point[1] == "response_end", reply.complete)
        if point[2] then assert.equal(point[2], reply.received) end
      end)
    end
  end

  it("does not touch the responses before it", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { request = 2, on = "response_end", close = "fin", announce = true } } }
    local client = lab:client { to = backend }
    assert.is_nil(client:request {}.headers.connection)
    assert.equal("close", client:request {}.headers.connection)
    assert.is_nil(client:request {}.headers.connection)
    assert.equal(2, backend.n_conns)
  end)

  it("takes no request any more while it waits", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = {
      { request = 1, on = "idle", after_ms = 50, close = "rst", announce = true },
    } }
    local client = lab:client { to = backend }
    local warm, late = client:raw(victim.WARM), client:raw(POST)      -- pipelined, against all advice
    assert.equal("close", warm:wait().headers.connection)
    lab:advance(49)
    assert.False(late.done)
    lab:advance(1)
    assert.is_true(late.done)
    assert.is_true(late:wait().reset)
    assert.same({ 0, #POST }, { backend:ledger "v1".executed, backend:ledger "v1"[1].unread })
  end)
end)
