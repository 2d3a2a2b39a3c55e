--- Idle connections that the backend closes when their time is over: keep_alive_ms, its hint, and after_ms of faults.
local race = require "closerace"
local victim = require "victim"

local words = race.words()
local POST = victim.requests.POST
local MS = 5000

--- A reused connection and an exchange that listens on it.
local function rest(lab, backend)
  local client = victim.client(lab, backend)
  client:raw(victim.WARM):wait()
  return client, client:raw ""
end

describe("keep_alive_ms", function()
  for _, ending in ipairs(words.endings) do
    victim.it(it, pending, ending, ("ends an idle connection with %s, exactly then"):format(ending), function()
      local lab <close> = race.lab()
      local backend = lab:backend { keep_alive_ms = MS, keep_alive_close = ending }
      local _, listener = rest(lab, backend)
      lab:advance(MS - 1)
      assert.False(listener.done)
      assert.False(backend:conn(1).ended)
      lab:advance(1)
      assert.is_true(backend:conn(1).ended)
      assert.equal(ending == "fin" or ending == "half" or ending == "plain" or ending == "rst", listener.done)
      if listener.done then
        local told = listener:wait()
        assert.equal(MS, told.ms)
        assert.equal(ending == "rst", told.reset)
        assert.equal(0, told.received)
      else
        local sent, why = listener:send(POST)
        assert.is_true(sent, why)
        local told = listener:wait()
        assert.equal(ending == "vanish", told.reset)
        assert.equal(ending == "stall", told.timeout)
        assert.equal(0, backend:ledger "v1".executed)
      end
    end)
  end

  it("is fin where nothing else is said, and never where nothing is said at all", function()
    local lab <close> = race.lab()
    local _, listener = rest(lab, lab:backend { keep_alive_ms = MS })
    local told = listener:wait()
    assert.same({ true, false, MS }, { told.closed, told.reset, told.ms })

    local forever <close> = race.lab()
    local client = forever:client { to = forever:backend(), timeout_ms = 0 }
    client:raw(victim.WARM):wait()
    local patient = client:raw ""
    forever:advance(1000 * 60 * 60 * 24)
    assert.False(patient.done)
  end)

  it("closes a connection that was never used, too", function()
    local lab <close> = race.lab()
    local exchange = victim.client(lab, lab:backend { keep_alive_ms = MS }):raw ""
    assert.equal(MS, exchange:wait().ms)
  end)

  it("begins anew with every request", function()
    local lab <close> = race.lab()
    local backend = lab:backend { keep_alive_ms = MS }
    local client = lab:client { to = backend }
    for n = 1, 4 do
      assert.equal(200, client:request { id = "k" .. n }.status)
      lab:advance(MS - 1)
    end
    assert.equal(1, backend.n_conns)
    local listener = client:raw ""
    assert.equal(1, listener:wait().ms)
    client:request {}
    assert.equal(2, backend.n_conns)
  end)

  it("does not run while a request is being read, executed or answered", function()
    local lab <close> = race.lab()
    local backend = lab:backend { keep_alive_ms = MS }
    local client = lab:client { to = backend, timeout_ms = 0 }

    local exchange = client:raw(POST:sub(1, 20))
    lab:advance(10 * MS)
    assert.False(exchange.done)
    exchange:send(POST:sub(21))
    assert.equal(200, exchange:wait().status)

    assert.equal(200, client:request { path = "/delay/" .. 10 * MS }.status)

    backend:conn(1):hold "sending"
    local held = client:start { path = "/item" }
    lab:advance(10 * MS)
    assert.False(held.done)
    backend:conn(1):release "sending"
    assert.equal(200, held:wait().status)
    assert.equal(1, backend.n_conns)
    assert.equal(MS, client:raw "":wait().ms)
  end)

  for _, ending in ipairs { "fin", "rst", "plain", "half", "stall" } do
    it(("ends with %s on a request that a busy server has not read"):format(ending), function()
      local lab <close> = race.lab()
      local backend = lab:backend { keep_alive_ms = MS, keep_alive_close = ending }
      local client = victim.client(lab, backend)
      client:raw(victim.WARM):wait()
      backend:conn(1):hold()                              -- busy elsewhere
      lab:advance(MS - 1)
      local exchange, listener = client:raw(POST), client:raw ""
      backend:conn(1):wait_arrival(#POST)
      lab:advance(1)
      local seen = victim.listen(lab, exchange, listener)
      assert.equal(0, seen.reply.received)
      local told = seen.after
      assert.equal(ending == "rst" or ending == "plain", told.reset)
      assert.equal(ending == "stall", told.timeout)
      if told.closed then assert.equal(1, told.ms) end
      if ending == "half" then
        assert.equal(0, #backend:ledger "v1")
        backend:conn(1):release()
        lab:advance(0)
      end
      local attempts = backend:ledger "v1"
      assert.equal(1, #attempts)
      assert.equal(ending == "half" and 1 or 0, attempts.executed)
      assert.equal(ending == "half" and 0 or #POST, attempts[1].unread)
      assert.is_true(attempts[1].ended)
      assert.False(attempts[1].by_hand)
      assert.False(attempts[1].after_end)                 -- it was there first
      local verdict = lab:verdict "v1"
      assert.is_true(verdict.reached)
      assert.equal("crossing", verdict.order)
    end)
  end

  it("is told to the client only where keep_alive_hint is true", function()
    for _, case in ipairs { { 5000, true, "timeout=5" }, { 5999, true, "timeout=5" }, { 5000, false, nil },
        { 0, true, nil } } do
      local lab <close> = race.lab()
      local backend = lab:backend { keep_alive_ms = case[1], keep_alive_hint = case[2] }
      assert.equal(case[3], lab:client { to = backend }:request {}.headers["keep-alive"])
    end
  end)
end)

describe("an idle fault", function()
  for _, ms in ipairs { 1, 250, 60000 } do
    it(("with after_ms = %d ends the connection %d ms after the response"):format(ms, ms), function()
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { request = 1, on = "idle", after_ms = ms, close = "fin" } } }
      local client = lab:client { to = backend, timeout_ms = 0 }
      client:raw(victim.WARM):wait()
      local listener = client:raw ""
      lab:advance(ms - 1)
      assert.False(listener.done)
      lab:advance(1)
      assert.is_true(listener.done)
      assert.equal(ms, listener:wait().ms)
    end)
  end

  it("is called off by a request, and on again behind its response", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "idle", after_ms = 100, close = "fin" } } }
    local client = lab:client { to = backend, timeout_ms = 0 }
    for _ = 1, 3 do
      client:raw(victim.WARM):wait()
      lab:advance(99)
    end
    assert.equal(1, client:raw "":wait().ms)
    assert.equal(3, backend:conn(1).finished)
    assert.equal(1, backend.n_conns)
  end)

  it("that was for the first response leaves the connection alone behind the second", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = {
      { request = 1, on = "idle", after_ms = 100, close = "fin", optional = true },
    } }
    local client = lab:client { to = backend, timeout_ms = 0 }
    client:raw(victim.WARM):wait()
    lab:advance(99)
    client:raw(victim.WARM):wait()
    lab:advance(100000)
    assert.False(backend:conn(1).ended)
  end)

  it("counts finished requests", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { request = 3, on = "idle", close = "rst" } } }
    local client = lab:client { to = backend }
    for n = 1, 6 do
      assert.equal(200, client:request { id = "i" .. n }.status)
      lab:advance(0)
    end
    for n = 1, 6 do assert.equal(n <= 3 and 1 or 2, backend:conn { carried = "i" .. n }.n) end
  end)

  it("fires when the pooled connection is idle, added only then", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local _, listener = rest(lab, backend)
    lab:advance(1000)
    backend:fault { conn = 1, request = 1, on = "idle", after_ms = 7, close = "rst" }
    local told = listener:wait()
    assert.same({ true, 1007 }, { told.reset, told.ms })
  end)

  it("waits for the response to have left", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { request = 1, on = "idle", close = "rst" } } }
    local client = lab:client { to = backend }
    local reply = client:request { path = "/bytes/1000000" }
    assert.is_true(reply.complete)                        -- the reset did not overtake it
    assert.equal(1000000, #reply.body)
    lab:advance(0)
    assert.is_true(backend:conn(1).ended)
  end)

  it("and keep_alive_ms: the earlier one wins", function()
    for _, case in ipairs { { 100, 200, "rst" }, { 200, 100, "fin" } } do
      local lab <close> = race.lab()
      local backend = lab:backend {
        keep_alive_ms = case[2], keep_alive_close = "fin",
        faults = { { on = "idle", after_ms = case[1], close = "rst", optional = true } },
      }
      local _, listener = rest(lab, backend)
      local told = listener:wait()
      assert.same({ 100, case[3] == "rst" }, { told.ms, told.reset })
    end
  end)
end)
