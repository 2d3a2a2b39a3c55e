--- The client: exact bytes out, exact books of what it was told.

local race = require "closerace"

--- What a backend read, as bytes: it is asked by hand, from a connection that is held.
local function sent_bytes(start)
  local lab <close> = race.lab()
  local backend = lab:backend()
  local client = lab:client { to = backend }
  client:request {}
  local before = #lab:trace()
  start(client)
  lab:advance(0)
  local bytes = 0
  for i, e in ipairs(lab:trace()) do
    if i > before and e.who == "client" and e.what == "sent" then bytes = bytes + e.bytes end
  end
  return bytes, backend:conn(1).received
end

local function ok(body)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)
end

--- A client whose backend says exactly these bytes to its first request, and then closes.
local function told(bytes, request, ending)
  local lab = race.lab()
  local backend = lab:backend { faults = { { on = "request_end", say = bytes, close = ending or "fin" } } }
  return lab:client({ to = backend }):request(request or {}), lab
end

describe("a request", function()
  --- The bytes that `request` must become.
  local function spelled(line, headers, rest)
    return line .. " HTTP/1.1\r\nHost: closerace.test\r\n" .. headers .. "\r\n" .. (rest or "")
  end

  local cases = {
    { "GET / by default", {}, spelled("GET /", "") },
    { "with an id", { id = "i1" }, spelled("GET /", "X-Closerace-Id: i1\r\n") },
    { "with a body", { method = "POST", path = "/p", body = "abc" },
      spelled("POST /p", "Content-Length: 3\r\n", "abc") },
    { "with an empty body", { method = "POST", body = "" }, spelled("POST /", "Content-Length: 0\r\n") },
    { "with zero bytes in its body", { method = "PUT", body = "a\0b" },
      spelled("PUT /", "Content-Length: 3\r\n", "a\0b") },
    { "with a chunked body", { method = "POST", body = ("x"):rep(26), chunked = true },
      spelled("POST /", "Transfer-Encoding: chunked\r\n", "1a\r\n" .. ("x"):rep(26) .. "\r\n0\r\n\r\n") },
    { "with an empty chunked body", { method = "POST", body = "", chunked = true },
      spelled("POST /", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n") },
    { "with headers by name, in the order of their names", { headers = { B = "2", A = "1" } },
      spelled("GET /", "A: 1\r\nB: 2\r\n") },
    { "with headers as a list, in that order and repeated", { headers = { { "B", "2" }, { "A", "1" }, { "B", "3" } } },
      spelled("GET /", "B: 2\r\nA: 1\r\nB: 3\r\n") },
    { "with id, headers and body, in that order", { id = "i", headers = { A = "1" }, method = "POST", body = "x" },
      spelled("POST /", "X-Closerace-Id: i\r\nA: 1\r\nContent-Length: 1\r\n", "x") },
  }

  -- The client asks another client's server: a raw socket is not at hand, but a proxied echo of a request is.  So the
  -- bytes are counted on the wire, and met again by a backend that must find the request's end exactly there.
  for _, case in ipairs(cases) do
    it("is spelled exactly: " .. case[1], function()
      local sent = sent_bytes(function(client) client:start(case[2]) end)
      assert.equal(#case[3], sent)
      local raw, received = sent_bytes(function(client) client:raw(case[3]) end)
      assert.equal(sent, raw)
      local lab <close> = race.lab()
      local backend = lab:backend()
      local client = lab:client { to = backend }
      assert.equal(200, client:request(case[2]).status)
      assert.equal(200, client:raw(case[3]):wait().status)
      local one, two = backend:ledger()[1], backend:ledger()[2]
      for _, key in ipairs { "method", "path", "id", "read", "whole" } do assert.equal(one[key], two[key], key) end
      assert.is_true(one.whole)
      assert.equal(2 * #case[3], backend:conn(1).received)
      assert.is_true(received > #case[3])
    end)
  end

  it("comes back byte for byte from /echo", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:proxy { to = lab:backend() } }
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local body = table.concat(all):rep(300)
    for _, chunked in ipairs { false, true } do
      local reply = client:request { method = "POST", path = "/echo", body = body, chunked = chunked }
      assert.equal(200, reply.status)
      assert.is_true(reply.body == body)
    end
  end)
end)

describe("raw bytes", function()
  it("reach the backend as they are, in as many pieces as the script likes", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    local head = "POST /echo HTTP/1.1\r\nHost: h\r\nX-Closerace-Id: raw\r\ncontent-LENGTH: 4\r\n\r\n"
    local exchange = client:raw(head:sub(1, 7))
    lab:advance(0)
    assert.equal(7, backend:conn(1).received)
    for i = 8, #head do assert.is_true(exchange:send(head:sub(i, i))) end
    lab:advance(0)
    assert.equal(#head, backend:conn(1).received)
    assert.is_false(exchange.done)
    exchange:send "\0\r\n\255"
    local reply = exchange:wait()
    assert.equal("\0\r\n\255", reply.body)
    assert.equal(#head + 4, backend:ledger("raw")[1].read)
  end)

  it("carry their method, path and id into the verdict", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local exchange = client:raw "HEAD /id/h1/bytes/10 HTTP/1.1\r\nHost: h\r\n\r\n"
    assert.equal("h1", exchange.id)
    assert.equal("exchange HEAD /id/h1/bytes/10 (under way)", tostring(exchange))
    local reply = exchange:wait()
    assert.equal("", reply.body)
    assert.equal("10", reply.headers["content-length"])
    assert.verdict("clean", lab, "h1")
  end)

  it("may be no HTTP at all", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:proxy { to = lab:backend() } }
    local reply = client:raw("\0\1\2\r\n\r\n"):wait()
    assert.equal(400, reply.status)
    assert.is_true(reply.complete)
  end)
end)

describe("pipelined requests", function()
  it("are answered in order, three in flight", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = lab:proxy { to = backend } }
    local exchanges = {}
    for i, path in ipairs { "/bytes/70000", "/delay/50", "/status/203" } do
      exchanges[i] = client:start { path = path, id = "e" .. i }
    end
    lab:advance(10)
    assert.is_true(exchanges[1].done)
    assert.is_false(exchanges[2].done)
    assert.is_false(exchanges[3].done)
    assert.equal(203, exchanges[3]:wait().status)
    assert.equal(70000, #exchanges[1]:wait().body)
    assert.equal(50, exchanges[2]:wait().ms)
    for i = 1, 3 do assert.verdict("clean", lab, "e" .. i) end
  end)

  it("go behind one another over one connection, straight to a backend", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    local exchanges = {}
    for i = 1, 10 do exchanges[i] = client:start { path = "/status/" .. 200 + i } end
    for i = 1, 10 do assert.equal(200 + i, exchanges[i]:wait().status) end
    assert.equal(1, backend.n_conns)
    assert.equal(10, backend:conn(1).finished)
  end)

  it("are lost together when the connection ends, and told one by one", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "response_byte", at = 20, request = 2, close = "fin" } } }
    local client = lab:client { to = backend }
    local exchanges = {}
    for i = 1, 3 do exchanges[i] = client:start { id = "e" .. i } end
    assert.equal(200, exchanges[1]:wait().status)
    local second, third = exchanges[2]:wait(), exchanges[3]:wait()
    assert.is_true(second.truncated)
    assert.is_true(third.closed)
    assert.is_false(third.truncated)
    assert.equal(0, third.received)
    assert.verdict("clean", lab, "e1")
    assert.verdict("ghost", lab, "e2")
    assert.verdict("refused", lab, "e3")
  end)
end)

describe("half_close", function()
  it("leaves the answer to arrive", function()
    local lab <close> = race.lab()
    for _, to in ipairs { lab:backend(), lab:proxy { to = lab:backend() } } do
      local client = lab:client { to = to }
      local exchange = client:start { path = "/bytes/100000" }
      assert.is_true(client:half_close())
      local reply = exchange:wait()
      assert.equal(200, reply.status)
      assert.equal(100000, #reply.body)
    end
  end)

  it("stands behind the last byte, also of a body that waits to be sent", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request {}
    backend:conn(1):hold()
    local exchange = client:start { method = "POST", path = "/echo", body = ("x"):rep(8 << 20) }
    client:half_close()
    backend:conn(1):wait_arrival()
    backend:conn(1):release()
    assert.equal(8 << 20, #exchange:wait().body)
  end)

  it("makes the next request take another connection", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request {}
    client:half_close()
    assert.equal(200, client:request({}).status)
    assert.equal(2, backend.n_conns)
  end)

  it("is false where there is no connection", function()
    local lab <close> = race.lab()
    assert.is_false(lab:client({ to = lab:backend() }):half_close())
  end)

  it("is the end of what is sent", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    local exchange = client:raw "GET / HTTP/1.1\r\n"
    client:half_close()
    assert.is_false(exchange:send "Host: h\r\n\r\n")
    local reply = exchange:wait()
    assert.is_true(reply.closed)
    assert.is_nil(reply.error)
    assert.equal(16, backend:conn(1).received)
  end)
end)

describe("a request in steps", function()
  it("has the length that was announced", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = lab:proxy { to = backend } }
    local post = client:start { method = "POST", path = "/echo", open = true, length = 6, id = "s1" }
    post:send "abc"
    lab:advance(10)
    assert.is_false(post.done)
    assert.is_false(backend:ledger("s1")[1].whole)
    post:send "def"
    post:finish()
    assert.equal("abcdef", post:wait().body)
    assert.is_true(backend:ledger("s1")[1].whole)
  end)

  it("is chunked where no length was given", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = lab:proxy { to = backend } }
    local post = client:start { method = "POST", path = "/echo", open = true, id = "s1" }
    for i = 1, 5 do
      post:send(("%d"):format(i):rep(i))
      post:send ""                             -- an empty chunk would be the end
    end
    lab:advance(10)
    assert.is_false(post.done)
    post:finish()
    assert.equal("122333444455555", post:wait().body)
    assert.verdict("clean", lab, "s1")
  end)

  it("says so when the connection is gone in between", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "request_byte", at = 200, close = "rst", method = "POST" } } }
    local client = lab:client { to = backend }
    local post = client:start { method = "POST", path = "/echo", open = true, length = 1000 }
    post:send(("x"):rep(500))
    local reply = post:wait()
    assert.is_true(reply.reset)
    assert.is_false(post:send "more")
  end)
