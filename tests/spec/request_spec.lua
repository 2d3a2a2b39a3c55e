--- closerace request: requests over one connection, none of them repeated.
local served = require "served"
local shell = require "shell"

local closerace = shell.program "closerace"

local function request(arguments) return shell.run(("%s request %s"):format(closerace, arguments)) end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

--- What is said of each request, without blanks that only line things up.
local function lines_of(result)
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = (line:gsub(" +", " ")) end
  return lines
end

describe("closerace request", function()
  after_each(served.stop)
  after_each(shell.clean)

  it("sends one request after the other over one connection, and says what each was told", function()
    local origin = served.backend()
    local result = request(("%s/bytes/5 %s/bytes/1 %s/status/503"):format(origin.url, origin.url, origin.url))
    assert.equal("", result.stderr)
    assert.same({
      "200 5 bytes new connection GET /bytes/5", "200 1 byte same connection GET /bytes/1",
      "503 36 bytes same connection GET /status/503",
    }, lines_of(result))
    assert.equal(0, result.status)                     -- each answer came whole
    served.finish(origin)
    assert.equal(3, select(2, origin.output:gsub("executed conn=1 ", "")))
  end)

  it("sends what it is asked to: method, headers, body, id, so many times", function()
    local origin = served.backend()
    local result = request(("-n 2 %s/bytes/1 --next -d amount=10 --id p1 %s/pay --next -X PUT -H 'X-Closerace-Id: p2' "
      .. "--data '' %s/echo --next -X HEAD %s/bytes/9"):format(origin.url, origin.url, origin.url, origin.url))
    assert.equal(0, result.status, result.stderr)
    local lines = lines_of(result)
    assert.equal(5, #lines)
    assert.equal("200 1 byte same connection GET /bytes/1", lines[2])
    assert.truthy(lines[3]:find "^200 %d+ bytes same connection POST /pay id=p1$", lines[3])
    assert.equal("200 0 bytes same connection PUT /echo id=p2", lines[4])
    assert.equal("200 0 bytes same connection HEAD /bytes/9", lines[5])
    served.finish(origin)
    has(origin.output, "id=p1 method=POST path=/pay")
    has(origin.output, "id=p2 method=PUT path=/echo")
  end)

  it("sends a body, and Host, as curl does", function()
    local origin = served.backend()
    local result = request(("-d amount=10 %s/echo"):format(origin.url))
    assert.same({ "200 9 bytes new connection POST /echo" }, lines_of(result))
    served.finish(origin)
    has(origin.output, "read=" .. #("POST /echo HTTP/1.1\r\nHost: %s\r\nContent-Type: "
      .. "application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\namount=10"):format(origin.address))
  end)

  it("never repeats a request, whatever became of it, and ends with 1", function()
    for fault, told in pairs {
      ["on=executed,close=rst"] = "reset 0 bytes", ["on=executed,close=fin"] = "closed 0 bytes",
      ["on=arrival,close=rst"] = "reset 0 bytes", ["on=response_head,close=fin"] = "truncated 0 bytes",
      ["on=executed,close=stall"] = "timeout 0 bytes",
    } do
      local origin = served.backend("--fault conn=1,request=2," .. fault)
      local result = request(("--timeout-ms %d %s/warm --next --id v %s/bytes/5"):format(
        told:find "timeout" and 200 or 60000, origin.url, origin.url))
      assert.equal(1, result.status, fault)
      assert.equal(told .. " same connection GET /bytes/5 id=v", lines_of(result)[2], fault)
      assert.equal("closerace request: 1 of 2 requests got no complete answer\n", result.stderr)
      served.finish(origin)
      assert.equal(1, select(2, origin.output:gsub("\nattempt conn=%d+ request=%d+ id=v ", "")), fault)
    end
  end)

  it("takes another connection where that one has ended, and says so", function()
    local origin = served.backend "--fault on=response_end,close=fin,announce=true,request=1,times=1"
    local result = request(("-n 3 %s/bytes/1"):format(origin.url))
    assert.same({
      "200 1 byte new connection GET /bytes/1", "200 1 byte new connection GET /bytes/1",
      "200 1 byte same connection GET /bytes/1",
    }, lines_of(result))
    assert.equal(0, result.status)
    served.finish(origin)
  end)

  it("says that nobody listens there", function()
    local result = request "127.0.0.1:1"
    assert.equal(1, result.status)
    assert.same({ "refused 0 bytes new connection GET /" }, lines_of(result))
  end)

  it("needs no http:// and knows localhost", function()
    local origin = served.backend()
    local port = origin.address:match ":(%d+)$"
    local result = request(("localhost:%s/bytes/2?a=b#c HTTP://127.0.0.1:%s"):format(port, port))
    assert.equal(2, result.status)
    has(result.stderr, "localhost:" .. port .. " and 127.0.0.1:" .. port)
    result = request(("localhost:%s/bytes/2?a=b#c HTTP://LOCALHOST:%s?x"):format(port, port))
    assert.equal("", result.stderr)
    assert.equal("200 2 bytes new connection GET /bytes/2?a=b", lines_of(result)[1])
    assert.truthy(lines_of(result)[2]:find "same connection GET /%?x$")
    served.finish(origin)
  end)

  it("interrupted, ends with 130", function()
    local origin = served.backend "--fault on=executed,close=stall"
    local process = shell.start(("%s request %s/a"):format(closerace, origin.url))
    origin:read_until "ended "
    process:signal "INT"
    assert.equal(130, process:wait())
    served.finish(origin)
  end)

  it("says before it sends anything what is wrong with its command line", function()
    for arguments, why in pairs {
      [""] = "no URL is given; see closerace request --help",
      ["--next"] = "no URL is given",
      ["-d x --next"] = "no URL is given",
      ["https://127.0.0.1:1/"] = "https://127.0.0.1:1/: only http:// is spoken here",
      ["ftp://127.0.0.1:1/"] = "only http:// is spoken here",
      ["http:///x"] = "http:///x: a host is missing",
      ["http://me:secret@127.0.0.1:1/"] = "a name and a password are not sent; use -H 'Authorization: …'",
      ["127.0.0.1:99999/"] = "127.0.0.1:99999",
      ["127.0.0.1:x/"] = "127.0.0.1:x",
      ["'127.0.0.1:1/a b'"] = "no blanks or control characters",
      ["no-such-host.invalid:1/"] = "no-such-host.invalid:1",
      ["-X 'A B' 127.0.0.1:1/"] = "--request: expected a method, got 'A B'",
      ["-H NoColon 127.0.0.1:1/"] = "--header: expected NAME: VALUE",
      ["-H 'Content-Length: 3' -d abc 127.0.0.1:1/"] = "--header: expected NAME: VALUE, but not the framing",
      ["-H 'Transfer-Encoding: chunked' 127.0.0.1:1/"] = "--header: expected NAME: VALUE, but not the framing",
      ["-d a -d b 127.0.0.1:1/"] = "--data: expected one body, got 'b'",
      ["--id '' 127.0.0.1:1/"] = "--id: expected",
      ["-n 0 127.0.0.1:1/"] = "--times: expected a whole number from 1 to 100000, got '0'",
      ["-n 100001 127.0.0.1:1/"] = "--times: expected a whole number from 1 to 100000, got '100001'",
      ["--timeout-ms 0 127.0.0.1:1/"] = "--timeout-ms: expected a whole number from 1",
      ["--retry 3 127.0.0.1:1/"] = "unknown option '--retry'",
    } do
      local result = request(arguments)
      assert.equal(2, result.status, arguments .. result.stdout .. result.stderr)
      assert.equal("", result.stdout, arguments)
      has(result.stderr, why)
      assert.is_nil(result.stderr:find("%[closerace") or result.stderr:find("lab:client", 1, true), result.stderr)
    end
    local origin = served.backend()
    assert.equal(2, request(origin.url .. " --next https://127.0.0.1:1/").status)
    served.finish(origin)
    assert.is_nil(origin.output:find("attempt", 1, true))
  end)

  it("has a help", function()
    local help = request "--help"
    assert.equal(0, help.status)
    has(help.stdout, "usage: closerace request")
    for _, option in ipairs { "-X, --request", "-d, --data", "-H, --header", "--id", "-n, --times", "--next" } do
      has(help.stdout, option)
    end
    has(help.stdout, "exit status: 0 ")
  end)
end)
