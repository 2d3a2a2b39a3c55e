--- Malformed messages: requests are refused by the proxy itself and never reach the backend; responses are told as 502
-- and never passed on as complete.

local race = require "closerace"

local HOST = "Host: h\r\n"

local function get(rest)
  return "GET / HTTP/1.1\r\n" .. rest .. "\r\n"
end

local function post(headers, body)
  return "POST /echo HTTP/1.1\r\n" .. HOST .. headers .. "\r\n" .. (body or "")
end

--- What it is, the bytes, and the statuses that are right for it (400 where none is named).
local malformed = {
  -- Smuggling: two readers that would see different ends of the request (RFC 9112 6.1, 6.3).
  { "Content-Length and Transfer-Encoding", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") },
  { "Transfer-Encoding and Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n") },
  { "two different Content-Lengths", post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcde") },
  { "the same Content-Length twice", post("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd") },
  { "a list in Content-Length", post("Content-Length: 4, 4\r\n", "abcd") },
  { "a negative Content-Length", post("Content-Length: -4\r\n", "abcd") },
  { "a Content-Length with a plus", post("Content-Length: +4\r\n", "abcd") },
  { "a hexadecimal Content-Length", post("Content-Length: 0x4\r\n", "abcd") },
  { "an empty Content-Length", post("Content-Length: \r\n", "abcd") },
  { "a Content-Length beyond all numbers", post("Content-Length: 99999999999999999999999\r\n", "abcd") },
  { "Content-Length with a blank inside", post("Content-Length: 1 0\r\n", "0123456789") },
  { "gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), { 400, 501 } },
  { "chunked, gzip", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), { 400, 501 } },
  { "chunked, chunked", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), { 400, 501 } },
  { "identity", post("Transfer-Encoding: identity\r\n", ""), { 400, 501 } },
  { "an unknown transfer coding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), { 400, 501 } },
  { "two Transfer-Encodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
    { 400, 501 } },
  { "a vertical tab in front of chunked", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), { 400, 501 } },
  { "a blank in front of the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n") },
  { "Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },

  -- Host (RFC 9112 3.2).
  { "no Host", "GET / HTTP/1.1\r\n\r\n" },
  { "two Hosts", get(HOST .. HOST) },
  { "two different Hosts", get(HOST .. "host: other\r\n") },
  { "a Host with a blank", get "Host: a b\r\n" },

  -- The request line (RFC 9112 3).
  { "two blanks behind the method", "GET  / HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "two blanks in front of the version", "GET /  HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "a blank in the target", "GET /a b HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "a tab instead of a blank", "GET\t/\tHTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "a blank in front of the method", " GET / HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "no target", "GET HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "an HTTP/0.9 request", "GET /\r\n\r\n" },
  { "an HTTP/0.9 request without a second line", "GET /\r\n" },
  { "an unknown protocol", "GET / SMTP/1.1\r\n" .. HOST .. "\r\n" },
  { "lower-case http", "GET / http/1.1\r\n" .. HOST .. "\r\n" },
  { "HTTP/2.0", "GET / HTTP/2.0\r\n" .. HOST .. "\r\n", { 400, 505 } },
  { "HTTP/1.10", "GET / HTTP/1.10\r\n" .. HOST .. "\r\n", { 400, 505 } },
  { "the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", { 400, 501, 505 } },
  { "CONNECT", "CONNECT h:443 HTTP/1.1\r\n" .. HOST .. "\r\n", { 400, 405, 501 } },
  { "a method with a colon", "GE:T / HTTP/1.1\r\n" .. HOST .. "\r\n", { 400, 405, 501 } },
  { "a TLS hello", "\22\3\1\2\0\1\0\1\252\3\3\r\n\r\n" },
  { "binary noise", "\255\254\253\0\1\2\3\r\n\r\n" },

  -- Header fields (RFC 9112 5, 2.2).
  { "a folded header", get(HOST .. "X-A: 1\r\n 2\r\n") },
  { "a folded header with a tab", get(HOST .. "X-A: 1\r\n\t2\r\n") },
  { "a first header that begins with a blank", "GET / HTTP/1.1\r\n Host: h\r\n\r\n" },
  { "a bare LF at the end of a header", get(HOST .. "X-A: 1\n") },
  { "bare LFs only", "GET / HTTP/1.1\nHost: h\n\n" },
  { "a bare CR in a value", get(HOST .. "X-A: 1\r2\r\n") },
  { "a zero byte in a value", get(HOST .. "X-A: 1\0002\r\n") },
  { "a zero byte in a name", get(HOST .. "X\0A: 1\r\n") },
  { "a zero byte in the target", "GET /\0 HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "a header without a colon", get(HOST .. "X-A\r\n") },
  { "a header without a name", get(HOST .. ": 1\r\n") },
  { "a blank in a name", get(HOST .. "X A: 1\r\n") },
  { "brackets in a name", get(HOST .. "X(A): 1\r\n") },

  -- Sizes.
  { "a head that is too long", get(HOST .. "X-A: " .. ("x"):rep(40000) .. "\r\n"), { 431 } },
  { "too many headers", get(HOST .. ("X-A: 1\r\n"):rep(6000)), { 431 } },
  { "a request line that is too long", "GET /" .. ("x"):rep(40000) .. " HTTP/1.1\r\n" .. HOST .. "\r\n", { 414 } },
  { "a request line without an end", "GET /" .. ("x"):rep(40000), { 414 } },
}

--- Chunked bodies that go wrong: the head is fine, so the backend may have met it; but it never executes.
local bad_chunks = {
  { "a chunk size that is no number", "zz\r\nabc\r\n0\r\n\r\n" },
  { "an empty chunk size", "\r\nabc\r\n0\r\n\r\n" },
  { "a negative chunk size", "-1\r\nabc\r\n0\r\n\r\n" },
  { "a chunk size with 0x", "0x3\r\nabc\r\n0\r\n\r\n" },
  { "a chunk size beyond all numbers", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n" },
  { "a chunk that is longer than its size", "3\r\nabcd\r\n0\r\n\r\n" },
  { "a chunk without its CRLF", "3\r\nabc0\r\n\r\n" },
  { "a chunk size ended by a bare LF", "3\nabc\r\n0\r\n\r\n" },
  { "a blank in front of a chunk size", " 3\r\nabc\r\n0\r\n\r\n" },
}

local function contains(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

local function stage(options)
  local lab = race.lab()
  local backend = lab:backend()
  local proxy = lab:proxy { to = backend, head_timeout_ms = options and options.head_timeout_ms,
    head_bytes = options and options.head_bytes }
  return lab, backend, proxy
end

local function next_is_served(lab, proxy, id)
  local reply = lab:client({ to = proxy }):request { id = id }
  assert.equal(200, reply.status)
  assert.verdict("clean", lab, id)
end

--- A refusal: one of these statuses, and then a close; or (where nothing can be said) just a close.
local function is_refused(reply, statuses, what)
  assert.is_true(reply.complete, what .. ": " .. tostring(reply))
  assert.is_true(contains(statuses, reply.status), what .. ": " .. reply.status)
  assert.equal("close", reply.headers.connection, what)
  assert.truthy(reply.headers["proxy-status"]:find("error=http_request_error", 1, true), what)
end

describe("a malformed request", function()
  for _, case in ipairs(malformed) do
    it("is refused: " .. case[1], function()
      local lab, backend, proxy = stage()
      next_is_served(lab, proxy, "before")
      local bytes = backend:conn(1).received
      local client = lab:client { to = proxy }
      local exchange = client:raw(case[2])
      is_refused(exchange:wait(), case[3] or { 400 }, case[1])
      lab:advance(0)
      -- Nothing of it reached the backend, on no connection.
      assert.equal(1, #backend:ledger())
      assert.equal(1, backend.n_conns)
      assert.equal(bytes, backend:conn(1).received)
      assert.equal(1, #proxy:pool())
      next_is_served(lab, proxy, "after")
      assert.truthy(tostring(proxy):find("1 sessions", 1, true) or tostring(proxy):find("2 sessions", 1, true))
      lab:close()
    end)
  end

  it("is refused when it comes byte by byte, too", function()
    for _, case in ipairs(malformed) do
      -- Its first bytes alone may look like a method that nobody knows.
      local statuses = case[2]:find "^%a" and table.move(case[3] or { 400 }, 1, 3, 2, { 501 }) or { 400 }
      if #case[2] < 1000 then
        local lab, backend, proxy = stage()
        local client = lab:client { to = proxy }
        local exchange = client:raw(case[2]:sub(1, 1))
        for i = 2, #case[2] do
          if not exchange.done then
            exchange:send(case[2]:sub(i, i))
            lab:advance(0)
          end
        end
        is_refused(exchange:wait(), statuses, case[1])
        assert.equal(0, #backend:ledger(), case[1])
        lab:close()
      end
    end
  end)

  it("takes what was pipelined behind it down with it", function()
    for _, case in ipairs(malformed) do
      local lab, backend, proxy = stage()
      local client = lab:client { to = proxy }
      local bad = client:raw(case[2] .. "GET /smuggled HTTP/1.1\r\n" .. HOST .. "X-Closerace-Id: s\r\n\r\n")
      local reply = bad:wait()
      assert.is_true(reply.status >= 400, case[1])
      lab:advance(10)
      assert.equal(0, #backend:ledger "s", case[1])
      assert.equal(0, backend:ledger().executed, case[1])
      lab:close()
    end
  end)

  it("does not harm the one that was pipelined in front of it", function()
    local lab, backend, proxy = stage()
    local client = lab:client { to = proxy }
    local good = client:start { path = "/bytes/5000", id = "good" }
    local bad = client:raw(malformed[1][2])
    assert.equal(5000, #good:wait().body)
    assert.equal(400, bad:wait().status)
    assert.verdict("clean", lab, "good")
    assert.equal(1, #backend:ledger())
    lab:close()
  end)
end)

describe("a request body in bad chunks", function()
  for _, case in ipairs(bad_chunks) do
    it("is refused, and never executed: " .. case[1], function()
      local lab, backend, proxy = stage()
      local client = lab:client { to = proxy }
      local exchange = client:raw("POST /echo HTTP/1.1\r\n" .. HOST ..
        "X-Closerace-Id: bad\r\nTransfer-Encoding: chunked\r\n\r\n" .. case[2])
      is_refused(exchange:wait(), { 400 }, case[1])
      lab:advance(0)
      assert.equal(0, backend:ledger().executed)
      assert.verdict("refused", lab, "bad")
      assert.equal(0, #proxy:pool())
      next_is_served(lab, proxy, "after")
      lab:close()
    end)
  end
end)

describe("a request that looks odd and is right", function()
  local fine = {
    { "empty lines in front of it", "\r\n\r\n" .. get(HOST), 200 },
    { "HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", 200 },
    { "an absolute target", "GET http://other/ HTTP/1.1\r\n" .. HOST .. "\r\n", 200 },
    { "names of headers in capitals", "GET / HTTP/1.1\r\nHOST: h\r\n\r\n", 200 },
    { "no blank behind the colon", "GET / HTTP/1.1\r\nHost:h\r\n\r\n", 200 },
    { "an empty header", get(HOST .. "X-A:\r\n"), 200 },
    { "bytes above 127 in a value", get(HOST .. "X-A: \xe4\xf6\r\n"), 200 },
    { "CHUNKED", post("Transfer-Encoding: CHUNKED\r\n", "3\r\nabc\r\n0\r\n\r\n"), 200, "abc" },
    { "chunk extensions", post("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0\r\n\r\n"), 200, "abc" },
    { "trailers", post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"), 200, "abc" },
    { "capitals and zeros in a chunk size", post("Transfer-Encoding: chunked\r\n", "00A\r\n0123456789\r\n0\r\n\r\n"),
      200, "0123456789" },
    { "Content-Length: 0", post("Content-Length: 0\r\n"), 200 },
    { "zeros in front of Content-Length", post("Content-Length: 003\r\n", "abc"), 200, "abc" },
    { "OPTIONS *", "OPTIONS * HTTP/1.1\r\n" .. HOST .. "\r\n", 200 },
  }
  for _, case in ipairs(fine) do
    it("is served: " .. case[1], function()
      local lab, _, proxy = stage()
      local client = lab:client { to = proxy }
      local exchange = client:raw(case[2])
      local reply = exchange:wait()
      assert.equal(case[3], reply.status)
      assert.is_true(reply.complete)
      if case[4] then assert.equal(case[4], reply.body) end
      next_is_served(lab, proxy, "after")
      lab:close()
    end)
  end

  it("is served up to the very size of head_bytes", function()
    for _, case in ipairs { { 999, 200 }, { 1000, 200 }, { 1001, 431 } } do
      local lab, _, proxy = stage { head_bytes = 1000 }
      local bare = get(HOST .. "X-A: \r\n")
      local exchange = lab:client({ to = proxy }):raw(get(HOST .. "X-A: " .. ("x"):rep(case[1] - #bare) .. "\r\n"))
      assert.equal(case[2], exchange:wait().status, case[1])
      lab:close()
    end
  end)
end)

describe("half a request", function()
  it("and then nothing, is refused when its time is over", function()
    for _, bytes in ipairs { "G", "GET / HTTP/1.1", "GET / HTTP/1.1\r\nHo" } do
      local lab, backend, proxy = stage { head_timeout_ms = 300 }
      local exchange = lab:client({ to = proxy }):raw(bytes)
      local reply = exchange:wait()
      assert.equal(408, reply.status)
      assert.equal(300, reply.ms)
      assert.equal(0, backend.n_conns)
      lab:close()
    end
  end)

  it("and then a FIN, is refused at once", function()
    local whole = get(HOST)
    for n = 1, #whole - 1 do
      local lab, backend, proxy = stage()
      local client = lab:client { to = proxy }
      local exchange = client:raw(whole:sub(1, n))
      client:half_close()
      local reply = exchange:wait()
      assert.equal(400, reply.status, n)
      assert.equal(0, reply.ms)
      assert.equal(0, backend.n_conns)
      lab:close()
    end
  end)
end)

describe("a malformed response", function()
  local function ok(headers, body)
    return "HTTP/1.1 200 OK\r\n" .. headers .. "\r\n" .. (body or "")
  end

  local said = {
    { "no HTTP at all", "220 smtp ready\r\n" },
    { "an HTTP/0.9 response", "<html>hello</html>" },
    { "binary noise", "\0\1\2\3\255\r\n\r\n" },
    { "half a status line", "HTTP/1.1 20" },
    { "half a head", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" },
    { "an unknown version", "HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok" },
    { "a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok" },
    { "a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok" },
    { "a status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok" },
    { "two different Content-Lengths", ok("Content-Length: 2\r\nContent-Length: 3\r\n", "oki") },
    { "Content-Length and Transfer-Encoding", ok("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
      "2\r\nok\r\n0\r\n\r\n") },
    { "a negative Content-Length", ok("Content-Length: -2\r\n", "ok") },
    { "a Content-Length that is no number", ok("Content-Length: two\r\n", "ok") },
    { "an unknown transfer coding", ok("Transfer-Encoding: gzip\r\n", "ok") },
    { "a chunk size that is no number", ok("Transfer-Encoding: chunked\r\n", "zz\r\nok\r\n0\r\n\r\n"), true },
    { "a chunk that is too long", ok("Transfer-Encoding: chunked\r\n", "1\r\nok\r\n0\r\n\r\n"), true },
    { "a folded header", ok("X-A: 1\r\n 2\r\nContent-Length: 2\r\n", "ok") },
    { "a header without a colon", ok("X-A\r\nContent-Length: 2\r\n", "ok") },
    { "a zero byte in a value", ok("X-A: 1\0002\r\nContent-Length: 2\r\n", "ok") },
    { "a 1xx that never ends", "HTTP/1.1 100 Continue\r\nX-A: 1\r\n" },
    { "a body that is cut", ok("Content-Length: 5\r\n", "ok"), true },
  }
  for _, case in ipairs(said) do
    it("is told as 502, never passed on as complete: " .. case[1], function()
      for _, ending in ipairs { "fin", "rst" } do
        for _, method in ipairs { "GET", "POST" } do
          local lab = race.lab()
          local backend = lab:backend { faults = { { on = "request_end", id = "m", say = case[2], close = ending } } }
          local proxy = lab:proxy { to = backend, retry = "never" }
          local client = lab:client { to = proxy }
          local reply = client:request { method = method, id = "m", body = method == "POST" and "x" or nil }
          local text = ("%s, %s, %s: %s"):format(case[1], ending, method, reply)
          if case[3] then
            -- The head was fine: it may have left when the body went wrong.
            assert.is_true(reply.status == 502 or reply.truncated, text)
          else
            assert.equal(502, reply.status, text)
            assert.is_true(reply.complete, text)
            assert.truthy(reply.headers["proxy-status"]:find "^closerace; error=[%w_]+; details=\"", text)
          end
          assert.is_false(reply.complete and reply.status == 200, text)
          assert.verdict("refused", lab, "m")
          assert.equal(0, #proxy:pool(), text)
          next_is_served(lab, proxy, "after")
          lab:close()
        end
      end
    end)
  end

  it("whose head is too long is told as 502", function()
    for _, case in ipairs { { 1000, 200 }, { 1001, 502 } } do
      local lab = race.lab()
      local mark = "X-Closerace-Mark: 1000000000\r\n"     -- the backend adds one to what a fault says
      local head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: \r\n\r\n"
      local said_head = head:gsub("X%-A: ", "X-A: " .. ("x"):rep(case[1] - #head - #mark))
      local backend = lab:backend { faults = { { on = "request_end", say = said_head, close = "fin" } } }
      local client = lab:client { to = lab:proxy { to = backend, head_bytes = 1000 } }
      assert.equal(case[2], client:request({}).status, case[1])
      lab:close()
    end
  end)

  it("is not sent again: the request may have been executed", function()
    local lab = race.lab()
    local backend = lab:backend { faults = { { on = "executed", id = "m", say = "junk\r\n\r\n", close = "fin" } } }
    local proxy = lab:proxy { to = backend, retry = "always", retries = 3 }
    assert.equal(502, lab:client({ to = proxy }):request({ id = "m" }).status)
    assert.equal(1, #proxy:attempts "m")
    assert.verdict("ghost", lab, "m")
    lab:close()
  end)
end)