end)

describe("a client's close", function()
  it("resets its connection, and ends what was under way", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend, timeout_ms = 0 }
    local exchange = client:start { path = "/delay/1000" }
    lab:advance(1)
    client:close()
    assert.is_true(exchange.done)
    local reply = exchange:wait()
    assert.is_true(reply.closed)
    assert.is_nil(reply.status)
    lab:advance(0)
    assert.is_true(backend:conn(1).peer_closed)
    assert.equal(200, client:request({}).status)
    assert.equal(2, backend.n_conns)
  end)

  for what, bytes in pairs {
    ["half a request"] = "GET / HT",
    ["a request whose answer takes long"] = "GET /delay/60000 HTTP/1.1\r\nHost: x\r\n\r\n",
  } do
    it("is seen by a backend that finds " .. what .. " in front of it", function()
      local lab <close> = race.lab()
      local backend = lab:backend()
      local client = lab:client { to = backend }
      client:request {}
      client:raw(bytes)
      client:close()
      lab:advance(0)
      assert.is_true(backend:conn(1).peer_closed)
      assert.equal(#bytes, backend:ledger()[2].read)
    end)
  end
end)

describe("a timeout", function()
  it("is the lab's time, the request's own in front of the client's", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend(), timeout_ms = 5000 }
    for _, case in ipairs { { nil, 5000 }, { 700, 700 }, { 90000, 90000 } } do
      local reply = client:request { path = "/delay/100000", timeout_ms = case[1] }
      assert.is_true(reply.timeout)
      assert.is_false(reply.closed)
      assert.is_nil(reply.status)
      assert.equal(case[2], reply.ms)
    end
    assert.is_false(client:request({ path = "/delay/100000", timeout_ms = 100001 }).timeout)
    assert.is_false(client:request({ path = "/delay/100000", timeout_ms = 0 }).timeout)
  end)

  it("belongs to its own exchange", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local one, two = lab:client { to = backend }, lab:client { to = backend }
    local slow = one:start { path = "/delay/100", timeout_ms = 50 }
    local fast = two:start { path = "/delay/100" }
    assert.is_true(slow:wait().timeout)
    assert.equal(50, lab:now())
    assert.equal(200, fast:wait().status)
  end)

  it("keeps what had come so far", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "response_byte", at = 400, close = "stall" } } }
    local reply = lab:client({ to = backend, timeout_ms = 10 }):request { path = "/bytes/1000" }
    assert.is_true(reply.timeout)
    assert.is_true(reply.truncated)
    assert.is_false(reply.complete)
    assert.equal(200, reply.status)
    assert.equal(400, reply.received)
    assert.equal(400 - #reply.head, #reply.body)
  end)
