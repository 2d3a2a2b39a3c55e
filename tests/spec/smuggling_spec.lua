--- Smuggling and framing attacks, a table: what the client is told, and what the backend must have got.
--
-- A request that two readers could end at different places must be refused, and nothing that lies behind it may be
-- executed; what is let through must mean the same to everybody.  A response must answer its own request, and nothing
-- behind it may answer the next.  Each row names the section that its expectation comes from: of RFC 9112 where it is
-- a number alone, else of RFC 9110.

local race = require "closerace"

local HOST = "Host: h\r\n"
local SMUGGLED = "GET /smuggled HTTP/1.1\r\n" .. HOST .. "\r\n"

local function get(fields)
  return "GET / HTTP/1.1\r\n" .. HOST .. fields .. "\r\n"
end

local function post(fields, body)
  return "POST /echo HTTP/1.1\r\n" .. HOST .. fields .. "\r\n" .. (body or "")
end

local function chunked(body)
  return post("Transfer-Encoding: chunked\r\n", body)
end

local function coded(coding)
  return post("Transfer-Encoding:" .. coding .. "\r\n", "0\r\n\r\n")
end

local function sized(length, body)
  return post("Content-Length:" .. length .. "\r\n", body or "abcde")
end

local function line(text)
  return text .. "\r\n" .. HOST .. "\r\n"
end

local function hosted(host)
  return "GET / HTTP/1.1\r\n" .. host .. "\r\n"
end

--- What is executed, in order: "METHOD path" with the size of a body behind it.
local function executed(backend)
  local list = {}
  for _, attempt in ipairs(backend:ledger()) do
    if attempt.executed > 0 then
      list[#list + 1] = ("%s %s%s"):format(attempt.method, attempt.path,
        attempt.content > 0 and " " .. attempt.content or "")
    end
  end
  return list
end

