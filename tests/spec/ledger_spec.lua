--- The backend's books, for the same sweep as on the wire, and for what arrives where nobody reads.
local race = require "closerace"
local victim = require "victim"

local words = race.words()

--- Can a packet socket see what is sent to a connection that is gone (CAP_NET_RAW)?
local function sees_packets() return race.has "witness" == true end

local function facts(attempt)
  if attempt == nil then return nil end
  local t = {}
  for _, key in ipairs { "unread", "read", "whole", "executed", "executed_max", "answered", "answered_whole",
      "after_end", "unseen", "ended", "ended_on", "ending", "by_hand" } do
    t[key] = attempt[key]
  end
  return t
end

--- The victim's entry, by rule.  With half the server goes on reading and executing what the end left there.
local function expected(point, ending, sizes)
  local taken, half = victim.taken(point, sizes), ending == "half"
  local answered = victim.answered(point, sizes)
  local t = {
    read = half and sizes.request or taken,
    unread = half and 0 or sizes.request - taken,
    whole = half or taken == sizes.request,
    executed = (half or victim.executed(point)) and 1 or 0,
    answered = answered,
    answered_whole = answered == sizes.response,
    after_end = point.on == "accept",
    unseen = false,
    ended = point.on ~= "idle",            -- idle: it was over, and nothing was ended during it
  }
  t.executed_max = t.executed            -- of the server that is built in, nothing is in doubt
  if t.ended then t.ended_on, t.ending, t.by_hand = point.on, ending, false end
  return t
end

--- Nobody is there any more; the first that is sent is answered by a reset, and a second one is not.
local function leaves_nobody(ending) return ending == "vanish" or ending == "plain" end

--- What is sent after such an end cannot be seen here.  The books have an entry for that, of which they know no more.
-- @param unread  bytes that lay unread when it was: then plain is a reset
local function is_blind(ending, unread)
  return leaves_nobody(ending) and not (ending == "plain" and unread > 0) and not sees_packets()
end

--- A request that is sent when all is over: it must not be lost, nor counted as executed where nobody runs it.
local function expected_later(n, point, ending, size, unread)
  if ending == "rst" or ending == "plain" and unread > 0 or leaves_nobody(ending) and n == 2 then return nil end
  if is_blind(ending, unread) then return nil end
  local half = ending == "half"
  return {
    read = half and size or 0,
    unread = half and 0 or size,
    whole = half,
    executed = half and 1 or 0,
    executed_max = half and 1 or 0,
    answered = 0,
    answered_whole = false,
    after_end = true,
    unseen = false,
    ended = true, ended_on = point.on, ending = ending, by_hand = false,
  }
end

