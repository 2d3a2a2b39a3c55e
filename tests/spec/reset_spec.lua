--- lab:reset(): the same actors, and nothing has happened yet.
local race = require "closerace"

local function stage()
  local lab = race.lab()
  local backend = lab:backend()
  local proxy = lab:proxy { to = backend }
  return lab, backend, proxy, lab:client { to = proxy }
end

--- What a short story looks like from all sides.
local function story(lab, backend, proxy, client)
  client:request { path = "/warm" }
  backend:fault { on = "arrival", close = "rst", id = "g1" }
  local reply = client:request { path = "/item", id = "g1" }
  local verdict = lab:verdict "g1"
  return ("%s %s %s %s conns %d attempts %d pool %d at %d ms\n%s"):format(reply, verdict, verdict.order,
    verdict.reached, backend.n_conns, #proxy:attempts(), #proxy:pool(), lab:now(),
    tostring(lab:trace()):gsub("Mark: %d+", ""))
end

describe("lab:reset", function()
  it("lets the same story happen again, to the last line of the timeline", function()
    local lab <close>, backend, proxy, client = stage()
    local first = story(lab, backend, proxy, client)
    for _ = 1, 5 do
      lab:advance(1234)
      lab:reset()
      assert.equal(first, story(lab, backend, proxy, client))
    end
  end)

  it("empties every book, the pool and the fault table, and sets time to 0", function()
    local lab <close>, backend, proxy, client = stage()
    backend:fault { on = "response_end", close = "fin", times = 9 }
    client:request { path = "/item", id = "g1" }
    lab:advance(500)
    lab:reset()
    assert.equal(0, lab:now())
    assert.equal(0, #lab:trace())
    assert.equal(0, backend.n_conns)
    assert.equal(0, #backend:ledger())
    assert.equal(0, #proxy:attempts())
    assert.equal(0, #proxy:pool())
    assert.has_error(function() lab:verdict "g1" end)
    client:request { path = "/item", id = "g2" }
    assert.equal(1, #proxy:pool(), "the fault is gone")
  end)

  it("leaves addresses and options as they were", function()
    local lab <close> = race.lab()
    local backend = lab:backend { keep_alive_ms = 5000, keep_alive_hint = true }
    local proxy = lab:proxy { to = backend, reuse = "never" }
    local client = lab:client { to = proxy }
    local where = { backend.address, proxy.address }
    lab:reset()
    assert.same(where, { backend.address, proxy.address })
    assert.equal("timeout=5", lab:client { to = backend }:request { path = "/item" }.headers["keep-alive"])
    client:request { path = "/item" }
    assert.equal(0, #proxy:pool())
  end)

  it("drops what was under way, and who waits to be accepted", function()
    local lab <close>, backend, proxy, client = stage()
    client:start { path = "/delay/60000", id = "g1" }
    lab:advance(10)
    client:start { path = "/item", id = "g2" }
    lab:reset()
    lab:client { to = proxy }:start { path = "/item", id = "g3" }       -- connected, and not accepted yet
    lab:reset()
    assert.equal(200, client:request { path = "/item", id = "g4" }.status)
    assert.equal(1, backend.n_conns)
    assert.equal(1, #backend:ledger())
  end)

  it("lets go who is held, and disarms what was to be held", function()
    local lab <close>, _, proxy, client = stage()
    proxy:hold("sending", { times = 9 })
    client:start { path = "/item", id = "g1" }
    proxy:wait "sending"
    lab:reset()
    assert.is_nil(proxy:held())
    assert.equal(200, client:request { path = "/item", id = "g2" }.status)
  end)

  it("makes what went with the connections unusable, with a sentence", function()
    local lab <close>, backend, proxy, client = stage()
    local exchange = client:start { path = "/item", id = "g1" }
    proxy:hold "awaiting"
    local held = proxy:wait "awaiting"
    local conn = backend:conn(1)
    lab:reset()
    for _, object in ipairs { exchange, conn, held } do
      local good, err = pcall(function() return object.id or object.n end)
      assert.is_false(good)
      assert.truthy(err:find("the lab was reset", 1, true), err)
    end
    assert.equal("exchange (reset)", tostring(exchange))
    assert.equal("conn 1 (lab reset)", tostring(conn))
    assert.equal("held (released)", tostring(held))
  end)

  it("drops its tasks, and cannot be called by one", function()
    local lab <close>, _, _, client = stage()
    local task = lab:task(function() lab:advance(1000) end)
    lab:advance(0)
    lab:reset()
    assert.has_error(function() task:wait() end, "the lab of this task is closed")
    local bad = lab:task(function() lab:reset() end)
    local good, err = pcall(bad.wait, bad)
    assert.is_false(good)
    assert.truthy(tostring(err):find("a task cannot reset its own lab", 1, true))
    assert.equal(200, client:request { path = "/item" }.status)
  end)

  it("begins anew with real time, too", function()
    local lab <close> = race.lab { real_time = true }
    local backend = lab:backend()
    local client = lab:client { to = backend }
    for round = 1, 3 do
      assert.equal(200, client:request({ id = "r" .. round }).status)
      assert.equal(1, #backend:ledger())
      lab:reset()
      assert.is_true(lab:now() < 1000)
      assert.equal(0, #backend:ledger())
    end
  end)

  it("keeps no descriptor", function()
    local lab <close>, backend, proxy, client = stage()
    local function n_open()
      local pipe, n = io.popen "ls /proc/$PPID/fd", 0
      for _ in pipe:lines() do n = n + 1 end
      pipe:close()
      return n
    end
    story(lab, backend, proxy, client)
    lab:reset()
    collectgarbage()                    -- what earlier tests have left is not counted
    local before = n_open()
    for _ = 1, 50 do
      story(lab, backend, proxy, client)
      client:start { path = "/delay/9", id = "g2" }
      lab:reset()
    end
    assert.equal(before, n_open())
  end)
end)

describe("a lab without a timeline", function()
  it("keeps no entry, and judges all the same", function()
    local lab <close> = race.lab { timeline = false }
    local backend = lab:backend { faults = { { conn = 1, request = 2, on = "arrival", close = "rst" } } }
    local client = lab:client { to = lab:proxy { to = backend } }
    client:request { path = "/warm" }
    client:request { method = "POST", path = "/pay", id = "p1", body = "x" }
    local verdict = lab:verdict "p1"
    assert.same({ "refused", "crossing", true }, { verdict.name, verdict.order, verdict.reached })
    assert.equal(0, #lab:trace())
  end)
end)

describe("an execution with another content", function()
  local function judge(wire)
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    local reply = client:raw(wire):wait()
    return reply, backend:ledger("p1")[1], lab:verdict "p1"
  end

  it("is written in the ledger, without its chunked coding", function()
    local _, plain = judge "POST /pay HTTP/1.1\r\nHost: a\r\nX-Closerace-Id: p1\r\nContent-Length: 5\r\n\r\nhallo"
    local _, chunked = judge(
      "POST /pay HTTP/1.1\r\nHost: a\r\nX-Closerace-Id: p1\r\nTransfer-Encoding: chunked\r\n\r\n" ..
      "2\r\nha\r\n3\r\nllo\r\n0\r\n\r\n")
    assert.same({ 5, 5 }, { plain.content, chunked.content })
    assert.is_true(plain.head < plain.read and plain.read == plain.head + 5)
  end)

  it("of raw bytes nobody knows what it was to be", function()
    local _, _, verdict = judge "POST /pay HTTP/1.1\r\nHost: a\r\nX-Closerace-Id: p1\r\nContent-Length: 1\r\n\r\nx"
    assert.same({ "clean", 0 }, { verdict.name, verdict.altered })
  end)
end)

describe("/close/N", function()
  it("is ended by the end of the connection", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local reply = lab:client { to = backend }:request { path = "/close/300", id = "g1" }
    assert.equal(300, #reply.body)
    assert.is_nil(reply.headers["content-length"])
    assert.is_nil(reply.headers["transfer-encoding"])
    assert.is_true(reply.complete)
    assert.equal("clean", lab:verdict("g1").name)
  end)

  it("cut by a reset is not complete, cut by FIN cannot be told from a whole one", function()
    local function cut(ending)
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { on = "response_byte", at = 250, close = ending } } }
      local reply = lab:client { to = backend }:request { path = "/close/300", id = "g1" }
      return reply, lab:verdict "g1"
    end
    local reply, verdict = cut "rst"
    assert.same({ false, true, "ghost" }, { reply.complete, reply.truncated, verdict.name })
    reply, verdict = cut "fin"
    assert.same({ true, "garbled" }, { reply.complete, verdict.name })
  end)
end)

describe("what was ended as it was accepted", function()
  for _, ending in ipairs { "fin", "rst", "plain" } do
    it("by " .. ending .. " was caused by the request for which it was opened", function()
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { on = "accept", close = ending } } }
      local client = lab:client { to = lab:proxy { to = backend, retry = "never" } }
      client:request { path = "/item", id = "g1" }
      local verdict = lab:verdict "g1"
      assert.same({ "caused", true }, { verdict.order, verdict.reached })
      client:request { path = "/item", id = "g2" }
      verdict = lab:verdict "g2"
      assert.same({ "none", false, "clean" }, { verdict.order, verdict.reached, verdict.name })
    end)
  end
end)
