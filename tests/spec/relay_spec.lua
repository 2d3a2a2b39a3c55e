--- What our proxy passes on, and what it tells a client when it cannot.

local race = require "closerace"

local function stage(options, faults)
  local lab = race.lab()
  local backend = lab:backend { faults = faults }
  local proxy_options = { to = backend }
  for name, value in pairs(options or {}) do proxy_options[name] = value end
  local proxy = lab:proxy(proxy_options)
  return lab, backend, proxy, lab:client { to = proxy }
end

--- The next client is served as if nothing had been.
local function lives_on(lab, proxy)
  local reply = lab:client({ to = proxy }):request {}
  assert.equal(200, reply.status)
end

local function error_of(reply)
  return (reply.headers["proxy-status"] or ""):match "^closerace; error=([%w_]+); details="
end

-- ------------------------------------------------------------------ bodies --

describe("a body", function()
  it("of any size and framing goes through whole, in both directions", function()
    local lab, backend, proxy, client = stage()
    for _, size in ipairs { 0, 1, 4095, 16384, 65536, 65537, 1000000 } do
      for _, kind in ipairs { "bytes", "chunked" } do
        local reply = client:request { path = ("/%s/%d"):format(kind, size), id = kind .. size }
        assert.is_true(reply.complete)
        assert.equal(size, #reply.body)
        assert.verdict("clean", lab, kind .. size)
      end
      for _, chunked in ipairs { false, true } do
        local body = ("ab\0\r\n"):rep(size // 5 + 1):sub(1, size)
        local reply = client:request { method = "POST", path = "/echo", body = body, chunked = chunked }
        assert.is_true(reply.body == body)
      end
    end
    assert.equal(1, backend.n_conns)
    assert.equal(1, #proxy:pool())
    lab:close()
  end)

  it("is none where the method or the status says so, and the connection goes on", function()
    local lab, backend, _, client = stage()
    for _, request in ipairs {
      { method = "HEAD", path = "/bytes/1000" }, { method = "HEAD", path = "/chunked/1000" },
      { method = "GET", path = "/status/204" }, { method = "GET", path = "/status/304" },
      { method = "HEAD", path = "/status/204" },
    } do
      local reply = client:request(request)
      assert.is_true(reply.complete)
      assert.equal("", reply.body)
      assert.is_false(reply.closed)
    end
    assert.equal(200, client:request({}).status)
    assert.equal(1, backend.n_conns)
    lab:close()
  end)

  it("is not waited for by a backend that has answered already", function()
    local too_large = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    for _, ending in ipairs { "fin", "plain" } do
      local lab, _, proxy, client = stage({}, { { on = "request_head", method = "POST", say = too_large,
        close = ending } })
      local post = client:start { method = "POST", path = "/up", id = "u", open = true, length = 1 << 20 }
      post:send(("x"):rep(100000))
      local reply = post:wait()
      assert.equal(413, reply.status)
      assert.is_true(reply.complete)
      assert.equal("close", reply.headers.connection)
      assert.verdict("refused", lab, "u")
      assert.equal(1, #proxy:attempts "u")
      lives_on(lab, proxy)
      lab:close()
    end
  end)
end)

-- ------------------------------------------------------------ cut responses --

describe("a response that is cut", function()
  local heads = {
    ["Content-Length"] = { "Content-Length: 10\r\n", "01234" },
    chunked = { "Transfer-Encoding: chunked\r\n", "a\r\n01234" },
    ["close-delimited"] = { "", "01234" },
  }
  for framing, parts in pairs(heads) do
    for _, ending in ipairs { "fin", "rst", "stall" } do
      it(("in its body looks so: %s by %s"):format(framing, ending), function()
        local said = "HTTP/1.1 200 OK\r\n" .. parts[1] .. "\r\n" .. parts[2]
        local lab, _, proxy, client = stage({ response_timeout_ms = 500 },
          { { on = "request_end", id = "c", say = said, close = ending } })
        local get = client:start { id = "c" }
        local reply = get:wait()
        -- A close-delimited response that ends by FIN cannot be told from a whole one.
        local whole = framing == "close-delimited" and ending == "fin"
        assert.equal(whole, reply.complete and reply.status == 200)
        assert.equal(not whole, reply.truncated or reply.status == 502)
        assert.is_false(reply.timeout)
        assert.equal(ending == "stall" and 500 or 0, reply.ms)
        assert.equal(1, #proxy:attempts "c")
        lives_on(lab, proxy)
        lab:close()
      end)
    end
  end

  it("in its head is told as 502, or as 504 where the rest never comes", function()
    for ending, wanted in pairs { fin = 502, rst = 502, stall = 504 } do
      for _, at in ipairs { 1, 12, 40 } do
        local lab, _, proxy, client = stage({ response_timeout_ms = 500, retry = "always" },
          { { on = "response_byte", id = "c", at = at, close = ending } })
        local reply = client:request { id = "c" }
        assert.equal(wanted, reply.status)
        assert.is_true(reply.complete)
        assert.equal(1, #proxy:attempts "c")
        assert.verdict("ghost", lab, "c")
        lives_on(lab, proxy)
        lab:close()
      end
    end
  end)

  it("at any byte is never complete", function()
    for _, path in ipairs { "/bytes/40", "/chunked/40" } do
      local lab, backend, _, client = stage()
      client:request { path = path }
      local size = backend:conn(1).sent
      lab:close()
      for at = 1, size - 1, 3 do
        local proxy
        lab, _, proxy, client = stage({}, { { on = "response_byte", id = "c", at = at, close = "fin" } })
        local reply = client:request { path = path, id = "c" }
        assert.is_true(reply.status == 502 or reply.truncated, ("%s at %d: %s"):format(path, at, reply))
        assert.verdict("ghost", lab, "c")
        assert.equal(1, #proxy:attempts "c")
        lab:close()
      end
    end
  end)
end)

-- -------------------------------------------------------------- 1xx, Expect --

describe("an interim response", function()
  it("is passed on, in front of the final one", function()
    local lab, _, proxy, client = stage({}, { { on = "request_end", id = "i", close = "fin",
      say = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" ..
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" } })
    local reply = client:request { id = "i" }
    assert.equal(2, reply.interim)
    assert.equal(200, reply.status)
    assert.equal("ok", reply.body)
    assert.is_nil(reply.headers.link)
    lives_on(lab, proxy)
    lab:close()
  end)

  it("is passed on before the final one is there", function()
    local lab, _, _, client = stage({}, { { on = "request_end", id = "i", close = "stall",
      say = "HTTP/1.1 103 Early Hints\r\n\r\n" } })
    local exchange = client:start { id = "i" }
    lab:advance(1)
    assert.equal(1, exchange.interim)
    assert.is_false(exchange.done)
    lab:close()
  end)

  it("does not make a GET unrepeatable, nor a POST repeatable", function()
    for method, again in pairs { GET = true, POST = false } do
      for _, ending in ipairs { "fin", "rst" } do
        local lab, _, proxy, client = stage({}, { { on = "request_end", id = "i", close = ending,
          say = "HTTP/1.1 103 Early Hints\r\n\r\n" } })
        local reply = client:request { method = method, id = "i", body = method == "POST" and "x" or nil }
        assert.equal(again and 200 or 502, reply.status)
        assert.equal(1, reply.interim)
        assert.equal(again and 2 or 1, #proxy:attempts "i")
        assert.is_true(proxy:attempts("i")[1].received > 0)
        lab:close()
      end
    end
  end)

  it("that nobody asked for, a 101, is no answer", function()
    local lab, _, proxy, client = stage({}, { { on = "request_end", id = "i", close = "fin",
      say = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" } })
    assert.equal(502, client:request({ id = "i" }).status)
    lives_on(lab, proxy)
    lab:close()
  end)
end)

describe("Expect: 100-continue", function()
  local function expecting(client, to_send)
    return client:start { method = "POST", path = "/echo", id = "x", headers = { Expect = "100-continue" },
      open = true, length = #to_send }
  end

  it("is answered by the backend, and then the body goes", function()
    local lab, backend, proxy, client = stage()
    local post = expecting(client, "abc")
    lab:advance(1)
    assert.equal(1, post.interim)
    assert.equal(0, backend:ledger "x".executed)
    post:send "abc"
    post:finish()
    assert.equal("abc", post:wait().body)
    assert.verdict("clean", lab, "x")
    assert.equal(1, #proxy:pool())
    lab:close()
  end)

  it("may be answered by a refusal at once", function()
    local lab, _, proxy, client = stage({}, { { on = "request_head", id = "x", close = "fin",
      say = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n" } })
    local reply = expecting(client, "abc"):wait()
    assert.equal(417, reply.status)
    assert.equal(0, reply.interim)
    assert.verdict("refused", lab, "x")
    lives_on(lab, proxy)
    lab:close()
  end)

  it("is followed by a close where the backend ends the connection behind its 100", function()
    for _, ending in ipairs { "fin", "rst" } do
      local lab, _, proxy, client = stage({}, { { on = "interim", id = "x", close = ending } })
      local post = expecting(client, "abc")
      lab:advance(1)
      post:send "abc"
      local reply = post:wait()
      assert.equal(502, reply.status)
      assert.verdict("refused", lab, "x")
      assert.equal(1, #proxy:attempts "x")
      lives_on(lab, proxy)
      lab:close()
    end
  end)
end)

-- ----------------------------------------------------------------- headers --

describe("a header", function()
  --- How many bytes the backend gets for a request with these header lines.
  local function forwarded(lines)
    local lab, backend, _, client = stage()
    local reply = client:raw("GET / HTTP/1.1\r\nHost: h\r\n" .. lines .. "\r\n"):wait()
    assert.equal(200, reply.status, lines)
    local size = backend:conn(1).received
    lab:close()
    return size
  end

  it("that is meant for this hop only is not passed on", function()
    local bare = forwarded ""
    for _, lines in ipairs {
      "Connection: keep-alive\r\n", "Connection: close\r\n", "Keep-Alive: timeout=5\r\n",
      "Proxy-Connection: keep-alive\r\n", "TE: trailers\r\n", "Upgrade: h2c\r\nConnection: upgrade\r\n",
      "Connection: X-Mine\r\nX-Mine: 1\r\n", "X-Mine: 1\r\nConnection: close, x-mine\r\n",
      "Connection: a\r\nConnection: b\r\nA: 1\r\nB: 2\r\n", "connection: KEEP-ALIVE\r\nkeep-alive: 1\r\n",
    } do
      assert.equal(bare, forwarded(lines), lines)
    end
  end)

  it("of the client's own is passed on byte for byte", function()
    local bare = forwarded ""
    for _, line in ipairs { "X-A: 1\r\n", "x-a:1\r\n", "X-A:  two  blanks \r\n", "X-A:\r\n", "Cookie: a=b; c=d\r\n",
      "Authorization: Basic eDp5\r\n", "X-High: \xc3\xa4\r\n" } do
      assert.equal(bare + #line, forwarded(line), line)
    end
  end)

  it("named by Connection is passed on all the same where the message needs it", function()
    local lab, _, _, client = stage()
    local reply = client:raw("POST /echo HTTP/1.1\r\nHost: h\r\nConnection: host, content-length\r\n" ..
      "Content-Length: 3\r\n\r\nabc"):wait()
    assert.equal("abc", reply.body)
    lab:close()
  end)

  it("of the response that is meant for this hop only is not passed on", function()
    local lab, _, _, client = stage({}, { { on = "request_end", close = "fin", say = "HTTP/1.1 200 OK\r\n" ..
      "Content-Length: 2\r\nX-Kept: 1\r\nX-Kept: 2\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n" ..
      "Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n\r\nok" } })
    local reply = client:request {}
    assert.equal("ok", reply.body)
    assert.equal("1, 2", reply.headers["x-kept"])
    for _, name in ipairs { "connection", "x-mine", "keep-alive", "proxy-connection", "upgrade" } do
      assert.is_nil(reply.headers[name], name)
    end
    assert.is_false(reply.closed)
    lab:close()
  end)

  it("names the proxy, in both directions", function()
    local lab, backend, _, client = stage()
    local reply = client:request {}
    assert.equal("1.1 closerace", reply.headers.via)
    local direct = lab:client { to = backend }
    direct:request {}
    assert.equal(#"Via: 1.1 closerace\r\n", backend:conn(1).received - backend:conn(2).received)
    lab:close()
  end)
end)

-- ---------------------------------------------------------------- HTTP/1.0 --

describe("an HTTP/1.0 client", function()
  it("gets its answer and a close", function()
    local lab, _, proxy, client = stage()
    local get = client:raw "GET /bytes/10 HTTP/1.0\r\n\r\n"
    local reply = get:wait()
    assert.equal(200, reply.status)
    assert.equal(10, #reply.body)
    assert.equal("close", reply.headers.connection)
    lab:advance(0)
    assert.equal(1, #proxy:pool())
    lives_on(lab, proxy)
    lab:close()
  end)

  it("keeps its connection where it asks for that", function()
    local lab, _, proxy, client = stage()
    for _ = 1, 3 do
      local reply = client:raw("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"):wait()
      assert.equal(200, reply.status)
      assert.equal("keep-alive", reply.headers.connection)
    end
    assert.truthy(tostring(proxy):find("1 sessions", 1, true))
    lab:close()
  end)

  it("gets a chunked response without chunks, ended by the close", function()
    local lab, _, _, client = stage()
    local reply = client:raw("GET /chunked/5000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"):wait()
    assert.is_nil(reply.headers["transfer-encoding"])
    assert.equal(5000, #reply.body)
    assert.is_true(reply.complete)
    assert.is_true(reply.closed)
    lab:close()
  end)

  it("gets a chunked response that was cut ended by a reset", function()
    local lab, _, _, client = stage({}, { { on = "response_byte", at = 3000, id = "c", close = "fin" } })
    local get = client:raw "GET /id/c/chunked/5000 HTTP/1.0\r\n\r\n"
    local reply = get:wait()
    assert.is_false(reply.complete and reply.status == 200)
    assert.verdict("ghost", lab, "c")
    lab:close()
  end)

  it("gets no 1xx", function()
    local lab, _, _, client = stage({}, { { on = "request_end", close = "fin",
      say = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" } })
    local reply = client:raw("GET / HTTP/1.0\r\n\r\n"):wait()
    assert.equal(0, reply.interim)
    assert.equal("ok", reply.body)
    lab:close()
  end)
end)

-- ---------------------------------------------------------- several requests --

describe("pipelined requests", function()
  it("are answered in order, though one is retried in between", function()
    local lab, _, proxy, client = stage({}, { { on = "request_end", id = "e2", close = "rst" } })
    local exchanges = {}
    for i = 1, 4 do exchanges[i] = client:start { path = "/status/" .. 200 + i, id = "e" .. i } end
    for i = 1, 4 do
      assert.equal(200 + i, exchanges[i]:wait().status)
      assert.verdict("clean", lab, "e" .. i)
    end
    assert.equal(2, #proxy:attempts "e2")
    lab:close()
  end)

  it("go on behind one that failed", function()
    local lab, _, _, client = stage({}, { { on = "request_end", id = "p1", close = "fin" } })
    local post = client:start { method = "POST", body = "x", id = "p1" }
    local get = client:start { id = "g1" }
    assert.equal(502, post:wait().status)
    assert.equal(200, get:wait().status)
    assert.verdict("refused", lab, "p1")
    assert.verdict("clean", lab, "g1")
    lab:close()
  end)

  it("behind a request that asks for a close are not served", function()
    local lab, backend, _, client = stage()
    local both = client:raw("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" ..
      "GET /b HTTP/1.1\r\nHost: h\r\n\r\n")
    assert.equal(200, both:wait().status)
    lab:advance(10)
    assert.equal(1, #backend:ledger())
    lab:close()
  end)
end)

-- ------------------------------------------------------------------ timeouts --

describe("a timeout of the proxy", function()
  it("for a response is told as 504, and the connection is not used again", function()
    for _, method in ipairs { "GET", "POST" } do
      local lab, backend, proxy, client = stage { response_timeout_ms = 700, retry = "always" }
      client:request {}
      local reply = client:request { method = method, path = "/delay/100000", id = "t",
        body = method == "POST" and "x" or nil }
      assert.equal(504, reply.status)
      assert.equal(700, reply.ms)
      assert.equal("http_response_timeout", error_of(reply))
      assert.is_true(proxy:attempts("t")[1].timed_out)
      assert.equal(1, #proxy:attempts "t")
      assert.verdict("ghost", lab, "t")
      assert.equal(0, #proxy:pool())
      lab:advance(0)
      assert.is_true(backend:conn(1).peer_closed)
      lives_on(lab, proxy)
      lab:close()
    end
  end)

  it("runs from byte to byte, not over a whole response", function()
    local lab, backend, _, client = stage({ response_timeout_ms = 700 }, { { on = "response_byte", at = 200,
      id = "t", close = "stall" } })
    client:request {}
    local get = client:start { path = "/bytes/1000", id = "t", timeout_ms = 0 }
    local reply = get:wait()
    assert.equal(700, reply.ms)
    assert.is_true(reply.truncated or reply.status == 504)
    assert.equal(1, backend.n_conns)
    lab:close()
  end)

  it("is none where it is 0", function()
    local lab, _, _, client = stage { response_timeout_ms = 0, client_timeout_ms = 0 }
    assert.equal(200, client:request({ path = "/delay/3600000", timeout_ms = 0 }).status)
    lab:close()
  end)

  it("for a client that sends half a head is told as 408", function()
    local lab, backend, proxy, client = stage { head_timeout_ms = 700 }
    local half = client:raw "GET / HTTP/1.1\r\nHost:"
    local reply = half:wait()
    assert.equal(408, reply.status)
    assert.equal(700, reply.ms)
    assert.equal("close", reply.headers.connection)
    assert.equal(0, backend.n_conns)
    lives_on(lab, proxy)
    lab:close()
  end)

  it("for a client that sends half a body is told as 408", function()
    local lab, backend, proxy, client = stage { client_timeout_ms = 700 }
    local post = client:start { method = "POST", path = "/echo", id = "h", open = true, length = 100 }
    post:send "half"
    local reply = post:wait()
    assert.equal(408, reply.status)
    assert.equal(700, reply.ms)
    assert.verdict("refused", lab, "h")
    assert.equal(0, #proxy:pool())
    assert.is_true(backend:conn(1).peer_closed)
    lives_on(lab, proxy)
    lab:close()
  end)

  it("for a client that sends nothing at all is no error, just a close", function()
    local lab, _, proxy, client = stage { client_timeout_ms = 700 }
    client:request {}
    lab:advance(699)
    assert.truthy(tostring(proxy):find("1 sessions", 1, true))
    lab:advance(1)
    assert.truthy(tostring(proxy):find("0 sessions", 1, true))
    assert.equal(200, client:request({}).status)
    lab:close()
  end)
end)

describe("a backend that does not listen", function()
  it("is told as 502, every time", function()
    local lab <close> = race.lab()
    local proxy = lab:proxy { to = "127.0.0.1:1", retry = "always", retries = 3 }
    local client = lab:client { to = proxy }
    for i = 1, 3 do
      local reply = client:request { id = "n" .. i }
      assert.equal(502, reply.status)
      assert.equal("connection_refused", error_of(reply))
      assert.equal("ECONNREFUSED", proxy:attempts("n" .. i)[1].error)
      assert.equal(0, proxy:attempts("n" .. i)[1].sent)
      assert.equal(1, #proxy:attempts("n" .. i))
      assert.verdict("refused", lab, "n" .. i)
    end
  end)
end)

-- -------------------------------------------------------------- client aborts --

describe("a client that goes away", function()
  --- Where the exchange stands when it goes: a fault that keeps it there, and what the client has sent and got.
  local stages = {
    { name = "in its head", raw = "GET / HT", n_conns = 0 },
    { name = "in its body", open = true, n_conns = 1 },
    { name = "before the response", path = "/delay/1000", n_conns = 1, executed = 1 },
    { name = "in the response", path = "/bytes/100000", at = 50000, n_conns = 1, executed = 1 },
  }
  for _, where in ipairs(stages) do
    for _, how in ipairs { "close", "half_close" } do
      it(("%s, by %s"):format(where.name, how), function()
        local lab, backend, proxy, client = stage({ response_timeout_ms = 5000 },
          where.at and { { on = "response_byte", at = where.at, id = "a", close = "stall" } })
        local exchange
        if where.raw then
          exchange = client:raw(where.raw)
        elseif where.open then
          exchange = client:start { method = "POST", path = "/echo", id = "a", open = true, length = 1000 }
          exchange:send "some"
        else
          exchange = client:start { path = where.path, id = "a" }
        end
        lab:advance(1)
        client[how](client)
        local reply = exchange:wait()

        if how == "close" then
          assert.is_true(reply.closed)
        elseif where.raw or where.open then
          -- Half a request and then no more: it can still be told so.
          assert.equal(400, reply.status)
        elseif where.at then
          assert.is_true(reply.truncated)
        else
          assert.equal(200, reply.status)
        end
        lab:advance(10000)
        assert.truthy(tostring(proxy):find("0 sessions", 1, true), tostring(proxy))
        assert.equal(where.n_conns, backend.n_conns)
        assert.equal(where.executed or 0, backend:ledger "a".executed)
        if how == "close" then assert.equal(0, #proxy:pool()) end
        assert.is_true(#proxy:attempts "a" <= 1)
        lives_on(lab, proxy)
        lab:close()
      end)
    end
  end

  it("while its answer is being kept back, and nothing is left behind", function()
    local lab, backend, proxy, client = stage()
    client:request {}
    backend:conn(1):hold "sending"
    client:start { path = "/bytes/1000", id = "a" }
    lab:advance(1)
    client:close()
    lab:advance(1)
    assert.truthy(tostring(proxy):find("0 sessions", 1, true))
    assert.equal("the client is gone", proxy:attempts("a")[1].why)
    assert.equal(0, #proxy:pool())
    lives_on(lab, proxy)
    lab:close()
  end)
end)
