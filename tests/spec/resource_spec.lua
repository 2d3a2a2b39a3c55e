--- What the built-in origin serves, whole, in any framing, also to slow ones; and what it does with nonsense.
local race = require "closerace"

local PATTERN = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"

--- The first n bytes of what /bytes and /chunked send.
local function pattern(n)
  return PATTERN:rep(n // #PATTERN) .. PATTERN:sub(1, n % #PATTERN)
end

local function stage()
  local lab = race.lab()
  local backend = lab:backend()
  return lab, backend, lab:client { to = backend }
end

describe("/bytes/N and /chunked/N", function()
  for _, n in ipairs { 0, 1, 63, 64, 65, 1023, 1024, 1025, 16384, 16385, 65536, 100000, 1048577 } do
    it(("send the same %d bytes, framed by length and in chunks"):format(n), function()
      local lab <close>, _, client = stage()
      local bytes = client:request { path = "/bytes/" .. n, id = "b1" }
      assert.equal(200, bytes.status)
      assert.equal(tostring(n), bytes.headers["content-length"])
      assert.is_nil(bytes.headers["transfer-encoding"])
      assert.is_true(bytes.body == pattern(n))
      local chunked = client:request { path = "/chunked/" .. n, id = "c1" }
      assert.equal("chunked", chunked.headers["transfer-encoding"])
      assert.is_nil(chunked.headers["content-length"])
      assert.is_true(chunked.body == pattern(n))
      assert.is_true(chunked.received > bytes.received)
      assert.verdict("clean", lab, "b1")
      assert.verdict("clean", lab, "c1")
    end)
  end

  it("are 400 beyond what is served, and text where N is no number", function()
    local _ <close>, backend, client = stage()
    assert.equal(400, client:request { path = "/bytes/99999999999999999999" }.status)
    assert.equal(400, client:request { path = "/chunked/99999999999999999999" }.status)
    assert.matches("^GET /bytes/x id= mark=", client:request { path = "/bytes/x" }.body)
    assert.matches("^GET /bytes/ id= mark=", client:request { path = "/bytes/" }.body)
    assert.matches("^GET /bytes/%-1 id= mark=", client:request { path = "/bytes/-1" }.body)
    assert.equal(1, backend.n_conns)
  end)
end)

describe("/echo", function()
  for _, n in ipairs { 0, 1, 1000, 65536, 300000 } do
    it(("sends %d bytes back, plain or chunked"):format(n), function()
      local lab <close>, _, client = stage()
      local body = pattern(n)
      for id, chunked in pairs { plain = false, chunked = true } do
        local reply = client:request { method = "POST", path = "/echo", id = id, body = body, chunked = chunked }
        assert.equal(200, reply.status)
        assert.is_true(reply.body == body)
        assert.verdict("clean", lab, id)
      end
    end)
  end

  it("asks for the body that waits to be asked for", function()
    local lab <close>, backend, client = stage()
    for _, length in ipairs { 10, false } do
      local exchange = client:start { method = "PUT", path = "/echo", open = true, length = length or nil,
        headers = { Expect = "100-continue" } }
      lab:advance(0)
      assert.equal(1, exchange.interim)
      exchange:send "01234"
      exchange:send "56789"
      exchange:finish()
      local reply = exchange:wait()
      assert.same({ 200, 1, "0123456789" }, { reply.status, reply.interim, reply.body })
    end
    assert.equal(1, backend.n_conns)
  end)

  it("reads a body that comes byte by byte", function()
    local lab <close>, _, client = stage()
    local exchange = client:start { method = "POST", path = "/echo", open = true, length = #PATTERN }
    for byte in PATTERN:gmatch "." do
      assert.False(exchange.done)
      exchange:send(byte)
      lab:advance(0)
    end
    if not PATTERN:find "\n$" then exchange:send "\n" end
    exchange:finish()
    assert.equal(PATTERN, exchange:wait().body)
  end)

  it("refuses a body that is announced to be too big before it is sent", function()
    local _ <close>, backend, client = stage()
    local exchange = client:start { method = "POST", path = "/echo", id = "big", open = true, length = 1 << 30 }
    assert.equal(413, exchange:wait().status)
    assert.equal(0, backend:ledger "big".executed)
  end)
end)

describe("/delay/MS", function()
  for _, ms in ipairs { 0, 1, 999, 86400000 } do
    it(("answers %d ms later, in the lab's time"):format(ms), function()
      local _ <close>, backend, client = stage()
      local reply = client:request { path = "/delay/" .. ms, id = "d1", timeout_ms = 0 }
      assert.same({ 200, ms }, { reply.status, reply.ms })
      assert.equal(1, backend:ledger "d1".executed)
    end)
  end

  it("keeps nobody else waiting, and its connection's order", function()
    local lab <close>, backend, client = stage()
    local other = lab:client { to = backend }
    local slow, behind = client:start { path = "/delay/100" }, client:start {}
    local quick = other:start { path = "/delay/50" }
    assert.equal(50, other:request {}.ms)                -- pipelined behind its own 50 ms
    assert.equal(50, quick:wait().ms)
    assert.same({ 100, 100 }, { slow:wait().ms, behind:wait().ms })
  end)

  it("is given up with its connection, and the backend lives on", function()
    local lab <close>, backend, client = stage()
    local exchange = client:start { path = "/delay/1000", id = "d1" }
    lab:advance(500)
    client:close()
    assert.is_true(exchange:wait().closed)
    lab:advance(1000)
    assert.same({ 1, 0 }, { backend:ledger "d1".executed, backend:ledger "d1"[1].answered })
    assert.equal(200, client:request {}.status)
  end)
end)

describe("/status/NNN", function()
  it("is that status", function()
    local _ <close>, backend, client = stage()
    for _, status in ipairs { 200, 201, 204, 206, 301, 304, 400, 401, 404, 408, 413, 429, 500, 502, 503, 504, 599 } do
      local reply = client:request { path = "/status/" .. status }
      assert.is_true(reply.complete)
      assert.equal(status, reply.status)
      if status == 204 or status == 304 then assert.equal("", reply.body) end
    end
    assert.equal(1, backend.n_conns)
  end)

  it("is 400 where there is no such final status", function()
    local _ <close>, _, client = stage()
    for _, status in ipairs { 0, 100, 199, 600, 1000 } do
      assert.equal(400, client:request { path = "/status/" .. status }.status)
    end
  end)
end)

describe("HEAD", function()
  for _, path in ipairs { "/bytes/5000", "/chunked/5000", "/echo", "/delay/10", "/status/404", "/else" } do
    it(("of %s has the head of GET and no body"):format(path), function()
      local _ <close>, backend, client = stage()
      local get = client:request { path = path, id = "h1" }
      local head = client:request { method = "HEAD", path = path, id = "h1" }
      assert.equal(get.status, head.status)
      assert.equal(#head.head, head.received)
      assert.equal("", head.body)
      if path:find "5000" then assert.equal("5000", head.headers["content-length"]) end
      assert.equal(200, client:request {}.status)        -- and nothing stays behind it
      assert.equal(1, backend.n_conns)
      assert.equal(2, backend:ledger "h1".executed)
    end)
  end
end)

describe("any other path", function()
  it("answers with the request's method, path, id and mark", function()
    local _ <close>, _, client = stage()
    for _, request in ipairs { { path = "/" }, { path = "/a/b?c=d&e", id = "i1" }, { path = "/id/i3/item" },
        { method = "DELETE", path = "/x%20y" }, { method = "POST", path = "/pay", id = "i2", body = "amount=10" } } do
      local reply = client:request(request)
      local id = request.id or request.path:match "^/id/([^/]+)" or ""
      assert.equal(("%s %s id=%s mark=%d\n"):format(request.method or "GET", request.path, id, reply.mark), reply.body)
      assert.equal(id ~= "" and id or nil, reply.headers["x-closerace-id"])
      assert.equal(tostring(reply.mark), reply.headers["x-closerace-mark"])
    end
  end)

  it("may be hidden behind an id", function()
    local _ <close>, _, client = stage()
    assert.equal(pattern(70), client:request { path = "/id/x/bytes/70" }.body)
    assert.equal(503, client:request { path = "/id/x/status/503" }.status)
    assert.equal(7, client:request { path = "/id/x/delay/7" }.ms)
    assert.equal("abc", client:request { method = "POST", path = "/id/x/echo", body = "abc" }.body)
  end)
end)

-- ------------------------------------------------------------------------- slow ones --

describe("a big message", function()
  it("of 5 MiB arrives whole, held back again and again", function()
    local lab <close>, backend, client = stage()
    client:request {}
    local conn, size = backend:conn(1), 5 << 20
    for round, path in ipairs { "/bytes/", "/chunked/" } do
      conn:hold "sending"
      local exchange = client:start { path = path .. size, id = "big" .. round }
      lab:advance(1)
      assert.False(exchange.done)
      assert.equal(0, backend:ledger("big" .. round)[1].answered)
      conn:release "sending"
      local reply = exchange:wait()
      assert.equal(size, #reply.body)
      assert.is_true(reply.body == pattern(size))
      assert.verdict("clean", lab, "big" .. round)
    end
  end)

  it("of 1 MiB is taken whole from a backend that did not read", function()
    local lab <close>, backend, client = stage()
    client:request {}
    local conn, body = backend:conn(1), pattern(1 << 20)
    for _, chunked in ipairs { false, true } do
      conn:hold()
      local exchange = client:start { method = "POST", path = "/echo", id = "up", body = body, chunked = chunked }
      conn:wait_arrival(60000)        -- how much more of it the kernel takes is its own affair
      lab:advance(1000)
      assert.False(exchange.done)
      conn:release()
      local reply = exchange:wait()
      assert.is_true(reply.body == body)
      assert.is_true(backend:ledger "up"[1].whole)
    end
  end)

  it("of 1 MiB comes in steps, with a hold between any two", function()
    local lab <close>, backend, client = stage()
    client:request {}
    local conn, part = backend:conn(1), pattern(1 << 14)
    local exchange = client:start { method = "POST", path = "/echo", open = true, length = 64 * #part }
    for n = 1, 64 do
      if n % 2 == 0 then conn:hold() end
      exchange:send(part)
      lab:advance(0)
      if n % 2 == 0 then conn:release() end
    end
    exchange:finish()
    assert.is_true(exchange:wait().body == part:rep(64))
  end)

  it("passes our proxy both ways while one side stops", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = lab:proxy { to = backend } }
    client:request {}
    local conn, body = backend:conn(1), pattern(1 << 20)
    conn:hold()
    local exchange = client:start { method = "POST", path = "/echo", id = "up", body = body }
    conn:wait_arrival(30000)
    conn:hold "sending"
    conn:release "reading"
    lab:advance(0)
    assert.False(exchange.done)
    conn:release "sending"
    assert.is_true(exchange:wait().body == body)
    assert.verdict("clean", lab, "up")
  end)
end)

-- -------------------------------------------------------------------------- nonsense --

describe("a malformed request", function()
  local nonsense = {
    ["no version"] = "GET /\r\n\r\n",
    ["no target"] = "GET\r\n\r\n",
    ["words"] = "what is this\r\n\r\n",
    ["one word"] = "nonsense\r\n\r\n",
    ["a version to come"] = "GET / HTTP/9.9\r\n\r\n",
    ["HTTP/2's preface"] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ["a header without a colon"] = "GET / HTTP/1.1\r\nHost h\r\n\r\n",
    ["a length that is no number"] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    ["a negative length"] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
    ["two lengths"] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ["a chunk size that is none"] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ["a target without end"] = "GET /" .. ("x"):rep(100000) .. " HTTP/1.1\r\n\r\n",
    ["a head without end"] = "GET / HTTP/1.1\r\n" .. ("X: y\r\n"):rep(30000) .. "\r\n",
    ["TLS"] = "\22\3\1\2\0\1\0\1\252\3\3" .. ("\170"):rep(100) .. "\r\n\r\n",
  }
  local names = {}
  for name in pairs(nonsense) do names[#names + 1] = name end
  table.sort(names)

  for _, name in ipairs(names) do
    it(("(%s) is told so, or cut off, is not executed, and harms nobody"):format(name), function()
      local lab <close>, backend, client = stage()
      client:request { path = "/before" }
      local told = client:raw(nonsense[name]):wait()
      assert.is_true(told.closed or told.status >= 400 and told.status < 600)
      assert.False(told.timeout)
      assert.equal(1, backend:ledger().executed)
      local other = lab:client { to = backend }
      assert.equal(200, other:request { path = "/after", id = "n1" }.status)
      assert.verdict("clean", lab, "n1")
    end)

    it(("(%s) does no more harm where a fault is in its way"):format(name), function()
      for _, on in ipairs { "arrival", "request_line", "request_end", "executed", "interim", "response_head" } do
        local lab <close> = race.lab()
        local backend = lab:backend { faults = { { conn = 1, request = 1, on = on, close = "rst", optional = true } } }
        local told = lab:client { to = backend }:raw(nonsense[name]):wait()
        assert.False(told.timeout)
        assert.equal(200, lab:client { to = backend }:request {}.status)
      end
    end)
  end

  it("that only begins is waited for, until the client is gone", function()
    local lab <close>, backend, client = stage()
    local exchange = client:raw "GET /x HTT"
    lab:advance(3600)
    assert.False(exchange.done)
    client:half_close()
    assert.is_true(exchange:wait().closed)
    assert.equal(0, backend:ledger().executed)
    assert.equal(200, client:request {}.status)
  end)
end)

describe("an unusual request", function()
  for name, bytes in pairs {
    ["with empty lines in front"] = "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ["of HTTP/1.0"] = "GET / HTTP/1.0\r\n\r\n",
    ["with an absolute target"] = "GET http://h/id/u1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    ["with a method of its own"] = "PURGE / HTTP/1.1\r\nHost: h\r\n\r\n",
    ["with bare line feeds"] = "GET / HTTP/1.1\nHost: h\n\n",
  } do
    it(name .. " is served", function()
      local _ <close>, backend, client = stage()
      assert.equal(200, client:raw(bytes):wait().status)
      assert.equal(1, backend:ledger().executed)
    end)
  end

  it("of HTTP/1.0 closes the connection behind its answer", function()
    local _ <close>, backend, client = stage()
    local exchange, listener = client:raw "GET / HTTP/1.0\r\n\r\n", client:raw ""
    assert.is_true(exchange:wait().complete)
    assert.is_true(listener:wait().closed)
    assert.False(listener:wait().reset)
    assert.False(backend:ledger()[1].ended)             -- that was no fault
  end)

  it("that asks to close is obeyed", function()
    local _ <close>, backend, client = stage()
    for n = 1, 3 do
      local reply = client:request { headers = { Connection = "close" } }
      assert.equal(200, reply.status)
      assert.equal(n, backend.n_conns)
    end
  end)
end)
