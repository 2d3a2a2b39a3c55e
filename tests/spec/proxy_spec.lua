--- Our own proxy: held at its checkpoints, and what its books say.

local race = require "closerace"

local CAN_VANISH = race.has "vanish"

--- A lab with one backend, one proxy and one client, and a warm pool.
local function stage(options)
  local lab = race.lab()
  local backend = lab:backend { faults = options and options.faults }
  if options then options.faults = nil end
  local proxy_options = { to = backend }
  for name, value in pairs(options or {}) do proxy_options[name] = value end
  local proxy = lab:proxy(proxy_options)
  local client = lab:client { to = proxy }
  return lab, backend, proxy, client
end

--- Leave n idle connections in the pool.
local function warm(lab, proxy, n)
  local exchanges = {}
  for i = 1, n do exchanges[i] = lab:client({ to = proxy }):start { path = "/delay/1" } end
  for i = 1, n do exchanges[i]:wait() end
  lab:advance(0)
  assert.equal(n, #proxy:pool())
end

-- ------------------------------------------------------------- checkpoints --

describe("every checkpoint of the proxy", function()
  --- How it is reached: options of the proxy, faults, what is done first, the request, its end; `early` where the
  -- client has its answer already.
  local ways = {
    ["session.waiting"] = {},
    ["session.parsing"] = {},
    ["session.choosing"] = {},
    ["session.relaying"] = {},
    ["session.backing_off"] = { backoff_ms = 10, faults = { { on = "request_end", close = "fin", id = "h" } } },
    ["session.answering"] = { faults = { { on = "request_end", close = "fin", id = "h" } }, method = "POST",
      status = 502 },
    ["session.lingering"] = { headers = { Connection = "close" }, early = true },
    ["session.ended"] = { headers = { Connection = "close" }, early = true },
    ["upstream.connecting"] = {},
    ["upstream.verifying"] = { verify = "options" },
    ["upstream.sending"] = {},
    ["upstream.awaiting"] = {},
    ["upstream.reading"] = {},
    ["upstream.tunnelling"] = { headers = { Connection = "upgrade", Upgrade = "chat" }, status = 101,
      faults = { { on = "request_end", close = "fin", id = "h", say = "HTTP/1.1 101 Switching Protocols\r\n"
        .. "Connection: upgrade\r\nUpgrade: chat\r\n\r\n" } } },
    ["upstream.idle"] = { early = true },
    ["upstream.spent"] = { max_uses = 1, early = true },
  }

  for _, point in ipairs(race.words().checkpoints) do
    it("is reached and held: " .. point, function()
      local way = assert(ways[point], "no way is known to " .. point)
      local lab, backend, proxy, client = stage { backoff_ms = way.backoff_ms, max_uses = way.max_uses,
        verify = way.verify, faults = way.faults }
      proxy:hold(point)
      local exchange = client:start { method = way.method, headers = way.headers, id = "h",
        body = way.method and "x" }
      local held = proxy:wait(point)
      assert.equal(point, held.checkpoint)
      assert.equal("string", type(held.id))
      lab:advance(1)
      assert.equal(way.early or false, exchange.done)
      assert.truthy(tostring(proxy):find("1 held", 1, true))
      held:release()
      local reply = exchange:wait()
      assert.equal(way.status or 200, reply.status)
      assert.is_true(reply.complete)
      assert.equal(200, lab:client({ to = proxy }):request({}).status)
      assert.is_true(backend:ledger("h").executed == (way.status and 0 or 1))
      lab:close()
    end)
  end

  it("stands before anything is done in its state", function()
    local lab, backend, proxy, client = stage()
    for _, point in ipairs { "waiting", "parsing", "choosing", "connecting", "sending", "awaiting" } do
      proxy:hold(point)
    end
    local exchange = client:start { path = "/seen" }
    for _, point in ipairs { "waiting", "parsing", "choosing", "connecting" } do
      proxy:wait(point)
      assert.equal(0, backend.n_conns, point)
      proxy:release(point)
    end
    proxy:wait "sending"
    lab:advance(0)
    assert.equal(1, backend.n_conns)
    assert.equal(0, backend:conn(1).received)
    proxy:release "sending"
    proxy:wait "awaiting"
    assert.equal(1, backend:conn(1).requests)
    assert.is_false(exchange.done)
    proxy:release()
    assert.equal(200, exchange:wait().status)
    lab:close()
  end)
end)

describe("a hold", function()
  it("may be for one id only", function()
    local lab, _, proxy, client = stage()
    proxy:hold("sending", { id = "b" })
    assert.equal(200, client:request({ id = "a" }).status)
    local b = client:start { id = "b" }
    assert.equal("b", proxy:wait("sending").id)
    assert.equal(200, lab:client({ to = proxy }):request({ id = "c" }).status)
    proxy:release "sending"
    assert.equal(200, b:wait().status)
    lab:close()
  end)

  it("may be for one attempt only", function()
    local lab, backend, proxy, client = stage { faults = { { on = "request_end", close = "fin", id = "g" } } }
    proxy:hold("sending", { attempt = 2 })
    local get = client:start { id = "g" }
    local held = proxy:wait "sending"
    assert.equal(2, held.attempt)
    assert.equal(2, held.n)
    assert.equal(1, #backend:ledger "g")
    held:release()
    assert.equal(200, get:wait().status)
    lab:close()
  end)

  it("is for one entry, or for as many as it says", function()
    for times = 1, 3 do
      local lab, _, proxy = stage()
      proxy:hold("choosing", { times = times })
      local exchanges = {}
      for i = 1, 4 do exchanges[i] = lab:client({ to = proxy }):start { id = "e" .. i } end
      lab:advance(0)
      for i = 1, 4 do assert.equal(i > times, exchanges[i].done) end
      for i = times, 1, -1 do
        assert.equal("e" .. i, proxy:wait("choosing", { id = "e" .. i }).id)
      end
      proxy:release "choosing"
      for i = 1, 4 do assert.equal(200, exchanges[i]:wait().status) end
      lab:close()
    end
  end)

  it("is undone by a release, as far as it was not used", function()
    local lab, _, proxy, client = stage()
    proxy:hold("sending", { times = 5 })
    local first = client:start {}
    proxy:wait "sending"
    proxy:release "sending"
    assert.equal(200, first:wait().status)
    assert.equal(200, client:request({}).status)
    lab:close()
  end)

  it("lets one go and keeps the others", function()
    local lab, _, proxy = stage()
    proxy:hold("choosing", { times = 2 })
    local one = lab:client({ to = proxy }):start { id = "one" }
    local two = lab:client({ to = proxy }):start { id = "two" }
    proxy:release(proxy:wait("choosing", { id = "two" }))
    assert.equal(200, two:wait().status)
    assert.is_false(one.done)
    proxy:wait("choosing"):release()
    assert.equal(200, one:wait().status)
    lab:close()
  end)

  it("after some bytes lets exactly those pass", function()
    local lab, backend, proxy, client = stage()
    client:request {}
    for n = 1, 60, 7 do
      local before = backend:conn(1).received
      proxy:hold("sending", { after_bytes = n })
      local exchange = client:start { id = "partly" .. n }
      local held = proxy:wait "sending"
      assert.equal("upstream.sending", held.checkpoint)
      assert.equal("partly" .. n, held.id)
      lab:advance(0)
      assert.equal(n, backend:conn(1).received - before)
      held:release()
      assert.equal(200, exchange:wait().status)
    end
    lab:close()
  end)

  it("after some bytes is inside the request when the connection ends", function()
    for ending, error in pairs { fin = false, rst = "ECONNRESET" } do
      local lab, backend, proxy, client = stage { retry = "never" }
      client:request {}
      proxy:hold("sending", { after_bytes = 10 })
      local get = client:start { id = "g" }
      proxy:wait "sending"
      lab:advance(0)
      backend:conn(1):close(ending)
      proxy:release "sending"
      assert.equal(502, get:wait().status)
      local try = proxy:attempts "g"[1]
      assert.is_true(try.sent >= 10)
      assert.equal(error or nil, try.error)
      assert.equal("retry policy is never", try.why)
      assert.verdict("refused", lab, "g")
      assert.equal("held", lab:verdict("g").order)
      lab:close()
    end
  end)

  it("loses no event: a response and a FIN that came meanwhile are both met", function()
    for _, point in ipairs { "awaiting", "reading" } do
      local lab, backend, proxy, client = stage { faults = { { on = "response_end", id = "g", close = "fin" } } }
      proxy:hold(point)
      local get = client:start { path = "/bytes/30000", id = "g" }
      proxy:wait(point)
      lab:advance(10)
      assert.is_true(backend:conn(1).ended)
      proxy:release(point)
      assert.equal(30000, #get:wait().body)
      assert.equal(0, #proxy:pool())
      lab:close()
    end
  end)

  it("loses no event: a reset that came meanwhile is met once", function()
    local lab, backend, proxy, client = stage()
    client:request {}
    backend:conn(1):hold()
    proxy:hold "awaiting"
    local get = client:start { id = "g" }
    proxy:wait "awaiting"
    backend:conn(1):close "rst"
    lab:advance(10)
    proxy:release "awaiting"
    assert.equal(200, get:wait().status)
    local tries = proxy:attempts "g"
    assert.equal(2, #tries)
    assert.equal("ECONNRESET", tries[1].error)
    assert.equal("retry", tries[1].action)
    assert.equal("held", lab:verdict("g").order)
    lab:close()
  end)

  it("loses no event: a close of an idle connection", function()
    for _, ending in ipairs { "fin", "rst" } do
      local lab, backend, proxy, client = stage()
      proxy:hold "idle"
      client:request {}
      proxy:wait "idle"
      assert.equal(0, #proxy:pool())
      backend:conn(1):close(ending)
      proxy:release "idle"
      lab:advance(0)
      assert.equal(0, #proxy:pool())
      assert.equal(200, client:request({}).status)
      assert.equal(2, backend.n_conns)
      lab:close()
    end
  end)

  it("loses no event: a client that left meanwhile", function()
    for _, point in ipairs { "waiting", "parsing", "choosing", "relaying", "connecting", "sending", "awaiting",
      "reading" } do
      local lab, backend, proxy, client = stage()
      proxy:hold(point)
      client:start { path = "/bytes/1000000", id = "g" }
      proxy:wait(point)
      client:close()
      lab:advance(10)
      proxy:release(point)
      lab:advance(10)
      assert.truthy(tostring(proxy):find("0 sessions, 0 held", 1, true), point .. ": " .. tostring(proxy))
      assert.equal(0, #proxy:pool(), point)
      for i = 1, backend.n_conns do
        assert.is_true(backend:conn(i).closed or backend:conn(i).peer_closed, point)
      end
      assert.equal(200, lab:client({ to = proxy }):request({}).status, point)
      lab:close()
    end
  end)
end)

describe("proxy:wait", function()
  it("waits in one task for what another one starts", function()
    local lab, _, proxy, client = stage()
    proxy:hold "sending"
    local watcher = lab:task(function()
      local held = proxy:wait("sending", { id = "late" })
      held:release()
      return lab:now()
    end)
    lab:advance(500)
    assert.equal(200, client:request({ id = "late" }).status)
    assert.equal(500, watcher:wait())
    lab:close()
  end)
end)

-- ------------------------------------------------------------------- books --

describe("proxy:pool", function()
  it("lists the idle connections, the last one parked first, with their uses", function()
    local lab, _, proxy, client = stage()
    assert.same({}, proxy:pool())
    warm(lab, proxy, 3)
    assert.same({ { upstream = 3, to = 1, uses = 1 }, { upstream = 2, to = 1, uses = 1 },
      { upstream = 1, to = 1, uses = 1 } }, proxy:pool())
    client:request {}
    client:request {}
    assert.same({ { upstream = 3, to = 1, uses = 3 }, { upstream = 2, to = 1, uses = 1 },
      { upstream = 1, to = 1, uses = 1 } }, proxy:pool())
    lab:close()
  end)
end)

describe("proxy:attempts", function()
  it("lists every attempt in order, or those of one id", function()
    local lab, _, proxy, client = stage { faults = { { on = "executed", close = "fin", id = "b", times = 2 } } }
    client:request { id = "a" }
    client:request { id = "b" }
    local all, of_b = proxy:attempts(), proxy:attempts "b"
    assert.equal(3, #all)
    assert.equal(2, #of_b)
    assert.same({ "a", "b", "b" }, { all[1].id, all[2].id, all[3].id })
    assert.same(all[2], of_b[1])
    assert.same({}, proxy:attempts "c")

    assert.is_false(all[1].reused)
    assert.equal("answered", all[1].action)
    assert.is_false(all[1].failed)
    assert.is_true(all[1].sent > 0 and all[1].received > 0)

    assert.is_true(of_b[1].reused)
    assert.same({ 1, 1 }, { of_b[1].attempt, of_b[1].upstream })
    assert.same({ "retry", "idempotent method", true }, { of_b[1].action, of_b[1].why, of_b[1].failed })
    assert.is_true(of_b[1].peer_closed)
    assert.same({ 2, 2 }, { of_b[2].attempt, of_b[2].upstream })
    assert.is_false(of_b[2].reused)
    assert.same({ "give up", "no retry is left" }, { of_b[2].action, of_b[2].why })
    lab:close()
  end)
end)

-- -------------------------------------------------------- inside the window --

describe("a connection that ends between the last look and the first byte", function()
  --- What each ending does to the send, by what the kernel is known to do.
  local endings = {
    fin    = { sent = true, error = nil },            -- the send succeeds, then EOF
    rst    = { sent = false, error = "ECONNRESET" },  -- the send fails
    vanish = { sent = true, error = "ECONNRESET" },   -- the send succeeds and is answered by a reset
  }
  for ending, wire in pairs(endings) do
    for _, method in ipairs { "GET", "POST" } do
      local title = ("by %s: %s"):format(ending, method)
      it(title, function()
        if ending == "vanish" and not CAN_VANISH then
          pending(select(2, race.has "vanish"))
          return
        end
        local lab, backend, proxy, client = stage()
        client:request {}
        proxy:hold "sending"
        local exchange = client:start { method = method, id = "v", body = method == "POST" and "x" or nil }
        proxy:wait "sending"
        backend:conn(1):close(ending)
        proxy:release "sending"
        local reply, verdict, tries = exchange:wait(), lab:verdict "v", proxy:attempts "v"

        -- Nothing sent: another connection is no retry (R7).  Sent: only what is idempotent is sent again (R2, R3).
        local again = not wire.sent or method == "GET"
        assert.equal(again and 200 or 502, reply.status)
        assert.equal(again and "clean" or "refused", verdict.name)
        assert.equal(again and 1 or 0, verdict.executed)
        assert.equal(again and 2 or 1, #tries)
        assert.is_true(verdict.reached)
        assert.equal("held", verdict.order)

        assert.is_true(tries[1].reused)
        assert.equal(wire.sent, tries[1].sent > 0)
        assert.equal(0, tries[1].received)
        assert.equal(wire.error, tries[1].error)
        assert.equal(not wire.sent and "elsewhere" or again and "retry" or "give up", tries[1].action)
        if again then
          assert.is_false(tries[2].reused)
          assert.equal("answered", tries[2].action)
        else
          assert.truthy(reply.headers["proxy-status"]:find("error=connection_terminated", 1, true))
          assert.truthy(reply.headers["proxy-status"]:find("method not idempotent", 1, true))
        end
        -- The backend's own count: what was sent, arrived, though nobody read it.
        if not verdict.unseen then
          assert.equal((wire.sent and 1 or 0) + (again and 1 or 0), verdict.attempts)
        end
        lab:close()
      end)
    end
  end
end)

describe("a request of which nothing was sent", function()
  it("rides one more pooled connection, then a fresh one, under every retry policy", function()
    for _, policy in ipairs(race.words().retry) do
      for _, method in ipairs { "GET", "POST" } do
        local lab, backend, proxy, client = stage { retry = policy, retries = 0 }
        warm(lab, proxy, 4)
        proxy:hold("sending", { times = 3 })
        local exchange = client:start { method = method, id = "v", body = method == "POST" and "x" or nil }
        for _, reused in ipairs { true, true } do
          local held = proxy:wait "sending"
          assert.is_true(reused)
          backend:conn(held.n):close "rst"
          held:release()
        end
        local last = proxy:wait "sending"
        assert.equal(5, last.n)
        assert.equal(3, last.attempt)
        last:release()
        assert.equal(200, exchange:wait().status)
        local tries = proxy:attempts "v"
        assert.same({ true, true, false }, { tries[1].reused, tries[2].reused, tries[3].reused })
        assert.same({ "elsewhere", "elsewhere", "answered" }, { tries[1].action, tries[2].action, tries[3].action })
        assert.equal("nothing was sent", tries[1].why)
        assert.same({ 0, 0 }, { tries[1].sent, tries[2].sent })
        assert.equal(3, #proxy:pool())
        assert.verdict("clean", lab, "v")
        assert.equal(1, lab:verdict("v").attempts)
        lab:close()
      end
    end
  end)

  it("on a fresh connection is as harmless once, but each further one is a retry", function()
    for _, policy in ipairs(race.words().retry) do
      for retries = 0, 2 do
        local lab, backend, proxy, client = stage { retry = policy, retries = retries }
        proxy:hold("sending", { times = 10 })
        local post = client:start { method = "POST", body = "x", id = "v" }
        for n = 1, retries + 2 do
          local held = proxy:wait("sending", { attempt = n })
          lab:advance(0)
          backend:conn(held.n):close "rst"
          held:release()
        end
        assert.equal(502, post:wait().status)
        assert.equal(retries + 2, #proxy:attempts "v")
        assert.equal("elsewhere", proxy:attempts "v"[1].action)
        assert.equal(0, lab:verdict("v").attempts)
        assert.verdict("refused", lab, "v")
        lab:close()
      end
    end
  end)

  it("uses up no retry", function()
    local lab, backend, proxy, client = stage { retries = 1,
      faults = { { on = "request_end", conn = 2, close = "fin" } } }
    client:request {}
    proxy:hold "sending"
    local get = client:start { id = "v" }
    proxy:wait "sending"
    backend:conn(1):close "rst"
    proxy:release "sending"
    assert.equal(200, get:wait().status)
    local actions = {}
    for i, try in ipairs(proxy:attempts "v") do actions[i] = try.action end
    assert.same({ "elsewhere", "retry", "answered" }, actions)
    lab:close()
  end)
end)

-- ---------------------------------------------------------------- retrying --

describe("a retry", function()
  it("takes a fresh connection, though others lie in the pool", function()
    local lab, backend, proxy, client = stage { faults = { { on = "request_end", id = "v", close = "rst" } } }
    warm(lab, proxy, 3)
    assert.equal(200, client:request({ id = "v" }).status)
    local tries = proxy:attempts "v"
    assert.same({ true, false }, { tries[1].reused, tries[2].reused })
    assert.equal(4, backend.n_conns)
    assert.equal(3, #proxy:pool())
    lab:close()
  end)

  it("is made at most `retries` times", function()
    for retries = 0, 3 do
      local lab, _, proxy, client = stage { retries = retries,
        faults = { { on = "request_end", id = "v", close = "fin", times = 10 } } }
      client:request {}
      local reply = client:request { id = "v" }
      assert.equal(502, reply.status)
      local tries = proxy:attempts "v"
      assert.equal(retries + 1, #tries)
      assert.equal(retries + 1, lab:verdict("v").attempts)
      assert.equal("no retry is left", tries[#tries].why)
      assert.verdict("refused", lab, "v")
      lab:close()
    end
  end)

  it("succeeds with the last of them", function()
    for failures = 1, 3 do
      local lab, _, _, client = stage { retries = failures,
        faults = { { on = "request_end", id = "v", close = "rst", times = failures } } }
      assert.equal(200, client:request({ id = "v" }).status)
      assert.verdict("clean", lab, "v")
      assert.equal(failures + 1, lab:verdict("v").attempts)
      lab:close()
    end
  end)

  it("waits twice as long each time", function()
    local lab, _, proxy, client = stage { retries = 4, backoff_ms = 100,
      faults = { { on = "request_end", id = "v", close = "fin", times = 4 } } }
    local reply = client:request { id = "v" }
    local moments = {}
    for _, e in ipairs(lab:trace()) do
      if e.who == "session" and e.what == "attempt" then moments[#moments + 1] = e.time_ms end
    end
    assert.same({ 0, 100, 300, 700, 1500 }, moments)
    assert.equal(5, #proxy:attempts "v")
    assert.equal(1500, reply.ms)
    assert.equal(200, reply.status)
    lab:close()
  end)

  it("is not made by a client that leaves while it waits", function()
    local lab, backend, proxy, client = stage { backoff_ms = 1000,
      faults = { { on = "request_end", id = "v", close = "fin" } } }
    client:start { id = "v" }
    lab:advance(500)
    client:close()
    lab:advance(5000)
    assert.equal(1, #backend:ledger "v")
    assert.truthy(tostring(proxy):find("0 sessions", 1, true))
    lab:close()
  end)

  it("repeats a body that was kept, and no longer one", function()
    for _, case in ipairs { { 999, true }, { 1000, true }, { 1001, false }, { 300000, false } } do
      for _, chunked in ipairs { false, true } do
        local size, kept = case[1], case[2]
        local lab, _, proxy, client = stage { replay_bytes = 1000,
          faults = { { on = "request_end", id = "v", close = "fin" } } }
        client:request {}
        local body = ("0123456789"):rep(size // 10 + 1):sub(1, size)
        local reply = client:request { method = "PUT", path = "/echo", id = "v", body = body, chunked = chunked }
        local why = ("%d bytes, %s"):format(size, reply)
        assert.equal(kept and 200 or 502, reply.status, why)
        if kept then assert.is_true(reply.body == body, why) end
        assert.equal(kept and 2 or 1, #proxy:attempts "v", why)
        if not kept then assert.equal("the request body was too long to keep", proxy:attempts "v"[1].why) end
        assert.verdict(kept and "clean" or "refused", lab, "v")
        lab:close()
      end
    end
  end)

  it("is not made once a byte of a final response was received", function()
    for _, ending in ipairs { "fin", "rst" } do
      for _, at in ipairs { 1, 8, 30 } do
        local lab, _, proxy, client = stage { retry = "always", retries = 3,
          faults = { { on = "response_byte", at = at, id = "v", close = ending } } }
        client:request {}
        assert.equal(502, client:request({ id = "v" }).status)
        assert.equal(1, #proxy:attempts "v")
        assert.equal("a final response had begun", proxy:attempts "v"[1].why)
        assert.verdict("ghost", lab, "v")
        lab:close()
      end
    end
  end)
end)

-- ---------------------------------------------------------------- the pool --

describe("a pooled connection", function()
  it("is closed when it was idle for its time, to the millisecond", function()
    local lab, backend, proxy, client = stage { idle_timeout_ms = 700 }
    client:request {}
    lab:advance(699)
    assert.equal(1, #proxy:pool())
    lab:advance(1)
    assert.equal(0, #proxy:pool())
    assert.is_true(backend:conn(1).peer_closed)
    lab:close()
  end)

  it("is idle for ever where the timeout is 0", function()
    local lab, _, proxy, client = stage { idle_timeout_ms = 0 }
    client:request {}
    lab:advance(1e9)
    assert.equal(1, #proxy:pool())
    lab:close()
  end)

  it("begins its time anew with each request", function()
    local lab, _, proxy, client = stage { idle_timeout_ms = 700 }
    for _ = 1, 3 do
      client:request {}
      lab:advance(600)
      assert.equal(1, #proxy:pool())
    end
    lab:close()
  end)

  it("is let go before the backend's announced time is over", function()
    for _, case in ipairs {
      { true, 1000, 4000 }, { true, 0, 5000 }, { true, 4999, 1 }, { false, 1000, 30000 }, { true, 5000, 0 },
    } do
      local honour, margin, idle = case[1], case[2], case[3]
      local lab <close> = race.lab()
      -- The backend announces 5 s and never closes: only the hint counts.
      local backend = lab:backend { keep_alive_ms = 5000, keep_alive_hint = true, keep_alive_close = "stall" }
      local proxy = lab:proxy { to = backend, honour_keep_alive = honour, keep_alive_margin_ms = margin,
        idle_timeout_ms = 30000 }
      lab:client({ to = proxy, timeout_ms = 0 }):request {}
      if idle > 0 then
        lab:advance(idle - 1)
        assert.equal(1, #proxy:pool(), idle)
        lab:advance(1)
      end
      assert.equal(0, #proxy:pool(), idle)
    end
  end)

  it("serves as often as it may, and no more", function()
    for uses = 1, 3 do
      local lab, backend, _, client = stage { max_uses = uses }
      for _ = 1, 7 do assert.equal(200, client:request({}).status) end
      assert.equal(math.ceil(7 / uses), backend.n_conns)
      for n = 1, 7 // uses do assert.equal(uses, backend:conn(n).finished) end
      lab:close()
    end
  end)

  it("has room beside no more than pool_size - 1 others, and the oldest gives way", function()
    local lab, backend, proxy = stage { pool_size = 2 }
    local exchanges = {}
    for i = 1, 4 do exchanges[i] = lab:client({ to = proxy }):start { path = "/delay/" .. i } end
    for i = 1, 4 do exchanges[i]:wait() end
    assert.same({ { upstream = 4, to = 1, uses = 1 }, { upstream = 3, to = 1, uses = 1 } }, proxy:pool())
    lab:advance(0)
    assert.same({ true, true, false, false }, { backend:conn(1).peer_closed, backend:conn(2).peer_closed,
      backend:conn(3).peer_closed, backend:conn(4).peer_closed })
    lab:close()
  end)

  it("is not kept at all where pool_size is 0, or reuse never", function()
    for name, value in pairs { pool_size = 0, reuse = "never" } do
      local lab, backend, proxy, client = stage { [name] = value }
      for _ = 1, 3 do client:request {} end
      assert.equal(3, backend.n_conns)
      assert.same({}, proxy:pool())
      lab:close()
    end
  end)

  it("is retired by bytes that nobody asked for, and they answer nothing", function()
    for _, ending in ipairs { "stall", "fin", "half" } do
      local lab, backend, proxy, client = stage()
      client:request { id = "first" }
      backend:conn(1):close(ending, { say = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalien" })
      lab:advance(0)
      assert.same({}, proxy:pool())
      local reply = client:request { id = "second" }
      assert.equal(200, reply.status)
      assert.is_nil(reply.body:find("alien", 1, true))
      assert.verdict("clean", lab, "second")
      assert.verdict("clean", lab, "first")
      lab:close()
    end
  end)

  it("is not taken when a close lies in it already, and that is no attempt", function()
    for _, ending in ipairs { "fin", "rst" } do
      local lab, backend, proxy, client = stage()
      client:request {}
      proxy:hold "choosing"
      local post = client:start { method = "POST", body = "x", id = "p" }
      proxy:wait "choosing"
      -- The proxy's loop has not run since: the close lies in its kernel only.
      backend:conn(1):close(ending)
      proxy:release "choosing"
      assert.equal(200, post:wait().status)
      assert.equal(1, #proxy:attempts "p")
      assert.is_false(proxy:attempts "p"[1].reused)
      lab:close()
    end
  end)
end)

describe("the settled order", function()
  it("is no race: the proxy has seen the close before the request", function()
    for _, ending in ipairs { "fin", "rst" } do
      local lab, backend, proxy, client = stage()
      client:request {}
      backend:conn(1):close(ending)
      lab:advance(0)
      assert.same({}, proxy:pool())
      assert.equal(200, client:request({ method = "POST", body = "x", id = "p" }).status)
      local verdict = lab:verdict "p"
      assert.equal("clean", verdict.name)
      assert.is_false(verdict.reached)
      assert.equal(1, #proxy:attempts "p")
      lab:close()
    end
  end)
end)

describe("a stale 408", function()
  local STALE = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

  it("that crossed a request on a reused connection answers nothing: it goes again, whatever its method", function()
    for _, method in ipairs { "GET", "POST" } do
      for _, ending in ipairs { "fin", "half" } do
        local lab, backend, proxy, client = stage()
        client:request {}
        proxy:hold "sending"
        local exchange = client:start { method = method, id = "v", body = method == "POST" and "x" or nil }
        proxy:wait "sending"
        backend:conn(1):close(ending, { say = STALE })
        proxy:release "sending"
        assert.equal(200, exchange:wait().status)
        local tries = proxy:attempts "v"
        assert.same({ 2, "retry", "a 408 had crossed the request" }, { #tries, tries[1].action, tries[1].why })
        if ending == "fin" then assert.equal("clean", lab:verdict("v").name) end
        lab:close()
      end
    end
  end)

  it("on a fresh connection is an answer", function()
    local lab, _, proxy, client = stage { faults = { { on = "request_end", id = "v", close = "fin", say = STALE } } }
    assert.equal(408, client:request({ id = "v" }).status)
    assert.equal(1, #proxy:attempts "v")
    lab:close()
  end)

  it("without a close is an answer, too", function()
    local lab, _, _, client = stage { faults = { { on = "request_end", id = "v", close = "stall",
      say = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n" } } }
    client:request {}
    assert.equal(408, client:request({ id = "v" }).status)
    lab:close()
  end)
end)

describe("a proxy with two backends", function()
  local function two(options)
    local lab = race.lab()
    local first, second = lab:backend(), lab:backend()
    options.to = { first, second }
    local proxy = lab:proxy(options)
    return lab, first, second, proxy, lab:client { to = proxy }
  end

  it("asks them in turn, and keeps a pool for each", function()
    local lab, first, second, proxy, client = two {}
    for _ = 1, 4 do assert.equal(200, client:request({}).status) end
    assert.equal(1, first.n_conns)
    assert.equal(1, second.n_conns)
    assert.same({ { upstream = 1, to = 1, uses = 2 }, { upstream = 2, to = 2, uses = 2 } }, proxy:pool())
    lab:close()
  end)

  it("sends a request again to the other one", function()
    local lab, first, second, proxy, client = two {}
    first:fault { on = "request_end", close = "fin", id = "g" }
    assert.equal(200, client:request({ id = "g" }).status)
    assert.same({ 1, 0 }, { #first:ledger("g"), first:ledger("g").executed })
    assert.same({ 1, 1 }, { #second:ledger("g"), second:ledger("g").executed })
    assert.equal("retry", proxy:attempts("g")[1].action)
    lab:close()
  end)

  it("loses no POST to one that is not there", function()
    local lab = race.lab()
    local backend = lab:backend()
    local proxy = lab:proxy { to = { backend, "127.0.0.1:1" }, retry = "never", retries = 0 }
    local client = lab:client { to = proxy }
    for i = 1, 4 do
      local reply = client:request { method = "POST", body = "x", id = "p" .. i }
      assert.equal(200, reply.status)
      assert.equal(i % 2 == 0, reply.headers["proxy-status"] ~= nil)
      assert.equal("clean", lab:verdict("p" .. i).name)
    end
    lab:close()
  end)
end)