for _, method in ipairs { "GET", "POST" } do
  local request = victim.requests[method]
  local sizes = victim.sizes(request)

  describe("the books of a " .. method, function()
    for _, point in ipairs(victim.points(sizes)) do
      for _, ending in ipairs(words.endings) do
        local sentence = victim.sentence(point, ending)
        victim.it(it, pending, ending, sentence, function()
          local seen = victim.play(point, ending, request)
          local fresh = point.on == "accept"
          -- After accept the victim is itself the first of the later two.
          local unread = fresh and 0 or sizes.request - victim.taken(point, sizes)
          local wanted
          if fresh then
            wanted = expected_later(1, point, ending, sizes.request, 0)
          else
            wanted = expected(point, ending, sizes)
          end
          assert.same(wanted, facts(seen.ledger[1]))
          assert.equal(wanted and 1 or 0, #seen.ledger)
          if not fresh then
            assert.same(expected_later(1, point, ending, #victim.later(1), unread), facts(seen.later[1]))
          end
          assert.same(expected_later(2, point, ending, #victim.later(2), unread), facts(seen.later[2]))
          assert.equal(is_blind(ending, unread) and 1 or 0, seen.n_unseen)
        end)
      end
    end
  end)
end

describe("the sweep", function()
  it("knows every close point there is", function()
    local missing = {}
    for _, on in ipairs(words.points) do missing[on] = true end
    for _, point in ipairs(victim.points(victim.sizes(victim.requests.GET))) do missing[point.on] = nil end
    assert.same({ interim = true }, missing)          -- which has its own, below and in wire_spec
  end)
end)

describe("the books of a request that met an end at interim", function()
  local HEAD, BODY = victim.EXPECTS[1], victim.EXPECTS[2]

  for _, ending in ipairs(words.endings) do
    victim.it(it, pending, ending, ("asked for, %s: no body was read, unless half"):format(ending), function()
      local half, reads = ending == "half", ending == "fin" or ending == "stall" or leaves_nobody(ending)
      local blind = leaves_nobody(ending) and not sees_packets()
      local seen = victim.play({ on = "interim" }, ending, victim.EXPECTS)
      assert.same({
        read = half and #HEAD + #BODY or #HEAD,
        unread = reads and not blind and #BODY or 0,
        whole = half,
        executed = half and 1 or 0, executed_max = half and 1 or 0,
        answered = 0, answered_whole = false, after_end = false, unseen = false,
        ended = true, ended_on = "interim", ending = ending, by_hand = false,
      }, facts(seen.ledger[1]))
    end)
    victim.it(it, pending, ending, ("unasked for, %s: it ran, and was never answered"):format(ending), function()
      local seen = victim.play({ on = "interim" }, ending, victim.requests.POST)
      assert.same({
        read = #victim.requests.POST, unread = 0, whole = true, executed = 1, executed_max = 1,
        answered = 0, answered_whole = false, after_end = false, unseen = false,
        ended = true, ended_on = "interim", ending = ending, by_hand = false,
      }, facts(seen.ledger[1]))
    end)
  end
end)

local function get(id) return ("GET /%s HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: %s\r\n\r\n"):format(id, id) end

describe("requests that lie unread when the connection ends", function()
  for _, ending in ipairs { "fin", "rst", "plain", "stall" } do
    it("are attempts, each of them, at " .. ending, function()
      local lab <close> = race.lab()
      local backend = lab:backend()
      local client = lab:client { to = backend }
      client:request { path = "/warm" }
      backend:conn(1):hold()
      client:raw(get "a" .. get "b" .. get "c")
      backend:conn(1):wait_arrival(3 * #get "a")
      backend:conn(1):close(ending)
      for n, id in ipairs { "a", "b", "c" } do
        local attempts = backend:ledger(id)
        assert.equal(1, #attempts)
        assert.equal(#get(id), attempts[1].unread)
        assert.equal(0, attempts[1].read)
        assert.equal(n + 1, attempts[1].request)
        assert.equal("arrival", attempts[1].ended_on)
        assert.False(attempts[1].after_end)
        assert.equal(0, attempts.executed)
      end
    end)
  end

  it("run all of them where the end is half, and none is answered", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { conn = 1, request = 2, on = "arrival", close = "half" } } }
    local client = lab:client { to = backend }
    client:request { path = "/warm" }
    local a = client:raw(get "a" .. get "b" .. get "c")
    assert.is_true(a:wait().closed)
    for _, id in ipairs { "a", "b", "c" } do
      local attempt = backend:ledger(id)[1]
      assert.equal(1, attempt.executed)
      assert.equal(0, attempt.answered)
      assert.False(attempt.after_end)                 -- they were there
    end
  end)

  it("are told apart from the one that was read in part", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { id = "a", on = "request_byte", at = 10, close = "rst" } } }
    local client = lab:client { to = backend }
    client:raw(get "a" .. get "b"):wait()
    local a, b = backend:ledger "a"[1], backend:ledger "b"[1]
    assert.same({ 10, #get "a" - 10 }, { a.read, a.unread })
    assert.same({ 0, #get "b" }, { b.read, b.unread })
  end)

  it("are attempts also where only half of one has come", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request { path = "/warm" }
    backend:conn(1):hold()
    client:raw(get "a" .. get "b":sub(1, -2))
    backend:conn(1):wait_arrival(2 * #get "a" - 1)
    backend:conn(1):close "rst"
    assert.equal(#get "b" - 1, backend:ledger "b"[1].unread)
  end)
end)

describe("requests that come after the end", function()
  for _, held in ipairs { false, true } do
    it("are attempts" .. (held and ", also while reading is held" or ""), function()
      local lab <close> = race.lab()
      local backend = lab:backend()
      local client = victim.client(lab, backend)
      client:request { path = "/warm" }
      local listener = client:raw ""
      if held then backend:conn(1):hold() end
      backend:conn(1):close "fin"
      lab:advance(0)
      assert.is_true(listener:send(get "a" .. get "b"))
      lab:advance(0)
      for _, id in ipairs { "a", "b" } do
        local attempt = backend:ledger(id)[1]
        assert.is_not_nil(attempt)
        assert.is_true(attempt.after_end)
        assert.equal(#get(id), attempt.unread)
        assert.equal(0, attempt.executed)
      end
      assert.equal(3, #backend:ledger())
      if not held then return end
      backend:conn(1):release()                       -- and once only
      lab:advance(0)
      assert.equal(3, #backend:ledger())
      assert.equal(#get "a", backend:ledger "a"[1].unread)
    end)
  end

  it("are seen by a packet socket where the connection vanished, or else said to be unseen", function()
    local can, why = race.has "vanish"
    if not can then return pending(why) end
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = victim.client(lab, backend)
    client:request { path = "/warm" }
    local listener = client:raw ""
    backend:conn(1):close "vanish"
    lab:advance(0)
    assert.is_true(listener:send(get "a"))
    assert.is_true(listener:wait().reset)
    local books = backend:ledger()
    assert.equal(2, #books)
    assert.is_true(books[2].after_end)
    assert.equal(not sees_packets(), books[2].unseen)
    assert.equal(sees_packets() and "a" or "", books[2].id)
  end)

  it("are seen by the backend that they were sent to, of several at once and one after the other", function()
    if not race.has "vanish" or not sees_packets() then return pending "needs CAP_NET_ADMIN and CAP_NET_RAW" end
    for _ = 1, 3 do
      local lab <close> = race.lab()
      local backends, listeners = { lab:backend(), lab:backend() }, {}
      for n, backend in ipairs(backends) do
        local client = victim.client(lab, backend)
        client:request { path = "/warm" }
        listeners[n] = client:raw ""
        backend:conn(1):close "vanish"
      end
      for n, listener in ipairs(listeners) do listener:send(get("to" .. n)) end
      for n, listener in ipairs(listeners) do
        assert.is_true(listener:wait().reset)
        assert.equal(2, #backends[n]:ledger())
        assert.equal("to" .. n, backends[n]:ledger()[2].id)
      end
    end
  end)
end)

describe("the books", function()
  it("count an execution for every sending of the same id", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    for _ = 1, 3 do client:request { id = "a" } end
    client:request { id = "b" }
    assert.equal(3, backend:ledger "a".executed)
    assert.equal(3, #backend:ledger "a")
    for _, attempt in ipairs(backend:ledger "a") do assert.equal(1, attempt.executed) end
    assert.equal(4, backend:ledger().executed)
  end)

  it("give pipelined requests their own answers, in their order", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    local exchanges = {}
    for n = 1, 20 do exchanges[n] = client:start { path = "/n/" .. n, id = "p" .. n } end
    for n, exchange in ipairs(exchanges) do
      local reply, attempt = exchange:wait(), backend:ledger("p" .. n)[1]
      assert.equal(200, reply.status)
      assert.equal("p" .. n, reply.headers["x-closerace-id"])
      assert.equal(attempt.mark, reply.mark)
      assert.equal(n, attempt.request)
      assert.equal(reply.received, attempt.answered)
    end
    assert.equal(1, backend.n_conns)
  end)

  it("never give one mark twice, not to responses, says or backends", function()
    local seen = {}
    local function once(mark)
      assert.is_truthy(mark)
      assert.is_nil(seen[mark])
      seen[mark] = true
    end
    for _ = 1, 2 do
      local lab <close> = race.lab()
      local one, two = lab:backend(), lab:backend()
      for _, backend in ipairs { one, two } do
        local client = lab:client { to = backend }
        for _ = 1, 5 do once(client:request {}.mark) end
        once(client:raw("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):wait().mark)     -- libmicrohttpd's own 400
        local other = lab:client { to = backend }
        other:request {}
        local listener = other:raw ""
        backend:conn { carried = "" }:close("fin", { say = "HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n" })
        once(listener:wait().mark)
      end
    end
  end)

  it("keep what was answered of a cut response", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { id = "a", on = "response_byte", at = 77, close = "rst" } } }
    local reply = lab:client { to = backend }:request { path = "/bytes/100", id = "a" }
    assert.equal(77, reply.received)
    assert.equal(77, backend:ledger "a"[1].answered)
    assert.False(backend:ledger "a"[1].answered_whole)
  end)
end)
