--- curl, as people use it, with closerace-proxy between it and an origin.

local served = require "served"
local shell = require "shell"

local CURL = served.foreign .. "curl -q -sS --noproxy '*' "
local PATTERN = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"
local MIB = 1 << 20

--- Status, connections made for it, bytes of the body.
local EACH = "%%{http_code} %%{num_connects} %%{size_download}"

local with_node = served.no_node and function(name) pending(name .. ": " .. served.no_node) end or it

--- The first n bytes of what the backend's /bytes and /chunked send.
local function pattern(n)
  return PATTERN:rep(n // #PATTERN) .. PATTERN:sub(1, n % #PATTERN)
end

--- Run curl; fail where it does.
-- @return what it wrote
local function curl(words, ...)
  local result = shell.run(CURL .. words:format(...))
  if result.status ~= 0 then error(("curl ended with %d: %s"):format(result.status, result.stderr), 2) end
  return result.stdout
end

--- Run curl with -i: the final response, as a table with status, headers (lower case) and body.
local function ask(words, ...)
  local text = curl("-i " .. words, ...)
  while text:find "^HTTP/1.1 1" do text = text:gsub("^.-\r\n\r\n", "", 1) end
  local head, body = text:match "^(.-\r\n)\r\n(.*)$"
  local reply = { status = tonumber(head:match "^HTTP/1.1 (%d+)"), headers = {}, body = body, head = head }
  for name, value in head:gmatch "\r\n([^:\r\n]+): ([^\r\n]*)" do reply.headers[name:lower()] = value end
  return reply
end

--- A line of curl's own numbers for each transfer, instead of the body.
local function numbers(format, words, ...)
  local lines = {}
  for line in curl("-o /dev/null -w '" .. format .. "\\n' " .. words, ...):gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return lines
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

--- A head without what belongs to one connection, and without the time.
local function end_to_end(head)
  for _, name in ipairs { "Date", "Connection", "Keep%-Alive" } do
    head = head:gsub("\r\n" .. name .. ": [^\r]*", "")
  end
  return head
end

--- Fail where two files differ.
local function same_files(a, b)
  local result = shell.run(("cmp '%s' '%s'"):format(a, b))
  if result.status ~= 0 then error(result.stdout .. result.stderr, 2) end
end

local function stop()
  shell.clean()
  served.stop()
end

describe("curl through the proxy", function()
  after_each(stop)

  it("gets a body, of a known length or in chunks", function()
    local proxy = served.proxy(served.backend())
    for _, path in ipairs { "/bytes/100000", "/chunked/100000", "/close/100000" } do
      local reply = ask("%s%s", proxy.url, path)
      assert.equal(200, reply.status)
      assert.is_true(reply.body == pattern(100000), path)
      assert.equal("1.1 closerace", reply.headers.via)
    end
    assert.equal("100000", ask("%s/bytes/100000", proxy.url).headers["content-length"])
  end)

  it("asks for a head alone and waits for no body", function()
    local proxy = served.proxy(served.backend())
    local reply = ask("-I %s/bytes/100000", proxy.url)
    assert.same({ 200, "100000", "" }, { reply.status, reply.headers["content-length"], reply.body })
    assert.same({ "200 1 0", "200 0 0", "200 0 0" }, numbers(EACH, "-I '%s/{bytes,chunked,delay}/5'", proxy.url))
  end)

  it("posts a form, and the backend has executed it once", function()
    local backend = served.backend()
    local proxy = served.proxy(backend)
    assert.equal("amount=10", curl("-d amount=10 -H 'X-Closerace-Id: p1' %s/echo", proxy.url))
    local attempts = served.ledger(backend, "p1")
    assert.equal(1, #attempts)
    assert.same({ "POST", "/echo", 1, 1 },
      { attempts[1].method, attempts[1].path, attempts[1].executed, attempts[1].answered_whole })
  end)

  it("sends what comes from a pipe in chunks", function()
    local proxy = served.proxy(served.backend())
    local result = shell.run(("head -c 1000000 /dev/zero | tr '\\0' 'a' | %s -T - %s/echo"):format(CURL, proxy.url))
    assert.equal(0, result.status, result.stderr)
    assert.is_true(result.stdout == ("a"):rep(1000000))
  end)

  it("puts 16 MiB when it was told to continue, and gets the same back", function()
    local proxy = served.proxy(served.backend())
    local folder = shell.folder()
    local file = shell.write(folder .. "/sent", pattern(16 * MIB))
    curl("-H 'Expect: 100-continue' --expect100-timeout 60 -T %s -o %s/back -D %s/head %s/echo", file, folder, folder,
      proxy.url)
    has(io.open(folder .. "/head"):read "a", "HTTP/1.1 100 Continue\r\n")
    same_files(file, folder .. "/back")
  end)

  it("does not send the body that was refused", function()
    local proxy = served.proxy(served.backend())
    local file = shell.folder() .. "/sparse"
    assert.equal(0, shell.run("truncate -s 1G " .. file).status)
    assert.same({ "413 0" }, numbers("%%{http_code} %%{size_upload}",
      "-H 'Expect: 100-continue' --expect100-timeout 60 -T %s %s/echo", file, proxy.url))
    assert.equal("hello", curl("-d hello %s/echo", proxy.url))
  end)

  it("downloads 64 MiB, byte for byte", function()
    local proxy = served.proxy(served.backend())
    local folder = shell.folder()
    local expected = shell.write(folder .. "/expected", pattern(64 * MIB))
    curl("-o %s/got %s/bytes/%d", folder, proxy.url, 64 * MIB)
    same_files(expected, folder .. "/got")
  end)

  it("uses its connection again, and so does the proxy", function()
    local backend = served.backend()
    local proxy = served.proxy(backend)
    assert.same({ "200 1", "200 0", "200 0", "200 0", "200 0" },
      numbers("%%{http_code} %%{num_connects}", "%s/id/k[1-5]/", proxy.url))
    for i = 1, 5 do assert.equal(1, served.ledger(backend, "k" .. i)[1].conn) end
  end)

  it("asks for fifty things in parallel, and gets each its own", function()
    local backend = served.backend()
    local proxy = served.proxy(backend)
    local folder = shell.folder()
    curl("-Z --parallel-max 10 --no-progress-meter -o '%s/#1' '%s/id/z[1-50]/' ", folder, proxy.url)
    for i = 1, 50 do
      local file <close> = assert(io.open(("%s/%d"):format(folder, i)))
      has(file:read "a", ("GET /id/z%d/ id=z%d "):format(i, i))
      assert.equal(1, #served.ledger(backend, "z" .. i))
    end
  end)

  it("of HTTP/1.0 has a connection for each request, unless it asks to keep it", function()
    local proxy = served.proxy(served.backend())
    -- Without a length only the end of the connection tells that the response is whole.
    for kind, kept in pairs { bytes = true, chunked = false } do
      local fresh, again = "200 1 9", kept and "200 0 9" or "200 1 9"
      assert.same({ fresh, fresh, fresh }, numbers(EACH, "--http1.0 '%s/%s/9?[1-3]'", proxy.url, kind))
      assert.same({ fresh, again, again },
        numbers(EACH, "--http1.0 -H 'Connection: keep-alive' '%s/%s/9?[1-3]'", proxy.url, kind))
    end
  end)

  it("gets an error, which is the origin's own", function()
    local proxy = served.proxy(served.backend())
    for _, status in ipairs { 404, 500, 502, 503 } do
      local reply = ask("%s/status/%d", proxy.url, status)
      assert.equal(status, reply.status)
      assert.is_nil(reply.headers["proxy-status"])
      assert.equal("1.1 closerace", reply.headers.via)
    end
    assert.equal(22, shell.run(CURL .. "-f " .. proxy.url .. "/status/404").status)
  end)

  it("sends a head as long as the proxy was told, and not a byte longer", function()
    local proxy = served.proxy(served.backend(), "--head_bytes 1024")
    local lines = "GET /bytes/2 HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
    local function of(size)
      local value = ("y"):rep(size - #lines)
      return ask("-H 'Host: a' -H 'User-Agent:' -H 'Accept:' -H 'X: %s' %s/bytes/2", value, proxy.url)
    end
    local fits, long = of(1024), of(1025)
    assert.same({ 200, "01" }, { fits.status, fits.body })
    assert.equal(431, long.status)
    has(long.headers["proxy-status"], "closerace; error=http_request_error")
  end)
end)

describe("what an application says to curl", function()
  local origin, proxy

  setup(function()
    if served.no_node then return end
    origin = served.origin()
    proxy = served.proxy(origin)
  end)

  teardown(stop)

  with_node("passes the proxy unaltered, but for Via", function()
    for _, words in ipairs { "%s/text", "%s/gzip", "-I %s/text", "-r 5-20 %s/text", "-r 99999- %s/text",
      "-H 'If-None-Match: \"t1\"' %s/text", "%s/cookies", "%s/redirect?status=302", "-d x %s/echo" } do
      local direct, through = ask(words, origin.url), ask(words, proxy.url)
      assert.equal(end_to_end(direct.head) .. "Via: 1.1 closerace\r\n", end_to_end(through.head))
      assert.is_true(direct.body == through.body)
    end
  end)

  with_node("may be asked for in ranges, and a download is resumed", function()
    local part = ask("-r 4-14 %s/text", proxy.url)
    assert.same({ 206, "bytes 4-14/4500", "quick brown" }, { part.status, part.headers["content-range"], part.body })
    assert.equal(416, ask("-r 4500- %s/text", proxy.url).status)
    local file = shell.write(shell.folder() .. "/part", ("The quick brown fox jumps over the lazy dog.\n"):rep(20))
    curl("-C - -o %s %s/text", file, proxy.url)
    assert.equal(("The quick brown fox jumps over the lazy dog.\n"):rep(100), io.open(file):read "a")
  end)

  with_node("is compressed where the origin has compressed it", function()
    local text = ("The quick brown fox jumps over the lazy dog.\n"):rep(100)
    assert.equal(text, curl("--compressed %s/gzip", proxy.url))
    local raw = ask("%s/gzip", proxy.url)
    assert.equal("gzip", raw.headers["content-encoding"])
    assert.equal(tostring(#raw.body), raw.headers["content-length"])
    assert.is_true(#raw.body < #text // 10)
  end)

  with_node("may be a redirect, which curl follows with its method", function()
    local seen = curl("-L -d amount=10 '%s/redirect?status=303'", proxy.url)
    has(seen, '"method":"GET","url":"/seen?landed"')
    seen = curl("-L -d amount=10 '%s/redirect?status=307'", proxy.url)
    has(seen, '"method":"POST","url":"/seen?landed"')
    has(seen, '"Content-Length","9"')
  end)

  with_node("may set two cookies, and gets both back", function()
    local jar = shell.folder() .. "/jar"
    assert.equal('"mine=0"', curl("-c %s -b mine=0 %s/cookies", jar, proxy.url))
    local back = curl("-b %s %s/cookies", jar, proxy.url)
    has(back, "a=1")
    has(back, 'b=\\"2 3\\"')
    local head = ask("%s/cookies", proxy.url).head
    has(head, "\r\nSet-Cookie: a=1; Path=/\r\n")
    has(head, "\r\nSet-Cookie: b=\"2 3\"; HttpOnly\r\n")
  end)

  with_node("may end with trailers, which pass, and the connection is used again", function()
    assert.same({ "200 1 11", "200 0 11" }, numbers(EACH, "-H 'TE: trailers' '%s/trailers?[1-2]'", proxy.url))
    assert.equal("5\r\nsome \r\n6\r\nbytes\n\r\n0\r\nX-Sum: 11\r\n\r\n", curl("--raw %s/trailers", proxy.url))
  end)

  with_node("may begin with interim responses, and they come through", function()
    local text = curl("-i %s/hints", proxy.url)
    local first = text:match "^HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n.-\r\n\r\n(.*)$"
    local second = first and first:match "^HTTP/1.1 102 Processing\r\n.-\r\n\r\n(.*)$"
    has(assert(second, text), "HTTP/1.1 200 OK\r\n")
    has(second, '"final"')
  end)
end)

describe("what curl says to an application", function()
  local origin, proxy

  setup(function()
    if served.no_node then return end
    origin = served.origin()
    proxy = served.proxy(origin)
  end)

  teardown(stop)

  with_node("may have an odd path, which is not tidied up", function()
    for _, path in ipairs { "/../a/./b//c?x=../y", "//x", "/%", "/a%2fb%00", "/?", "/a?b?c", "/a;b=c", "/a|b^`{}[]",
      "/*", "/'", ("/%s"):format(("x"):rep(8000)) } do
      local seen = curl("-g --path-as-is %s", shell.quoted(proxy.url .. path))
      has(seen, ('"method":"GET","url":"%s","version"'):format(path))
    end
    has(curl("-X OPTIONS --request-target '*' %s", proxy.url), '"url":"*"')
  end)

  with_node("comes with its own fields, in their order and spelling", function()
    local seen = curl("-H 'Host: example.org' -H 'x-LOWER: 1' -H 'X-Twice: a' -H 'X-Twice: b' -H 'X-Empty;' -A me "
      .. "-H 'Accept:' %s/seen", proxy.url)
    has(seen, '"headers":["Host","example.org","User-Agent","me","x-LOWER","1","X-Twice","a","X-Twice","b","X-Empty",""'
      .. ',"Via","1.1 closerace"]')
  end)

  with_node("may be 32 KiB by itself, and no more", function()
    local folder = shell.folder()
    local function of(size)
      shell.write(folder .. "/fields", "X: " .. ("y"):rep(size))
      return ask("-H @%s/fields %s/seen", folder, proxy.url).status
    end
    assert.equal(200, of(32000))
    assert.equal(431, of(33000))
  end)
end)

describe("a slow or interrupted curl", function()
  after_each(stop)

  -- The backend could send all of it in a fraction of the time; what curl has not taken yet would stand in the proxy.
  it("holds the backend back instead of filling the proxy", function()
    local proxy = served.proxy(served.backend())
    curl("-o /dev/null %s/bytes/1", proxy.url)
    local before = served.peak_kb(proxy)
    assert.same({ "200 " .. 24 * MIB }, numbers("%%{http_code} %%{size_download}", "--limit-rate 24M %s/bytes/%d",
      proxy.url, 24 * MIB))
    assert.is_true(served.peak_kb(proxy) - before < 4 * 1024, ("%d kB"):format(served.peak_kb(proxy) - before))
  end)

  it("is held back by a backend that stops reading, and told so", function()
    local proxy = served.proxy(served.backend "--fault on=request_byte,at=100000,close=stall",
      "--response_timeout_ms 500")
    local file = shell.folder() .. "/sparse"
    assert.equal(0, shell.run("truncate -s 64M " .. file).status)
    local before = served.peak_kb(proxy)
    local reply = ask("-T %s %s/echo", file, proxy.url)
    assert.equal(504, reply.status)
    has(reply.headers["proxy-status"], "http_response_timeout")
    assert.is_true(served.peak_kb(proxy) - before < 4 * 1024, ("%d kB"):format(served.peak_kb(proxy) - before))
  end)

  with_node("that took enough of an endless response ends it at the origin, too", function()
    local origin = served.origin()
    local proxy = served.proxy(origin)
    local result = shell.run(("%s %s/endless | head -c 1000000 | wc -c"):format(CURL, proxy.url))
    assert.equal(1000000, tonumber(result.stdout))
    origin:read_until "^endless closed"
    assert.equal("hello", curl("-d hello %s/echo", proxy.url))
  end)

  -- curl's FIN may be the end of its sending only, so the proxy waits on for the response.
  it("that is ended while it waits is in nobody's way", function()
    local backend = served.backend()
    local proxy = served.proxy(backend)
    local client = shell.start(CURL .. proxy.url .. "/id/w1/delay/86400000")
    backend:read_until "^executed conn=1 request=1 id=w1"
    client:signal "INT"
    assert.equal(128 + 2, client:wait())
    assert.equal(28, shell.run(CURL .. "--max-time 0.3 " .. proxy.url .. "/delay/86400000").status)
    assert.equal("hello", curl("-d hello %s/echo", proxy.url))
    local attempts = served.ledger(backend, "w1")
    assert.same({ 1, 1, 0 }, { #attempts, attempts[1].executed, attempts[1].answered })
  end)
end)

describe("the close race as curl meets it", function()
  after_each(stop)

  --- The second request on the backend's first connection arrives, is not read, and is answered by a reset.
  local function race(words)
    local backend = served.backend "--fault on=arrival,conn=1,request=2,close=rst"
    local proxy = served.proxy(backend)
    assert.equal("0", curl("%s/bytes/1", proxy.url))
    return ask(words .. " %s/id/v1/pay", proxy.url), served.ledger(backend, "v1")
  end

  it("is 502 for a POST, with the reason, and the POST ran nowhere", function()
    local reply, attempts = race "-d amount=10"
    assert.equal(502, reply.status)
    assert.equal('closerace; error=connection_terminated; details="method not idempotent"',
      reply.headers["proxy-status"])
    assert.same({ 1, 0 }, { #attempts, attempts[1].executed })
    assert.is_true(attempts[1].unread > 0)
  end)

  it("is not seen with a GET: it was sent again", function()
    local reply, attempts = race "-G"
    assert.equal(200, reply.status)
    assert.equal('closerace; details="attempt 2: idempotent method"', reply.headers["proxy-status"])
    assert.same({ 2, 0, 1 }, { #attempts, attempts[1].executed, attempts[2].executed })
  end)

  it("is 502 for a POST that ran and was never answered, and it ran once", function()
    local backend = served.backend "--fault on=executed,id=v1,close=fin"
    local proxy = served.proxy(backend)
    assert.equal(502, ask("-d amount=10 %s/id/v1/pay", proxy.url).status)
    local attempts = served.ledger(backend, "v1")
    assert.same({ 1, 1 }, { #attempts, attempts[1].executed })
  end)

  -- A cut behind a megabyte is met by curl itself; one that comes before the proxy has sent anything is told as 502.
  it("a response that was cut off does not look whole", function()
    for _, kind in ipairs { "bytes", "chunked" } do
      for _, ending in ipairs { "fin", "rst" } do
        local proxy = served.proxy(served.backend("--fault on=response_byte,at=1000000,close=" .. ending))
        local result = shell.run(("%s %s/%s/2000000"):format(CURL, proxy.url, kind))
        assert.equal(18, result.status, result.stderr)
        assert.is_true(#result.stdout > 0 and #result.stdout < 1000000)
        assert.is_true(pattern(1000000):sub(1, #result.stdout) == result.stdout)
      end
    end
  end)
end)
