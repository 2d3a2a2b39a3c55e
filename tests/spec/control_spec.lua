--- The control API of closerace-backend.
local race = require "closerace"
local served = require "served"
local shell = require "shell"

local FAULT = "-H 'Content-Type: text/x-closerace-fault' "

describe("closerace-backend's control API", function()
  local origin, folder

  before_each(function() folder = shell.folder() end)

  after_each(function()
    served.stop()
    shell.clean()
  end)

  local function start(options)
    origin = served.backend("--control 127.0.0.1:0 " .. (options or ""))
    origin.control = origin:read_until "control on (%S+)"
  end

  --- Ask it by curl.
  -- @return status, content, head
  local function ask(path, options)
    local result = shell.run(("curl -sS -D %s/head -w '\n%%{http_code}' %s 'http://%s%s'"):format(folder, options or "",
      origin.control, path))
    assert.equal("", result.stderr)
    local content, status = result.stdout:match "^(.*)\n(%d+)$"
    local head <close> = io.open(folder .. "/head")
    return tonumber(status), content, head:read "a"
  end

  local function n_faults()
    local _, content = ask "/faults"
    return select(2, content:gsub('"fault"', ""))
  end

  it("refuses what a browser sends for a page of another site", function()
    start()
    local body = "--data-binary on=accept,close=rst,optional=true "
    for options, status in pairs {
      ["-H 'Host: evil.example' -H 'Origin: http://evil.example' -H 'Content-Type: text/plain' " .. body] = 403,
      [FAULT .. "-H 'Host: evil.example' " .. body] = 403,
      [FAULT .. "-H 'Host: 127.0.0.1.evil.example:8082' " .. body] = 403,
      [FAULT .. "-H 'Origin: http://evil.example' " .. body] = 403,
      [FAULT .. "-H 'Origin: null' " .. body] = 403,
      [FAULT .. "-H 'Origin: http://localhost:3000' " .. body] = 403,
      [FAULT .. "-H 'Sec-Fetch-Site: cross-site' " .. body] = 403,
      [FAULT .. "-H 'Sec-Fetch-Site: same-site' " .. body] = 403,
      ["-X DELETE -H 'Sec-Fetch-Site: cross-site' "] = 403,
      ["-H 'Content-Type: text/plain;charset=UTF-8' " .. body] = 415,
      ["-H 'Content-Type: multipart/form-data; boundary=x' " .. body] = 415,
      ["-H 'Content-Type:' " .. body] = 415,
      [body] = 415,
    } do
      local got, content = ask("/faults", options)
      assert.equal(status, got, options .. content)
    end
    assert.equal(0, n_faults())
    assert.equal(403, (ask("/ledger", "-H 'Host: evil.example'")))
    assert.equal(403, (ask("/ledger", "-I -H 'Host: evil.example'")))
    local lab <close> = race.lab { real_time = true }
    assert.equal(400, lab:client({ to = origin.control })
      :raw("GET /ledger HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"):wait().status)
  end)

  it("serves whoever names this machine, and pages of its own", function()
    start()
    for _, options in ipairs {
      "", "-H 'Host: localhost'", "-H 'Host: [::1]:1'", "-H 'Host: 127.0.0.9:80'", "-H 'Sec-Fetch-Site: none'",
      ("-H 'Origin: http://%s' -H 'Sec-Fetch-Site: same-origin'"):format(origin.control),
    } do
      assert.equal(200, (ask("/faults", FAULT .. "-d on=accept,close=rst,conn=9,optional=true " .. options)), options)
    end
    assert.equal(6, n_faults())
  end)

  it("answers a POST with what it has added", function()
    start()
    for n = 1, 3 do
      local status, content = ask("/faults", FAULT .. ("-d on=executed,close=rst,optional=true,conn=%d"):format(n))
      assert.equal(200, status)
      assert.equal(1, select(2, content:gsub('"fault"', "")))
      assert.matches('"conn=' .. n .. ",on=executed", content)
    end
    local file = shell.write(folder .. "/two",
      "on=accept,close=rst,optional=true\r\n\non=idle,close=fin,optional=true\n")
    local _, content = ask("/faults", FAULT .. "--data-binary @" .. file)
    assert.equal(2, select(2, content:gsub('"fault"', "")))
    assert.equal(5, n_faults())
    assert.equal(200, (ask("/faults", "-X DELETE")))
    assert.equal(0, n_faults())
  end)

  it("adds all lines of a POST or none, and names the one that is wrong", function()
    start()
    for body, complaint in pairs {
      ["on=accept,close=rst\non=bogus,close=fin\n"] = "line 2: on: 'bogus'",
      ["on=accept,close=rst\0on=bogus"] = "byte 20 of the body is NUL",
      ["\n\n"] = "no fault in the body",
      [""] = "no fault in the body",
      [("x"):rep(10000)] = "line 1: too long",
    } do
      local file <const> = folder .. "/body"
      shell.write(file, body)
      local status, content = ask("/faults", FAULT .. "--data-binary @" .. file)
      assert.equal(400, status)
      assert.truthy(content:find(complaint, 1, true), content)
    end
    assert.equal(0, n_faults())
  end)

  it("refuses a body that is too long, before it is sent where the client asks", function()
    start()
    local file = folder .. "/body"
    shell.write(file, ("on=accept,close=rst\n"):rep(60000))
    for options, early in pairs { ["-H 'Expect: 100-continue'"] = true, ["-H Expect:"] = false,
      ["-H Expect: -H 'Transfer-Encoding: chunked'"] = false } do
      local status, _, head = ask("/faults", ("%s %s --data-binary @%s"):format(FAULT, options, file))
      assert.equal(413, status, options)
      assert.equal(early, head:find "\nConnection: close\r" ~= nil)
      assert.falsy(head:find "^HTTP/1.1 100")
    end
    local status, _, head = ask("/faults", FAULT .. "-d on=accept,close=rst -H 'Expect: bogus'")
    assert.equal(417, status)
    assert.falsy(head:find "^HTTP/1.1 100")
    assert.equal(0, n_faults())
  end)

  it("knows its paths, methods and parameters", function()
    start()
    os.execute(("curl -s -o /dev/null 'http://%s/id/x[1-3]/'"):format(origin.address))
    local _, all = ask "/ledger"
    local _, one = ask "/ledger?id=x2"
    local _, none = ask "/ledger?id=x"
    assert.equal(3, select(2, all:gsub('"id"', "")))
    assert.equal(1, select(2, one:gsub('"id":"x2"', "")))
    assert.equal(1, select(2, one:gsub('"id"', "")))
    assert.equal("[]", (none:gsub("%s", "")))
    for path, complaint in pairs { ["/ledger?ID=x1"] = "'ID'", ["/ledger?id=x1&limit=3"] = "'limit'",
      ["/ledger?id"] = "'id'",
      ["/ledger?id=x1&id=x2"] = "'id'", ["/faults?id=x1"] = "'id'", ["/ledger?id=x1%00"] = "'id'" } do
      local status, content = ask(path)
      assert.equal(400, status, path)
      assert.truthy(content:find(complaint .. " is not a parameter", 1, true), content)
    end
    assert.equal(400, (ask("/faults?x=1", "-X DELETE")))
    assert.equal(404, (ask "/"))
    assert.equal(404, (ask "/ledger/"))
    local status, _, head = ask("/ledger", "-X POST " .. FAULT)
    assert.equal(405, status)
    assert.matches("\nAllow: GET, HEAD\r", head)
    status, _, head = ask("/faults", "-X PUT")
    assert.equal(405, status)
    assert.matches("\nAllow: GET, HEAD, POST, DELETE\r", head)
  end)

  it("answers HEAD as GET, without the content", function()
    start()
    for _, path in ipairs { "/ledger", "/faults" } do
      local status, content = ask(path, "-I")
      assert.equal(200, status)
      assert.matches("^HTTP/1.1 200 OK.*\nContent%-Type: application/json\r\n.*\r\n\r\n$", content)
    end
  end)

  it("refuses a fault that cannot happen for lack of a right, as the command line does", function()
    if race.has "vanish" and not os.execute "command -v setpriv >/dev/null" then return pending "needs setpriv" end
    local drop = race.has "vanish" and "setpriv --bounding-set -net_admin --inh-caps -net_admin " or ""
    local program = shell.program "closerace-backend"
    origin = shell.start(drop .. program .. " --listen 127.0.0.1:0 --control 127.0.0.1:0")
    origin.control = origin:read_until "control on (%S+)"
    local status, content = ask("/faults", FAULT .. "-d on=executed,close=vanish")
    assert.equal(400, status)
    assert.matches("line 1: .*CAP_NET_ADMIN", content)
    origin:signal "TERM"
    assert.equal(0, origin:wait())
    for _, option in ipairs { "--fault on=executed,close=vanish", "--keep-alive-ms 9 --keep-alive-close vanish" } do
      local result = shell.run(("%s%s --listen 127.0.0.1:0 %s"):format(drop, program, option))
      assert.equal(2, result.status)
      assert.matches("CAP_NET_ADMIN", result.stderr)
    end
  end)

  it("leaves the data port its descriptors, however many idle connections it has", function()
    origin = shell.start(("sh -c 'ulimit -n 64; exec \"$0\" --listen 127.0.0.1:0 --control 127.0.0.1:0' %s")
      :format(shell.program "closerace-backend"))
    local data = origin:read_until "listening on (%S+)"
    origin.control = origin:read_until "control on (%S+)"
    do
      local lab <close> = race.lab { real_time = true, deadline_ms = 60000 }
      for _ = 1, 200 do lab:client({ to = origin.control, timeout_ms = 0 }):raw "GET /led" end
      lab:advance(0)
      assert.equal(200, (ask "/ledger"))
      assert.equal(200, lab:client({ to = data }):request({}).status)
    end
    origin:signal "TERM"
    assert.equal(0, origin:wait())
  end)

  it("keeps of the ledger what --ledger-max says, and counts the others", function()
    start "--ledger-max 100"
    os.execute(("curl -s -o /dev/null 'http://%s/id/x[1-1000]/'"):format(origin.address))
    local _, content, head = ask "/ledger"
    assert.equal(100, select(2, content:gsub('"id"', "")))
    assert.matches('^%[\n{"id":"x901",', (content:gsub("^%[ *", "[")))
    assert.matches("\nX%-Closerace%-Forgotten: 900\r\n", head)
    served.finish(origin)
    assert.matches("\nforgotten attempts=900\nattempt conn=1 request=901 ", origin.output)
    assert.equal(100, select(2, origin.output:gsub("\nattempt ", "")))
  end)

  it("sends a ledger of any size in pieces", function()
    start()
    os.execute(("curl -s -o /dev/null 'http://%s/id/x[1-5000]/'"):format(origin.address))
    local _, content, head = ask "/ledger"
    assert.equal(5000, select(2, content:gsub('\n{"id":"x%d+",[^\n]*}', "")))
    assert.matches("\n%]\n$", content)
    assert.matches("\nTransfer%-Encoding: chunked\r", head)
    local _, last = ask "/ledger?id=x5000"
    assert.equal(1, select(2, last:gsub('"id"', "")))
  end)
end)