end)

describe("a reply", function()
  it("has the response's parts", function()
    local lab <close> = race.lab()
    local reply = lab:client({ to = lab:backend() }):request { path = "/bytes/5", id = "r1" }
    assert.equal(200, reply.status)
    assert.equal("01234", reply.body)
    assert.is_true(reply.complete)
    assert.equal("HTTP/1.1 200 OK\r\n", reply.head:sub(1, 17))
    assert.equal("\r\n\r\n", reply.head:sub(-4))
    assert.equal(#reply.head + 5, reply.received)
    assert.equal("5", reply.headers["content-length"])
    assert.equal("r1", reply.headers["x-closerace-id"])
    assert.equal(tostring(reply.mark), reply.headers["x-closerace-mark"])
    assert.equal(0, reply.interim)
    for _, flag in ipairs { "closed", "reset", "truncated", "timeout", "refused", "invalid" } do
      assert.is_false(reply[flag], flag)
    end
    assert.is_nil(reply.error)
  end)

  it("has repeated headers joined, names in lower case, blanks taken off", function()
    local reply, lab = told "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\na:2 \r\nX-Y:\t v \r\nEmpty:\r\n\r\n"
    assert.equal("1, 2", reply.headers.a)
    assert.equal("v", reply.headers["x-y"])
    assert.equal("", reply.headers.empty)
    assert.is_nil(reply.headers["X-Y"])
    lab:close()
  end)

  it("to a HEAD has no body, whatever the head says", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local reply = client:request { method = "HEAD", path = "/bytes/1000" }
    assert.is_true(reply.complete)
    assert.equal("", reply.body)
    assert.equal("1000", reply.headers["content-length"])
    assert.equal(200, client:request({}).status)
  end)

  it("with status 204 or 304 has no body", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    for _, status in ipairs { 204, 304 } do
      local reply = client:request { path = "/status/" .. status }
      assert.is_true(reply.complete)
      assert.equal("", reply.body)
    end
    assert.equal(200, client:request({}).status)
  end)

  it("counts the 1xx in front of it", function()
    local reply, lab = told("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" .. ok "body")
    assert.equal(2, reply.interim)
    assert.equal(200, reply.status)
    assert.equal("body", reply.body)
    assert.is_nil(reply.headers.link)
    lab:close()
  end)

  it("shows its 1xx before the final response is there", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "request_head", close = "stall",
      say = "HTTP/1.1 103 Early Hints\r\n\r\n" } } }
    local exchange = lab:client({ to = backend }):start {}
    lab:advance(1)
    assert.equal(1, exchange.interim)
    assert.is_false(exchange.done)
  end)

  it("without a length ends with the connection, by FIN only", function()
    local bytes = "HTTP/1.1 200 OK\r\n\r\nall there is"
    local reply, lab = told(bytes, nil, "fin")
    assert.is_true(reply.complete)
    assert.is_true(reply.closed)
    assert.is_false(reply.truncated)
    assert.equal("all there is", reply.body)
    lab:close()
    reply, lab = told(bytes, nil, "rst")
    assert.is_false(reply.complete)
    assert.is_true(reply.truncated)
    assert.is_true(reply.reset)
    assert.equal("ECONNRESET", reply.error)
    assert.equal("all there is", reply.body)
    lab:close()
  end)

  it("cut short is truncated, at every byte and by FIN and reset alike", function()
    local whole = ok "four"
    local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n"
    for _, bytes in ipairs { whole, chunked } do
      for n = 1, #bytes do
        for _, ending in ipairs { "fin", "rst" } do
          local reply, lab = told(bytes:sub(1, n), nil, ending)
          local case = ("%d of %d, %s: %s"):format(n, #bytes, ending, reply)
          assert.equal(n == #bytes, reply.complete, case)
          assert.equal(n < #bytes, reply.truncated, case)
          if n < #bytes then
            assert.is_true(reply.closed, case)
            assert.equal(ending == "rst", reply.reset, case)
          end
          lab:close()
        end
      end
    end
  end)

  it("that is no HTTP is invalid", function()
    for _, bytes in ipairs {
      "SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 99 No\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    } do
      local reply, lab = told(bytes)
      assert.is_true(reply.invalid, bytes)
      assert.is_false(reply.complete)
      lab:close()
    end
  end)

  it("says that nobody listens", function()
    local lab <close> = race.lab()
    local reply = lab:client({ to = "127.0.0.1:1" }):request { id = "n1" }
    assert.is_true(reply.refused)
    assert.is_false(reply.reset)
    assert.equal("ECONNREFUSED", reply.error)
    assert.verdict("refused", lab, "n1")
  end)
end)

describe("bytes that nobody asked for", function()
  it("are taken for the next answer, and the verdict is garbled", function()
    local lab <close> = race.lab()
    -- The server says something behind its first answer, and keeps the connection.
    local backend = lab:backend { faults = { { on = "response_end", close = "stall", say = ok "not yours" } } }
    local client = lab:client { to = backend }
    client:request { id = "first" }
    lab:advance(0)
    local reply = client:request { id = "second" }
    assert.equal("not yours", reply.body)
    assert.is_true(reply.complete)
    assert.verdict("garbled", lab, "second")
    assert.verdict("clean", lab, "first")
  end)
end)

describe("a client's connection", function()
  it("is kept from one request to the next", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    for _ = 1, 5 do client:request {} end
    assert.equal(1, backend.n_conns)
    assert.equal(5, backend:conn(1).finished)
  end)

  it("is made anew when it was closed, or when a close was announced", function()
    for _, ending in ipairs { "fin", "rst" } do
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { on = "idle", conn = 1, close = ending } } }
      local client = lab:client { to = backend }
      client:request {}
      assert.equal(200, client:request({}).status)
      assert.equal(2, backend.n_conns)
    end
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "idle", conn = 1, after_ms = 1000, close = "fin",
      announce = true } } }
    local client = lab:client { to = backend }
    assert.equal("close", client:request({}).headers.connection)
    client:request {}
    assert.equal(2, backend.n_conns)
    lab:advance(1000)
  end)
end)