local function contains(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

local function stage(options)
  local lab = race.lab()
  local backend = lab:backend()
  local proxy_options = { to = backend }
  for name, value in pairs(options or {}) do proxy_options[name] = value end
  return lab, backend, lab:proxy(proxy_options)
end

--- A table's row as a test of its own.
local function row(case, test)
  it(("%s (%s)"):format(case[1], case[2]), test)
end

local function next_is_served(lab, proxy)
  assert.equal("abc", lab:client({ to = proxy }):request({ method = "POST", path = "/echo", body = "abc" }).body)
end

-- ------------------------------------------------------------------ refused --

--- Name, section, bytes, statuses (400 where none is named).
local refused = {
  -- Two framings.
  { "CL.TE", "6.1, 6.3", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG") },
  { "TE.CL", "6.1, 6.3", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\nGPOST / HTTP/1.1\r\n") },
  { "CL.TE, the latter in capitals", "6.1, 6.3", post("Content-Length: 6\r\nTRANSFER-ENCODING: CHUNKED\r\n",
    "0\r\n\r\nG") },
  { "CL.TE, the latter unknown", "6.1, 6.3", post("Content-Length: 6\r\nTransfer-Encoding: x\r\n", "0\r\n\r\nG"),
    { 400, 501 } },
  { "Content-Length: 0 and chunked", "6.1, 6.3", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "0\r\n\r\n") },
  { "chunked in HTTP/1.0", "6.1", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
  { "chunked in HTTP/1.0 that keeps alive", "6.1", "POST / HTTP/1.0\r\nConnection: keep-alive\r\n" ..
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },

  -- TE.TE: a coding that one reader knows and the other does not.
  { "a blank in front of TE's colon", "5.1", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n") },
  { "a tab in front of TE's colon", "5.1", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n") },
  { "a vertical tab in front of chunked", "5.5 of 9110", coded "\vchunked" },
  { "a form feed behind chunked", "5.5 of 9110", coded " chunked\f" },
  { "a no-break space in front of chunked", "6.1", coded " \xc2\xa0chunked", { 400, 501 } },
  { "a bare CR in front of chunked", "2.2", coded " \rchunked" },
  { "a NUL behind chunked", "5.5 of 9110", coded " chunked\0" },
  { "xchunked", "6.1", coded " xchunked", { 400, 501 } },
  { "chunked with a parameter", "6.1", coded " chunked;q=1", { 400, 501 } },
  { "chunked in quotes", "6.1", coded ' "chunked"', { 400, 501 } },
  { "chunked in single quotes", "6.1", coded " 'chunked'", { 400, 501 } },
  { "two words without a comma", "6.1", coded " identity chunked", { 400, 501 } },
  { "chunked, identity", "6.3", coded " chunked, identity", { 400, 501 } },
  { "identity, chunked", "6.1", coded " identity, chunked", { 400, 501 } },
  { "identity", "6.3", coded " identity", { 400, 501 } },
  { "gzip, chunked", "6.1", coded " gzip, chunked", { 400, 501 } },
  { "chunked twice", "6.1", coded " chunked, chunked", { 400, 501 } },
  { "chunked on two lines", "6.1", coded " chunked\r\nTransfer-Encoding: chunked", { 400, 501 } },
  { "chunked and identity on two lines", "6.3", coded " chunked\r\nTransfer-Encoding: identity", { 400, 501 } },
  { "identity and chunked on two lines", "6.1", coded " identity\r\nTransfer-Encoding: chunked", { 400, 501 } },
  { "chunked and an empty line of it", "6.1", coded " chunked\r\nTransfer-Encoding:", { 400, 501 } },
  { "chunked with a comma behind it", "5.6.1 of 9110", coded " chunked,", { 400, 501 } },
  { "chunked with a comma in front", "5.6.1 of 9110", coded " ,chunked", { 400, 501 } },
  { "an empty coding", "6.1", coded "", { 400, 501 } },
  { "chunked on a folded line", "5.2", coded "\r\n chunked" },
  { "chunked with a folded line behind it", "5.2", coded " chunked\r\n , identity" },

  -- Content-Length.
  { "two equal lengths", "6.3", post("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde") },
  { "two different lengths", "6.3", post("Content-Length: 5\r\nContent-Length: 0\r\n", "abcde") },
  { "two lengths in other cases", "6.3", post("Content-Length: 0\r\ncontent-length: 5\r\n", "abcde") },
  { "Content-Length: 5, 5", "6.3", sized " 5, 5" },
  { "Content-Length: 5, 6", "6.3", sized " 5, 6" },
  { "Content-Length: 5,", "6.3", sized " 5," },
  { "Content-Length: +5", "8.6 of 9110", sized " +5" },
  { "Content-Length: -1", "8.6 of 9110", sized " -1" },
  { "Content-Length: -0", "8.6 of 9110", sized " -0" },
  { "Content-Length: 0x5", "8.6 of 9110", sized " 0x5" },
  { "Content-Length: 5.0", "8.6 of 9110", sized " 5.0" },
  { "Content-Length: 5e0", "8.6 of 9110", sized " 5e0" },
  { "Content-Length: 5;", "8.6 of 9110", sized " 5;" },
  { "Content-Length: 1_0", "8.6 of 9110", sized(" 1_0", "abcdeabcde") },
  { "Content-Length in quotes", "8.6 of 9110", sized ' "5"' },
  { "Content-Length in Arabic digits", "8.6 of 9110", sized " \xd9\xa5" },
  { "a length beyond 64 bits", "8.6 of 9110", sized " 18446744073709551621" },
  { "a length beyond 32 bits, negative", "8.6 of 9110", sized " -4294967291" },
  { "a length of a hundred digits", "8.6 of 9110", sized(" " .. ("9"):rep(100)), { 400, 413 } },
  { "an empty length", "8.6 of 9110", sized "" },
  { "a length of blanks", "8.6 of 9110", sized " \t " },
  { "a length with a blank inside", "8.6 of 9110", sized(" 1 0", "abcdeabcde") },
  { "a length with a tab inside", "8.6 of 9110", sized(" 1\t0", "abcdeabcde") },
  { "a vertical tab in front of a length", "5.5 of 9110", sized " \v5" },
  { "a NUL behind a length", "5.5 of 9110", sized " 5\0" },
  { "a blank in front of a length's colon", "5.1", post("Content-Length : 5\r\n", "abcde") },
  { "a length on a folded line", "5.2", sized "\r\n 5" },

  -- Lines.
  { "bare LFs only", "2.2", "GET / HTTP/1.1\nHost: h\n\n" },
  { "a bare LF behind the request line", "2.2", "GET / HTTP/1.1\nHost: h\r\n\r\n" },
  { "a bare LF behind a field", "2.2", get "X-A: 1\nTransfer-Encoding: chunked\r\n" },
  { "a bare LF as the empty line", "2.2", "GET / HTTP/1.1\r\nHost: h\r\n\n" },
  { "a bare CR behind a field", "2.2", get "X-A: 1\rTransfer-Encoding: chunked\r\n" },
  { "a bare CR in front of CRLF", "2.2", get "X-A: 1\r\r\n" },
  { "a bare CR as the empty line", "2.2", "GET / HTTP/1.1\r\nHost: h\r\n\rX: 1\r\n\r\n" },
  { "a bare CR in a name", "2.2", get "X-\rA: 1\r\n" },
  { "a bare CR in the request line", "2.2", line "GET /\r HTTP/1.1" },
  { "LF CR instead of CR LF", "2.2", get "X-A: 1\n\rX-B: 2\r\n" },
  { "a bare LF in front of the request", "2.2", "\n" .. get "" },
  { "a bare CR in front of the request", "2.2", "\r" .. get "" },
  { "a NUL in a value", "5.5 of 9110", get "X-A: 1\0002\r\n" },
  { "a NUL in a name", "5.1 of 9110", get "X\0-A: 1\r\n" },
  { "a NUL in the target", "3.2", line "GET /\0 HTTP/1.1" },
  { "a NUL in the method", "3.1", line "G\0ET / HTTP/1.1" },
  { "DEL in a value", "5.5 of 9110", get "X-A: 1\x7f2\r\n" },
  { "BEL in a value", "5.5 of 9110", get "X-A: \a\r\n" },
  { "ESC in a name", "5.1 of 9110", get "X\27A: 1\r\n" },
  { "a folded line", "5.2", get "X-A: 1\r\n 2\r\n" },
  { "a folded line with a tab", "5.2", get "X-A: 1\r\n\t2\r\n" },
  { "a folded line that looks like a field", "5.2", get "X-A: 1\r\n Transfer-Encoding: chunked\r\n" },
  { "a folded line of a blank alone", "5.2", get "X-A: 1\r\n \r\n" },
  { "a blank in front of the first field", "2.2", "GET / HTTP/1.1\r\n Host: h\r\n\r\n" },
  { "a tab in front of the first field", "2.2", "GET / HTTP/1.1\r\n\tX-A: 1\r\nHost: h\r\n\r\n" },
  { "a blank in front of a colon", "5.1", get "X-A : 1\r\n" },
  { "a field without a colon", "5", get "X-A\r\n" },
  { "a field without a name", "5", get ": 1\r\n" },
  { "a blank in a name", "5.1 of 9110", get "X A: 1\r\n" },
  { "brackets in a name", "5.1 of 9110", get "X(A): 1\r\n" },
  { "an umlaut in a name", "5.1 of 9110", get "X-\xc3\xa4: 1\r\n" },
  { "a quoted name", "5.1 of 9110", get '"X-A": 1\r\n' },

  -- Host.
  { "no Host", "3.2", "GET / HTTP/1.1\r\n\r\n" },
  { "two Hosts", "3.2", hosted "Host: h\r\nHost: h\r\n" },
  { "two different Hosts", "3.2", hosted "Host: h\r\nhOST: evil\r\n" },
  { "two Hosts in HTTP/1.0", "3.2", "GET / HTTP/1.0\r\nHost: h\r\nHost: evil\r\n\r\n" },
  { "Host with a blank", "3.2", hosted "Host: h evil\r\n" },
  { "Host with a tab", "3.2", hosted "Host: h\tevil\r\n" },
  { "Host with a comma", "3.2", hosted "Host: h,evil\r\n" },
  { "Host with userinfo", "3.2", hosted "Host: evil@h\r\n" },
  { "Host with a path", "3.2", hosted "Host: h/evil\r\n" },
  { "Host with a query", "3.2", hosted "Host: h?evil\r\n" },
  { "Host with a fragment", "3.2", hosted "Host: h#evil\r\n" },
  { "Host with a backslash", "3.2", hosted "Host: h\\evil\r\n" },
  { "Host with a scheme", "3.2", hosted "Host: http://h\r\n" },
  { "Host with a port that is no number", "3.2", hosted "Host: h:80a\r\n" },
  { "Host with two ports", "3.2", hosted "Host: h:80:81\r\n" },
  { "Host with an address that is not closed", "3.2", hosted "Host: [::1\r\n" },
  { "Host with an umlaut", "3.2", hosted "Host: \xc3\xa4\r\n" },
  { "a blank in front of Host's colon", "5.1", hosted "Host : h\r\n" },
  { "Host on a folded line", "5.2", hosted "Host:\r\n h\r\n" },
  { "an absolute target, but no Host", "3.2", "GET http://h/ HTTP/1.1\r\n\r\n" },

  -- The request line.
  { "HTTP/0.9", "3", "GET /\r\n" },
  { "HTTP/0.9 with fields", "3", "GET /\r\nHost: h\r\n\r\n" },
  { "HTTP/2.0", "15.6.6 of 9110", line "GET / HTTP/2.0", { 505 } },
  { "HTTP/3", "2.3", line "GET / HTTP/3" },
  { "HTTP/0.9, said so", "15.6.6 of 9110", line "GET / HTTP/0.9", { 400, 505 } },
  { "HTTP/1.10", "2.3", line "GET / HTTP/1.10" },
  { "HTTP/01.1", "2.3", line "GET / HTTP/01.1" },
  { "HTTP/1.1.1", "2.3", line "GET / HTTP/1.1.1" },
  { "HTTP/1,1", "2.3", line "GET / HTTP/1,1", { 400, 505 } },
  { "http/1.1", "2.3", line "GET / http/1.1" },
  { "HTTPS/1.1", "2.3", line "GET / HTTPS/1.1" },
  { "the HTTP/2 preface", "2.3", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", { 400, 505 } },
  { "a version without its number", "2.3", line "GET / HTTP/" },
  { "no version, but a blank", "3", line "GET / " },
  { "no target", "3", line "GET HTTP/1.1" },
  { "an empty target", "3", line "GET  HTTP/1.1" },
  { "two blanks behind the method", "3", line "GET  / HTTP/1.1" },
  { "two blanks in front of the version", "3", line "GET /  HTTP/1.1" },
  { "a blank behind the version", "3", line "GET / HTTP/1.1 " },
  { "a blank in front of the method", "3", line " GET / HTTP/1.1" },
  { "a blank in the target", "3.2", line "GET /a b HTTP/1.1" },
  { "two versions", "3.2", line "GET / HTTP/1.1 HTTP/1.1" },
  { "a tab behind the method", "3", line "GET\t/ HTTP/1.1" },
  { "a tab in front of the version", "3", line "GET /\tHTTP/1.1" },
  { "a vertical tab behind the method", "3", line "GET\v/ HTTP/1.1" },
  { "a tab in the target", "3.2", line "GET /a\tb HTTP/1.1" },
  { "DEL in the target", "3.2", line "GET /\x7f HTTP/1.1" },
  { "a target that is no path", "3.2", line "GET a HTTP/1.1" },
  { "an authority as the target of GET", "3.2.3", line "GET h:80 HTTP/1.1" },
  { "a star as the target of GET", "3.2.4", line "GET * HTTP/1.1" },
  { "a fragment in the target", "3.2", line "GET /a#b HTTP/1.1" },
  { "userinfo in an absolute target", "4.2.4 of 9110", line "GET http://evil@h/ HTTP/1.1" },
  { "an absolute target without a host", "4.2.1 of 9110", line "GET http:///a HTTP/1.1" },
  { "an absolute target with a port that is no number", "3.2.2", line "GET http://h:a/ HTTP/1.1" },
  { "CONNECT", "9.3.6 of 9110", line "CONNECT h:443 HTTP/1.1", { 501 } },
}

describe("refused, and so is what lies behind it:", function()
  for _, case in ipairs(refused) do
    row(case, function()
      local lab, backend, proxy = stage()
      local exchange = lab:client({ to = proxy }):raw(case[3] .. SMUGGLED)
      local reply = exchange:wait()
      lab:advance(0)
      assert.same({}, executed(backend))
      assert.is_true(contains(case[4] or { 400 }, reply.status), tostring(reply))
      assert.is_true(reply.complete)
      assert.equal("close", reply.headers.connection)
      assert.equal(0, backend.n_conns)
      next_is_served(lab, proxy)
      lab:close()
    end)
  end
end)

-- ------------------------------------------------------------------- chunks --

--- Bodies whose head is fine; the backend may have met it, but never executes it.
local bad_chunks = {
  { "a size beyond 64 bits", "7.1", "10000000000000003\r\nabc\r\n0\r\n\r\n" },
  { "a size of 64 bits, all ones", "7.1", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n" },
  { "a size that becomes 3 in 32 bits", "7.1", "100000003\r\nabc\r\n0\r\n\r\n", waits = true },
  { "0x", "7.1", "0x3\r\nabc\r\n0\r\n\r\n" },
  { "a blank in front of a size", "7.1", " 3\r\nabc\r\n0\r\n\r\n" },
  { "a blank behind a size", "7.1", "3 \r\nabc\r\n0\r\n\r\n" },
  { "a tab behind a size", "7.1", "3\t\r\nabc\r\n0\r\n\r\n" },
  { "a blank inside a size", "7.1", "0 3\r\nabc\r\n0\r\n\r\n" },
  { "a plus", "7.1", "+3\r\nabc\r\n0\r\n\r\n" },
  { "a minus", "7.1", "-3\r\nabc\r\n0\r\n\r\n" },
  { "minus nought", "7.1", "3\r\nabc\r\n-0\r\n\r\n" },
  { "an underscore", "7.1", "0_3\r\nabc\r\n0\r\n\r\n" },
  { "a comma", "7.1", "3,\r\nabc\r\n0\r\n\r\n" },
  { "a letter that is no digit", "7.1", "3g\r\nabc\r\n0\r\n\r\n" },
  { "a NUL behind a size", "7.1", "3\0\r\nabc\r\n0\r\n\r\n" },
  { "no size", "7.1", "\r\nabc\r\n0\r\n\r\n" },
  { "no size, but an extension", "7.1.1", ";a\r\nabc\r\n0\r\n\r\n" },
  { "a size ended by a bare LF", "2.2", "3\nabc\r\n0\r\n\r\n" },
  { "a size ended by a bare CR", "2.2", "3\rabc\r\n0\r\n\r\n" },
  { "a size ended by CR CR LF", "2.2", "3\r\r\nabc\r\n0\r\n\r\n" },
  { "an extension ended by a bare LF", "7.1.1", "3;a=b\nabc\r\n0\r\n\r\n" },
  { "a bare CR in an extension", "7.1.1", "3;a\rb\r\nabc\r\n0\r\n\r\n" },
  { "CRLF in a quoted extension", "7.1.1", '3;a="\r\nabc"\r\nabc\r\n0\r\n\r\n' },
  { "a bare LF in a quoted extension", "7.1.1", '3;a="\n"\r\nabc\r\n0\r\n\r\n' },
  { "a NUL in an extension", "7.1.1", "3;a=\0\r\nabc\r\n0\r\n\r\n" },
  { "data longer than its size", "7.1", "3\r\nabcd\r\n0\r\n\r\n" },
  { "data without its CRLF", "7.1", "3\r\nabc0\r\n\r\n" },
  { "data with a bare LF behind it", "7.1", "3\r\nabc\n0\r\n\r\n" },
  { "data with a bare CR behind it", "7.1", "3\r\nabc\r0\r\n\r\n" },
  { "data with LF CR behind it", "7.1", "3\r\nabc\n\r0\r\n\r\n" },
  { "a last chunk ended by a bare LF", "7.1", "3\r\nabc\r\n0\n\n" },
  { "a bare LF as the empty line behind the last chunk", "7.1", "3\r\nabc\r\n0\r\n\n" },
  { "a bare LF as the empty line behind a trailer", "7.1.2", "3\r\nabc\r\n0\r\nX-T: 1\r\n\n" },
  { "a bare LF behind a trailer", "7.1.2", "3\r\nabc\r\n0\r\nX-T: 1\n\r\n" },
  { "a trailer without a colon", "7.1.2", "3\r\nabc\r\n0\r\nX-T\r\n\r\n" },
  { "a trailer with a blank in front of its colon", "5.1", "3\r\nabc\r\n0\r\nX-T : 1\r\n\r\n" },
  { "a trailer without a name", "5", "3\r\nabc\r\n0\r\n: 1\r\n\r\n" },
  { "a blank in a trailer's name", "5.1 of 9110", "3\r\nabc\r\n0\r\nX T: 1\r\n\r\n" },
  { "a blank in front of the first trailer", "5.2", "3\r\nabc\r\n0\r\n X-T: 1\r\n\r\n" },
  { "a bare CR in a trailer", "2.2", "3\r\nabc\r\n0\r\nX-T: 1\r2\r\n\r\n" },
  { "a NUL in a trailer", "5.5 of 9110", "3\r\nabc\r\n0\r\nX-T: \0\r\n\r\n" },
}

describe("a chunked body is refused, and never executed:", function()
  for _, case in ipairs(bad_chunks) do
    row(case, function()
      local lab, backend, proxy = stage { client_timeout_ms = 500 }
      local exchange = lab:client({ to = proxy }):raw(chunked(case[3]) .. SMUGGLED)
      local reply = exchange:wait()
      lab:advance(0)
      assert.same({}, executed(backend))
      assert.equal(case.waits and 408 or 400, reply.status, tostring(reply))
      assert.equal("close", reply.headers.connection)
      assert.equal(0, #proxy:pool())
      next_is_served(lab, proxy)
      lab:close()
    end)
  end
end)

-- ------------------------------------------------------------------- passed --

--- What looks odd and means one thing only.  Name, section, bytes, what is executed, the first body.
local passed = {
  { "two pipelined requests", "9.3.2", get "" .. SMUGGLED, { "GET /", "GET /smuggled" } },
  { "chunked behind a tab", "5.5 of 9110", coded "\tchunked", { "POST /echo" }, "" },
  { "chunked in front of blanks", "5.5 of 9110", coded " chunked \t", { "POST /echo" }, "" },
  { "chunked without a blank", "5.5 of 9110", coded "chunked", { "POST /echo" }, "" },
  { "cHUNKED", "6.1", post("tRANSFER-eNCODING: cHUNKED\r\n", "3\r\nabc\r\n0\r\n\r\n"), { "POST /echo 3" }, "abc" },
  { "a length with zeros in front", "8.6 of 9110", sized(" 0005"), { "POST /echo 5" }, "abcde" },
  { "a length behind blanks", "5.5 of 9110", sized(" \t 5"), { "POST /echo 5" }, "abcde" },
  { "a request inside a body", "6.2", sized(" " .. #SMUGGLED, SMUGGLED), { "POST /echo " .. #SMUGGLED }, SMUGGLED },
  { "a request inside a chunk", "7.1", chunked(("%x\r\n%s\r\n0\r\n\r\n"):format(#SMUGGLED, SMUGGLED)),
    { "POST /echo " .. #SMUGGLED }, SMUGGLED },
  { "a request inside a trailer", "7.1.2", chunked("0\r\nX: GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"),
    { "POST /echo" }, "" },
  { "GET with a body", "9.3.1 of 9110",
    "GET /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " .. #SMUGGLED .. "\r\n\r\n" ..
    SMUGGLED, { "GET /echo " .. #SMUGGLED }, SMUGGLED },
  { "GET with a chunked body", "9.3.1 of 9110",
    "GET /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" ..
    "3\r\nabc\r\n0\r\n\r\n", { "GET /echo 3" }, "abc" },
  { "POST without a body", "6.3", post "" .. SMUGGLED, { "POST /echo", "GET /smuggled" } },
  { "CRLF in front of it", "2.2", "\r\n" .. get "", { "GET /" } },
  { "HTTP/1.2", "6.2 of 9110", line "GET / HTTP/1.2", { "GET /" } },
  { "many CRLFs in front of it", "2.2", ("\r\n"):rep(100) .. get "", { "GET /" } },
  { "CRLF between two", "2.2", sized(" 5", "abcde\r\n") .. SMUGGLED, { "POST /echo 5", "GET /smuggled" }, "abcde" },
  { "an empty Host", "3.2", hosted "Host:\r\n", { "GET /" } },
  { "a Host with a port", "7.2 of 9110", hosted "Host: h:8080\r\n", { "GET /" } },
  { "an IPv6 Host", "7.2 of 9110", hosted "Host: [::1]:80\r\n", { "GET /" } },
  { "an underscore instead of a hyphen", "5.1 of 9110", post("Transfer_Encoding: chunked\r\n"), { "POST /echo" },
    "" },
  { "X-Transfer-Encoding", "5.1 of 9110", post("X-Transfer-Encoding: chunked\r\n"), { "POST /echo" }, "" },
  { "Connection: Content-Length", "7.6.1 of 9110", post("Connection: Content-Length\r\nContent-Length: 5\r\n",
    "abcde") ..
    SMUGGLED, { "POST /echo 5", "GET /smuggled" }, "abcde" },
  { "Connection: Transfer-Encoding", "7.6.1 of 9110", post("Connection: Transfer-Encoding\r\n" ..
    "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n") .. SMUGGLED, { "POST /echo 3", "GET /smuggled" },
    "abc" },
  { "Connection: Host", "7.6.1 of 9110", get "Connection: host\r\n", { "GET /" } },
  { "Connection: close, and one behind it", "9.6", get "Connection: close\r\n" .. SMUGGLED, { "GET /" } },
  { "Connection: CLOSE, and one behind it", "9.6", get "Connection: x, CLOSE\r\n" .. SMUGGLED, { "GET /" } },
  { "HTTP/1.0, and one behind it", "9.3", "GET / HTTP/1.0\r\nHost: h\r\n\r\n" .. SMUGGLED, { "GET /" } },
  { "HTTP/1.0 that keeps alive, and one behind it", "9.3",
    "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n" .. SMUGGLED, { "GET /", "GET /smuggled" } },
  { "a chunk size with zeros in front", "7.1", chunked "0003\r\nabc\r\n000\r\n\r\n", { "POST /echo 3" }, "abc" },
  { "a chunk size in capitals", "7.1", chunked "A\r\nabcdeabcde\r\n0\r\n\r\n", { "POST /echo 10" }, "abcdeabcde" },
  { "chunk extensions", "7.1.1", chunked '3;a;b=c;d="e;f"\r\nabc\r\n0;g\r\n\r\n', { "POST /echo 3" }, "abc" },
  { "a folded trailer", "5.2", chunked "3\r\nabc\r\n0\r\nX-T: 1\r\n 2\r\n\r\n" .. SMUGGLED,
    { "POST /echo 3", "GET /smuggled" }, "abc", or_refused = true },
  { "Host in a trailer", "6.5.1 of 9110", chunked "3\r\nabc\r\n0\r\nHost: evil\r\n\r\n" .. SMUGGLED,
    { "POST /echo 3", "GET /smuggled" }, "abc", or_refused = true },
  { "Content-Length in a trailer", "6.5.1 of 9110", chunked("3\r\nabc\r\n0\r\nContent-Length: " .. #SMUGGLED ..
    "\r\n\r\n") .. SMUGGLED, { "POST /echo 3", "GET /smuggled" }, "abc", or_refused = true },
  { "Transfer-Encoding in a trailer", "6.5.1 of 9110",
    chunked "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" ..
    SMUGGLED, { "POST /echo 3", "GET /smuggled" }, "abc", or_refused = true },
  { "Connection: close in a trailer", "6.5.1 of 9110",
    chunked "3\r\nabc\r\n0\r\nConnection: close\r\n\r\n" .. SMUGGLED,
    { "POST /echo 3", "GET /smuggled" }, "abc", or_refused = true },
  { "a head, and behind it one that is refused", "9.3.2", get "" .. post("Content-Length: x\r\n"), { "GET /" } },
}

describe("means one thing, and that is what the backend gets:", function()
  for _, case in ipairs(passed) do
    row(case, function()
      local lab, backend, proxy = stage()
      local reply = lab:client({ to = proxy }):raw(case[3]):wait()
      lab:advance(0)
      if case.or_refused and reply.status == 400 then
        assert.same({}, executed(backend))
        assert.equal("close", reply.headers.connection)
      else
        assert.equal(200, reply.status, tostring(reply))
        assert.same(case[4], executed(backend))
        if case[5] then assert.equal(case[5], reply.body) end
      end
      next_is_served(lab, proxy)
      lab:close()
    end)
  end
end)

--- The bytes that the backend gets of a head are those of another one; so it has the same Host.
describe("the Host that the backend gets", function()
  local function received(bytes)
    local lab, backend, proxy = stage()
    local reply = lab:client({ to = proxy }):raw(bytes):wait()
    assert.equal(200, reply.status)
    local size = backend:conn(1).received
    lab:close()
    return size
  end

  local rows = {
    { "is that of an absolute target", "3.2.2", "GET http://target.example/ HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: target.example\r\n\r\n" },
    { "is that of an absolute target, with its port", "3.2.2",
    "GET http://h:8080/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h:8080\r\n\r\n" },
    { "is that of an absolute target in HTTP/1.0", "3.2.2", "GET http://target.example/ HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: target.example\r\n\r\n" },
    { "is the client's", "3.2", "GET / HTTP/1.1\r\nHost:   evil.example\r\n\r\n",
      "GET / HTTP/1.1\r\nHost:   evil.example\r\n\r\n" },
  }
  for _, case in ipairs(rows) do
    row(case, function() assert.equal(#case[4] + #"Via: 1.1 closerace\r\n", received(case[3])) end)
  end
end)

-- ------------------------------------------------------------------- limits --

describe("a head of the size that is allowed is served, and not one byte more:", function()
  local LIMIT = 512

  --- A head of that size, and a request line (with its CRLF) of that.
  local function head_of(size)
    local bare = get "X-A: \r\n"
    return get("X-A: " .. ("x"):rep(size - #bare) .. "\r\n")
  end

  local function line_of(size)
    return "GET /" .. ("x"):rep(size - #"GET / HTTP/1.1\r\n") .. " HTTP/1.1\r\n"
  end

  local rows = {
    { "the head at its limit", "5", head_of(LIMIT), 200 },
    { "the head one above", "5", head_of(LIMIT + 1), 431 },
    { "the head one above, empty lines in front", "2.2", "\r\n" .. head_of(LIMIT), 200 },
    { "the line at its limit", "3", line_of(LIMIT) .. HOST .. "\r\n", 431 },
    { "the line one above", "3", line_of(LIMIT + 1) .. HOST .. "\r\n", 414 },
    { "many fields", "5", get(("A:\r\n"):rep(LIMIT)), 431 },
  }
  for _, case in ipairs(rows) do
    row(case, function()
      for _, step in ipairs { #case[3], 1, 100 } do
        local lab, backend, proxy = stage { head_bytes = LIMIT }
        local exchange = lab:client({ to = proxy }):raw(case[3]:sub(1, step))
        for at = step + 1, #case[3], step do
          lab:advance(0)
          exchange:send(case[3]:sub(at, at + step - 1))
        end
        local reply = exchange:wait()
        assert.equal(case[4], reply.status, step)
        assert.equal(case[4] == 200 and 1 or 0, #executed(backend))
        assert.is_true(case[4] == 200 or reply.headers.connection == "close")
        lab:close()
      end
    end)
  end
end)

-- ---------------------------------------------------------------- responses --

local function ok(fields, body)
  return "HTTP/1.1 200 OK\r\n" .. fields .. "\r\n" .. (body or "")
end

local FOREIGN = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"
local TWO = "Content-Length: 2\r\n"
local CHUNKED = "Transfer-Encoding: chunked\r\n"

--- Name, section, what the backend says, the status that the client is told (it may also see a good head cut),
--- the body.
local responses = {
  { "another one behind it", "9.2", ok(TWO, "ok") .. FOREIGN, 200, "ok" },
  { "junk behind it", "9.2", ok(TWO, "okxxxx"), 200, "ok" },
  { "an empty line behind it", "9.2", ok(TWO, "ok\r\n"), 200, "ok" },
  { "another one behind its last chunk", "9.2", ok(CHUNKED, "2\r\nok\r\n0\r\n\r\n") .. FOREIGN, 200, "ok" },
  { "another one inside it", "6.2", ok("Content-Length: " .. #FOREIGN .. "\r\n", FOREIGN), 200, FOREIGN,
    fine = true },
  { "another one behind a 103", "15.2 of 9110", "HTTP/1.1 103 Early Hints\r\n\r\n" .. ok(TWO, "ok") .. FOREIGN, 200,
    "ok" },
  { "a 204 with a body", "6.3", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\nforeign", 204, "" },
  { "a 204 with another one behind it", "6.3", "HTTP/1.1 204 No Content\r\n\r\n" .. FOREIGN, 204, "" },
  { "a 204 in chunks", "6.3", "HTTP/1.1 204 No Content\r\n" .. CHUNKED .. "\r\n7\r\nforeign\r\n0\r\n\r\n", 204, "" },
  { "a 304 with a body", "6.3", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\nforeign", 304, "" },
  { "HEAD answered with a body", "6.3", ok("Content-Length: 7\r\n", "foreign"), 200, "", method = "HEAD" },
  { "HEAD answered with chunks", "6.3", ok(CHUNKED, "7\r\nforeign\r\n0\r\n\r\n"), 200, "", method = "HEAD" },
  { "HEAD answered with another one", "6.3", ok("") .. FOREIGN, 200, "", method = "HEAD" },
  { "a 103 with a body", "6.3", "HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\nforeign" .. ok(TWO, "ok"),
    502 },
  { "thirty 103s", "15.2 of 9110", ("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(30) .. ok(TWO, "ok"), 200, "ok",
    fine = true },
  { "thirty 103s and nothing more", "15.2 of 9110", ("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(30), 504 },
  { "a 101 that nobody asked for", "15.2.2 of 9110", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n" ..
    "Upgrade: x\r\n\r\n" .. FOREIGN, 502 },

  { "CL and TE", "6.3", ok(TWO .. CHUNKED, "2\r\nok\r\n0\r\n\r\n"), 502 },
  { "TE and CL", "6.3", ok(CHUNKED .. TWO, "2\r\nok\r\n0\r\n\r\n"), 502 },
  { "chunked in HTTP/1.0", "6.1", "HTTP/1.0 200 OK\r\n" .. CHUNKED .. "\r\n2\r\nok\r\n0\r\n\r\n", 502 },
  { "two different lengths", "6.3", ok(TWO .. "Content-Length: 9\r\n", "ok"), 502 },
  { "two equal lengths", "6.3", ok(TWO .. TWO, "ok"), 502 },
  { "Content-Length: 2, 2", "6.3", ok("Content-Length: 2, 2\r\n", "ok"), 502 },
  { "Content-Length: 2, 9", "6.3", ok("Content-Length: 2, 9\r\n", "ok"), 502 },
  { "Content-Length: +2", "6.3", ok("Content-Length: +2\r\n", "ok"), 502 },
  { "Content-Length: -2", "6.3", ok("Content-Length: -2\r\n", "ok"), 502 },
  { "Content-Length: 0x2", "6.3", ok("Content-Length: 0x2\r\n", "ok"), 502 },
  { "an empty length", "6.3", ok("Content-Length:\r\n", "ok"), 502 },
  { "a length beyond 64 bits", "6.3", ok("Content-Length: 18446744073709551618\r\n", "ok"), 502 },
  { "an unknown coding", "6.1", ok("Transfer-Encoding: x\r\n", "ok"), 502 },
  { "identity", "6.1", ok("Transfer-Encoding: identity\r\n", "ok"), 502 },
  { "chunked, identity", "6.1", ok("Transfer-Encoding: chunked, identity\r\n", "2\r\nok\r\n0\r\n\r\n"), 502 },
  { "chunked on two lines", "6.1", ok(CHUNKED .. CHUNKED, "2\r\nok\r\n0\r\n\r\n"), 502 },
  { "a blank in front of TE's colon", "5.1", ok("Transfer-Encoding : chunked\r\n", "2\r\nok\r\n0\r\n\r\n"), 502 },
  { "a vertical tab in front of chunked", "5.5 of 9110", ok("Transfer-Encoding: \vchunked\r\n",
    "2\r\nok\r\n0\r\n\r\n"),
    502 },
  { "a chunk size with 0x", "7.1", ok(CHUNKED, "0x2\r\nok\r\n0\r\n\r\n"), 502, cut = true },
  { "a chunk size beyond 64 bits", "7.1", ok(CHUNKED, "10000000000000002\r\nok\r\n0\r\n\r\n"), 502, cut = true },
  { "a negative chunk size", "7.1", ok(CHUNKED, "-2\r\nok\r\n0\r\n\r\n"), 502, cut = true },
  { "a blank behind a chunk size", "7.1", ok(CHUNKED, "2 \r\nok\r\n0\r\n\r\n"), 502, cut = true },
  { "a chunk size ended by a bare LF", "7.1", ok(CHUNKED, "2\nok\r\n0\r\n\r\n"), 502, cut = true },
  { "an extension ended by a bare LF", "7.1.1", ok(CHUNKED, "2;a\nok\r\n0\r\n\r\n"), 502, cut = true },
  { "data without its CRLF", "7.1", ok(CHUNKED, "2\r\nok0\r\n\r\n"), 502, cut = true },
  { "a trailer without a colon", "7.1.2", ok(CHUNKED, "2\r\nok\r\n0\r\nX\r\n\r\n"), 502, cut = true },
  { "Connection: Content-Length", "7.6.1 of 9110", ok("Connection: Content-Length\r\n" .. TWO, "ok"), 200, "ok",
    fine = true },
  { "Content-Length in a trailer", "6.5.1 of 9110", ok(CHUNKED, "2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"), 200,
    "ok",
    or_cut = true, fine = true },

  { "HTTP/0.9", "2.3", "<html>hello</html>\r\n\r\n", 502 },
  { "HTTP/2.0", "2.3", "HTTP/2.0 200 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "HTTP/1.2", "6.2 of 9110", "HTTP/1.2 200 OK\r\n" .. TWO .. "\r\nok", 200, "ok", fine = true },
  { "frames of HTTP/2", "2.3", "\0\0\18\4\0\0\0\0\0\0\3\0\0\0\x80\0\4\0\1\0\0\0\5\0\xff\xff\xff\r\n\r\n", 502 },
  { "ICY 200 OK", "2.3", "ICY 200 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "http/1.1", "2.3", "http/1.1 200 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "a blank in front of it", "4", " " .. ok(TWO, "ok"), 502 },
  { "an empty line in front of it", "4", "\r\n" .. ok(TWO, "ok"), 502 },
  { "two blanks in front of the status", "4", "HTTP/1.1  200 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "no blank behind the status", "4", "HTTP/1.1 200OK\r\n" .. TWO .. "\r\nok", 502 },
  { "a status of two digits", "4", "HTTP/1.1 20 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "a status of four digits", "4", "HTTP/1.1 2000 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "a status with a sign", "4", "HTTP/1.1 +20 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "a status below 100", "15 of 9110", "HTTP/1.1 099 OK\r\n" .. TWO .. "\r\nok", 502 },
  { "bare LFs only", "2.2", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 502 },
  { "a bare LF behind a field", "2.2", ok("X-A: 1\n" .. TWO, "ok"), 502 },
  { "a bare CR in a value", "2.2", ok("X-A: 1\rSet-Cookie: a\r\n" .. TWO, "ok"), 502 },
  { "a bare CR in the reason", "2.2", "HTTP/1.1 200 O\rK\r\n" .. TWO .. "\r\nok", 502 },
  { "a NUL in a value", "5.5 of 9110", ok("X-A: \0\r\n" .. TWO, "ok"), 502 },
  { "a folded line", "5.2", ok("X-A: 1\r\n 2\r\n" .. TWO, "ok"), 502 },
  { "a field without a colon", "5", ok("X-A\r\n" .. TWO, "ok"), 502 },
  { "a field without a name", "5", ok(": 1\r\n" .. TWO, "ok"), 502 },
  { "a blank in front of a colon", "5.1", ok("Content-Length : 2\r\n", "ok"), 502 },
}

describe("a response answers its own request and no other:", function()
  --- The connection stays open behind what is said: only the proxy's reading can tell what belongs to whom.  Where the
  --- response is `fine`, the connection would rightly be used again.
  for _, case in ipairs(responses) do
    row(case, function()
      local lab = race.lab()
      local backend = lab:backend { faults = { { on = "request_end", id = "a", say = case[3],
        close = case.fine and "fin" or "stall" } } }
      local proxy = lab:proxy { to = backend, retry = "never", reuse = "always", response_timeout_ms = 500 }
      local client = lab:client { to = proxy }
      local reply = client:request { method = case.method, id = "a" }
      if case.cut or case.or_cut and not reply.complete then
        assert.is_true(reply.status == 502 or not reply.complete, tostring(reply))
      else
        assert.equal(case[4], reply.status, tostring(reply))
        assert.is_true(reply.complete, tostring(reply))
        if case[5] then assert.equal(case[5], reply.body) end
      end
      assert.is_false(reply.invalid, tostring(reply))
      local after = client:request { path = "/bytes/10", id = "b" }
      assert.equal(10, #after.body)
      assert.verdict("clean", lab, "b")
      lab:close()
    end)
  end
end)

describe("what no rule of framing hides:", function()
  local rows = {
    { "a 204 has no Content-Length", "8.6 of 9110", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n" },
    { "a 103 has no Content-Length", "8.6 of 9110", "HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n" ..
      "HTTP/1.1 204 No Content\r\n\r\n" },
  }
  for _, case in ipairs(rows) do
    row(case, function()
      local lab = race.lab()
      local bare = case[3]:gsub("Content%-Length: 7\r\n", "")
      local sizes = {}
      for i, say in ipairs { bare, case[3] } do
        local backend = lab:backend { faults = { { on = "request_end", say = say, close = "stall" } } }
        local reply = lab:client({ to = lab:proxy { to = backend } }):request {}
        assert.equal(204, reply.status)
        sizes[i] = reply.received
      end
      assert.equal(sizes[1], sizes[2])
      lab:close()
    end)
  end

  row({ "HEAD is refused without a body", "9.3.2 of 9110" }, function()
    for _, bytes in ipairs { "HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n" } do
      local lab, _, proxy = stage()
      local reply = lab:client({ to = proxy }):raw(bytes):wait()
      local received = 0
      for _, entry in ipairs(lab:trace()) do
        if entry.who == "client" and entry.what == "received" then received = received + entry.bytes end
      end
      assert.equal(400, reply.status)
      assert.equal(#reply.head, received)
      lab:close()
    end
  end)
end)
