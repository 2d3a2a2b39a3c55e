--- Addresses in words, wherever one is taken: names, [IPv6], :PORT, unix:PATH.
local race = require "closerace"
local served = require "served"
local shell = require "shell"

local backend = shell.program "closerace-backend"

--- Is there an IPv6 loopback?
local six = os.execute "grep -q '^0*1 .*lo' /proc/net/if_inet6"

local servers

before_each(function() servers = {} end)

after_each(function()
  for _, server in ipairs(servers) do
    server:signal "TERM"
    server:wait()
  end
  shell.clean()
end)

--- Start a program; .at is where it listens, .port the port alone.
local function start(command)
  local server = shell.start(command)
  servers[#servers + 1] = server
  server.at = server:read_until "listening on (%S+)"
  server.port = server.at:match ":(%d+)$"
  return server
end

local function start_backend(listen, options)
  return start(("%s --listen %s %s"):format(backend, listen, options or ""))
end

--- A server of another make, on a Unix socket.
local function start_unix(path)
  return start(served.foreign .. "node -e " .. shell.quoted(([[
    require('http').createServer((q, s) => s.end('unix ' + q.url))
      .listen('%s', () => console.log('listening on unix:%s'))]]):format(path, path)))
end

local function get(url, options)
  return shell.run(("curl -gsS %s %s"):format(options or "", shell.quoted(url)))
end

--- Each of them, as an upstream, leads to the same server.
local function each_upstream(call)
  local four = start_backend "localhost:0"
  assert.matches("^127%.0%.0%.1:", four.at)
  call("127.0.0.1:" .. four.port)
  call("localhost:" .. four.port)
  call(":" .. four.port)
  if not six then return end
  local other = start_backend "[::1]:0"
  assert.matches("^%[::1%]:", other.at)
  call("[::1]:" .. other.port)
  call("localhost:" .. other.port)              -- of its addresses 127.0.0.1 refuses
  call(":" .. other.port)
end

describe("an address of closerace-backend", function()
  it("may be a name, IPv6 or a port alone, as its upstream", function()
    each_upstream(function(upstream)
      local valve = start_backend(":0", "--upstream " .. upstream)
      for n = 1, 3 do
        local result = get(("http://%s/id/u%d/"):format(valve.at, n))
        assert.equal("", result.stderr, upstream)
        assert.matches("u" .. n, result.stdout, 1, true)
      end
    end)
  end)

  it("may be a Unix socket, as its upstream", function()
    if served.no_node then return pending(served.no_node) end
    local path = shell.folder() .. "/s"
    start_unix(path)
    local valve = start_backend("127.0.0.1:0", ("--upstream unix:%s --fault on=request_end,request=2,close=rst")
      :format(path))
    local result = get(("http://%s/a"):format(valve.at))
    assert.equal("unix /a", result.stdout)
    result = shell.run(("curl -sS http://%s/b http://%s/c"):format(valve.at, valve.at))
    assert.matches("^unix /b", result.stdout)
    valve:read_until "ended conn=2 request=2 id= on=request_end close=rst"
  end)

  it("may be IPv6 where it listens, and every ending is the same there", function()
    if not six then return pending "no IPv6" end
    local endings = { "fin", "rst", "plain", "half" }
    if race.has "vanish" then endings[#endings + 1] = "vanish" end
    for _, ending in ipairs(endings) do
      local origin = start_backend("[::1]:0", "--fault on=executed,close=" .. ending)
      assert.equal(ending == "rst" and 56 or ending == "vanish" and 28 or 52,
        get(("http://%s/id/a/"):format(origin.at), "-m 2 -o /dev/null").status, ending)
      assert.matches("/id/b/", get(("http://%s/id/b/"):format(origin.at)).stdout, 1, true)
      origin:read_until("ended conn=1 request=1 id=a on=executed close=" .. ending)
    end
  end)

  it("may be any of these for its control API, and a Unix socket is removed", function()
    local path = shell.folder() .. "/control"
    for _, control in ipairs { ":0", "localhost:0", six and "[::1]:0" or ":0", "unix:" .. path } do
      local origin = start_backend("127.0.0.1:0", "--control " .. control)
      local at = origin:read_until "control on (%S+)"
      local result = at:find "^unix" and get("http://localhost/ledger", "--unix-socket " .. path)
        or get(("http://%s/ledger"):format(at))
      assert.equal("[]", (result.stdout:gsub("%s", "")), control .. result.stderr)
    end
    for _, server in ipairs(servers) do
      server:signal "TERM"
      assert.equal(0, server:wait())
    end
    servers = {}
    assert.same({}, shell.names(path:match "^(.*)/"))
  end)

  it("names the option and what is allowed, where it is none", function()
    for options, complaint in pairs {
      ["--listen nowhere"] = "--listen: 'nowhere' is not an address; allowed: ADDR:PORT, NAME:PORT, [IPv6]:PORT, :PO",
      ["--listen unix:/tmp/x"] = ":PORT, fd@N (endings are those of TCP)",
      ["--listen no.such.invalid:1"] = ":PORT, fd@N (no.such.invalid: ",
      ["--listen 192.0.2.1:0"] = "--listen 192.0.2.1:0: ",
      ["--listen :0 --control ::1:0"] = "--control: '::1:0' is not an address; allowed: ADDR:PORT",
      ["--listen :0 --control unix:/no/such/folder/x"] = "--control unix:/no/such/folder/x: No such file",
      ["--listen :0 --upstream localhost"] = "upstream: 'localhost' is not allowed; allowed: ADDR:PORT, NAME:PORT",
      ["--listen :0 --upstream no.such.invalid:1"] = ":PORT, unix:PATH (no.such.invalid: ",
    } do
      local result = shell.run(backend .. " " .. options)
      assert.equal(2, result.status, options)
      assert.truthy(result.stderr:find(complaint, 1, true), options .. "\n" .. result.stderr)
    end
  end)
end)

describe("an address of closerace-proxy", function()
  local proxy = shell.program "closerace-proxy"

  local function start_proxy(listen, upstream, options)
    return start(("%s --listen %s --upstream %s %s"):format(proxy, listen, upstream, options or ""))
  end

  it("may be a name, IPv6 or a port alone, as its upstream, and is called so", function()
    each_upstream(function(upstream)
      local front = start_proxy(":0", upstream, "--reuse never --admin 127.0.0.1:0")
      local admin = front:read_until "admin on (%S+)"
      for n = 1, 3 do
        local result = get(("http://%s/id/u%d/"):format(front.at, n))
        assert.equal("", result.stderr)
        assert.matches("u" .. n, result.stdout, 1, true)
      end
      assert.truthy(get(("http://%s/metrics"):format(admin)).stdout:find(('upstream="%s"'):format(upstream), 1, true))
      local status = get(("http://%s/status"):format(admin)).stdout
      assert.truthy(status:find(('"upstream":["%s"]'):format(upstream), 1, true))
    end)
  end)

  it("may be a name of which one address refuses, for connections that are made ahead, too", function()
    if not six then return pending "no IPv6" end
    local origin = start_backend "[::1]:0"
    local front = start_proxy(":0", ":" .. origin.port, "--spares 3")
    for n = 1, 5 do assert.equal("", get(("http://%s/id/s%d/"):format(front.at, n), "-f -o /dev/null").stderr) end
  end)

  it("is a 502 where all refuse", function()
    local gone = start_backend ":0"
    gone:signal "TERM"
    gone:wait()
    table.remove(servers)
    local front = start_proxy(":0", ":" .. gone.port)
    assert.equal("502", get(("http://%s/"):format(front.at), "-o /dev/null -w '%{http_code}'").stdout)
  end)

  it("may be a Unix socket, of its upstream and of its own", function()
    if served.no_node then return pending(served.no_node) end
    local folder = shell.folder()
    start_unix(folder .. "/up")
    for _, options in ipairs { "", "--workers 2" } do
      local log = "--access-log " .. folder .. "/log"
      local front = start_proxy("unix:" .. folder .. "/down", "unix:" .. folder .. "/up", options .. " " .. log)
      assert.equal("unix:" .. folder .. "/down", front.at)
      for _ = 1, 3 do
        assert.equal("unix /x", get("http://h/x", "--unix-socket " .. folder .. "/down").stdout)
      end
      front:signal "TERM"
      assert.equal(0, front:wait())
      table.remove(servers)
      local file <close> = io.open(folder .. "/log")
      assert.truthy(file:read "a":find("client=unix: upstream=unix:" .. folder .. "/up ", 1, true))
      assert.same({ "log", "up" }, shell.names(folder))
    end
  end)

  it("may be IPv6 where it listens, for several workers, too", function()
    if not six then return pending "no IPv6" end
    local origin = start_backend ":0"
    for _, options in ipairs { "", "--workers 2" } do
      local front = start_proxy("[::1]:0", ":" .. origin.port, options .. " --access-log -")
      for n = 1, 3 do
        assert.matches("/id/v" .. n, get(("http://%s/id/v%d/"):format(front.at, n)).stdout, 1, true)
        front:read_until "client=%[::1%]:%d+ "
      end
    end
  end)

  it("names the option and what is allowed, where it is none", function()
    for options, complaint in pairs {
      ["--listen nowhere"] = "--listen: 'nowhere' is not allowed; allowed: ADDR:PORT, or fd@N",
      ["--listen no.such.invalid:1"] = "unix:PATH (no.such.invalid: ",
      ["--listen :0 --upstream localhost"] = "--upstream: 'localhost' is not allowed; allowed: ADDR:PORT, NAME:PORT",
      ["--listen :0 --upstream no.such.invalid:1"] = "(no.such.invalid: ",
      ["--listen :0 --upstream :1 --admin unix:"] = "--admin: 'unix:' is not allowed; allowed: ADDR:PORT",
      ["--listen unix:/no/such/folder/x --upstream :1"] = "--listen unix:/no/such/folder/x: No such file",
    } do
      local result = shell.run(proxy .. " " .. options)
      assert.equal(2, result.status, options)
      assert.truthy(result.stderr:find(complaint, 1, true), options .. "\n" .. result.stderr)
    end
  end)
end)

describe("an address in Lua", function()
  it("may be any of these", function()
    each_upstream(function(upstream)
      local lab <close> = race.lab { real_time = true }
      assert.equal(200, lab:client({ to = upstream }):request({}).status, upstream)
      assert.equal(200, lab:client({ to = lab:backend { upstream = upstream } }):request({}).status, upstream)
      assert.equal(200, lab:client({ to = lab:proxy { to = upstream } }):request({}).status, upstream)
    end)
  end)

  it("names the option and what is allowed, where it is none", function()
    local lab <close> = race.lab()
    for _, call in ipairs { "client", "proxy" } do
      local good, why = pcall(lab[call], lab, { to = "no.such.invalid:80" })
      assert.False(good)
      assert.matches("lab:" .. call .. ": .*no.such.invalid:80.*allowed: ADDR:PORT, NAME:PORT.*no.such.invalid: ",
        tostring(why))
    end
  end)
end)
