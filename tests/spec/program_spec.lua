--- closerace-proxy as people run it: its options, its log, its admin port, its workers, its end.
local cjson = require "cjson"
local exposition = require "exposition"
local race = require "closerace"
local shell = require "shell"

local PROXY, BACKEND = shell.program "closerace-proxy", shell.program "closerace-backend"
local FIELDS = { "time", "client", "upstream", "status", "code", "attempts", "retries", "connection", "received",
  "sent", "head_ms", "connect_ms", "response_ms", "total_ms", "request", "why" }
local NOWHERE = "127.0.0.1:1"                   -- nobody listens there

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

local function slurp(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

-- ----------------------------------------------------------------------- the stage --

local servers, lab

before_each(function()
  servers = {}
  lab = race.lab { real_time = true, deadline_ms = 60000, timeline = false }
end)

after_each(function()
  lab:close()
  for _, server in ipairs(servers) do           -- only those that a failed test left
    if io.type(server.pipe) == "file" then
      server:signal "KILL"
      server:wait()
    end
  end
  shell.clean()
end)

local function start(command)
  local server = shell.start(command)
  servers[#servers + 1] = server
  return server
end

--- A backend on a port of its own.
local function start_backend(options)
  local server = start(("%s --listen 127.0.0.1:0 %s"):format(BACKEND, options or ""))
  server.address = server:read_until "listening on ([%d.:]+)"
  return server
end

--- A client of an admin port, which it calls by its address.
local function admin_client(address)
  local client = lab:client { to = address }
  local admin = {}

  function admin.request(_, r)
    local body = r.body or ""
    return client:raw(("%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s"):format(r.method or "GET",
      r.path, address, r.method == "HEAD" and "Connection: close\r\n" or "", #body, body)):wait()
  end

  return admin
end

--- A proxy in front of it; with --admin among its options, .admin is a client of that port.
local function start_proxy(backend, options, prefix)
  options = options or ""
  local server = start(("%s %s --listen 127.0.0.1:0 --upstream %s %s"):format(prefix or "", PROXY,
    type(backend) == "string" and backend or backend.address, options))
  server.address = server:read_until "listening on ([%d.:]+)"
  if options:find "%-%-admin" then
    server.admin_address = server:read_until "admin on ([%d.:]+)"
    server.admin = admin_client(server.admin_address)
  end
  return server
end

local ADMIN = "--admin 127.0.0.1:0 "

local function client_of(server)
  return lab:client { to = server.address }
end

local function ends_with(status, server, signal)
  if signal then server:signal(signal) end
  assert.equal(status, server:wait(), server.output)
end

local function metrics_of(server)
  local reply = server.admin:request { path = "/metrics" }
  assert.equal(200, reply.status)
  assert.equal("text/plain; version=0.0.4; charset=utf-8", reply.headers["content-type"])
  return exposition.read(reply.body)
end

local function status_of(server)
  local reply = server.admin:request { path = "/status" }
  assert.equal(200, reply.status)
  assert.equal("application/json", reply.headers["content-type"])
  local status = cjson.decode(reply.body)
  for _, worker in ipairs(status.workers) do worker.pid = math.tointeger(worker.pid) end
  return status
end

local function health_of(server)
  return server.admin:request({ path = "/healthz" }).status
end

--- A text line of the access log as a table; what is quoted without its quotes.
local function read_line(line)
  local fields, at = {}, 1
  while at <= #line do
    local key, next_at = line:match("^([%a_]+)=()", at)
    assert(key, "no field: " .. line:sub(at))
    local value, after = line:match('^"([^"]*)" ?()', next_at)
    if not value then value, after = line:match('^([^" ]+) ?()', next_at) end
    assert(value, "no value: " .. line:sub(at))
    fields[key], at = value, after
  end
  return fields
end

--- The next line of an access log on stdout.
local function next_line(server)
  return read_line(server:read_until "^(time=.*)\n$")
end

--- Does the line have these fields?
local function line_has(wanted, line)
  for key, value in pairs(wanted) do
    if line[key] ~= value then
      error(("%s is %s, not %s, in: %s"):format(key, line[key], value, line.request), 2)
    end
  end
end

-- ----------------------------------------------------------------------- its options --

describe("closerace-proxy's command line", function()
  local GOOD = PROXY .. " --listen 127.0.0.1:0 --upstream " .. NOWHERE .. " "

  it("--help shows the options in groups, as they are typed", function()
    local help = shell.run(PROXY .. " --help").stdout
    local at = 1
    for _, group in ipairs { "Running", "Backend", "Pool", "Retry", "Clients", "Timeouts" } do
      at = assert(help:find("\n" .. group .. "\n", at, true), group)
    end
    for _, option in ipairs { "listen", "workers", "drain-ms", "admin", "access-log", "log-format", "upstream",
      "retry-list", "pool-size", "head-timeout-ms" } do
      has(help, "\n  --" .. option .. " ")
    end
    assert.falsy(help:find "%-%-%a+_")
    for _, field in ipairs(FIELDS) do has(help, "\n  " .. field .. " ") end
  end)

  it("takes an option's name with dashes or underscores, its value behind = or a space", function()
    for _, option in ipairs { "--pool-size 7", "--pool_size 7", "--pool-size=7", "--pool_size=7" } do
      local front = start_proxy(NOWHERE, ADMIN .. option)
      assert.equal(7, status_of(front).options.pool_size)
      ends_with(0, front, "TERM")
    end
  end)

  for options, message in pairs {
    ["--workers 0"] = "--workers: '0' is not allowed; allowed: 1 to 64",
    ["--workers 65"] = "--workers: '65' is not allowed; allowed: 1 to 64",
    ["--workers=two"] = "--workers: 'two' is not allowed; allowed: 1 to 64",
    ["--drain-ms -1"] = "--drain-ms: '-1' is not allowed; allowed: 0 to 86400000",
    ["--drain_ms 1s"] = "--drain-ms: '1s' is not allowed; allowed: 0 to 86400000",
    ["--log-format xml"] = "--log-format: 'xml' is not allowed; allowed: text, json",
    ["--access-log ''"] = "--access-log: '' is not allowed; allowed: a file, or - for stdout",
    ["--access-log /nowhere/at_all.log"] = "--access-log /nowhere/at_all.log: No such file or directory",
    ["--admin 8080"] = "--admin: '8080' is not allowed; allowed: ADDR:PORT",
    ["--admin fd@3"] = "--admin: 'fd@3' is not allowed; allowed: ADDR:PORT",
    ["--admin 192.0.2.1:0"] = "--admin 192.0.2.1:0: Cannot assign requested address",
    ["--listen fd@x"] = "--listen: 'fd@x' is not allowed; allowed: ADDR:PORT, or fd@N",
    ["--listen fd@0"] = "--listen fd@0: Socket operation on non-socket",
    ["--listen nowhere:80"] = "--listen: 'nowhere:80' is not allowed; allowed: ADDR:PORT",
    ["--upstream 127.0.0.1:0"] = "--upstream: '127.0.0.1:0' is not allowed; allowed: ADDR:PORT",
    ["--retry-list /nowhere.list"] = "--retry-list: /nowhere.list: No such file or directory",
    ["--retry-list /tmp"] = "--retry-list: /tmp: Is a directory",
    ["--retry-list $FOLDER/bad"] = "--retry-list: $FOLDER/bad: line 3: 'PATCH': no path pattern",
    ["--retry-list $FOLDER/nul"] = "--retry-list: $FOLDER/nul: line 1:",
    ["--pool-size many"] = "--pool-size: 'many' is not allowed; allowed: 0 to 1000000",
    ["--spares 5 --pool-size 4"] = "--spares: 5 is more than pool_size (4) keeps",
    ["--wokers 2"] = "'wokers' is not an option; allowed: listen, workers, drain-ms, admin, access-log, log-format, "
      .. "upstream, ",
    ["--workers"] = "a value is missing after --workers",
    ["--admin"] = "a value is missing after --admin",
    ["stray"] = "not an option: stray",
  } do
    it("refuses " .. options, function()
      local folder = shell.folder()
      shell.write(folder .. "/bad", "# repeatable\nPOST /search*\nPATCH\n")
      shell.write(folder .. "/nul", "POST /a\0b\n")
      local result = shell.run(GOOD .. options:gsub("$FOLDER", folder))
      assert.equal(2, result.status)
      assert.equal("", result.stdout)
      has(result.stderr, "closerace-proxy: " .. message:gsub("$FOLDER", folder))
      assert.equal(1, #lines_of(result.stderr), result.stderr)
    end)
  end

  it("refuses a port that is taken, also where both would share it among workers", function()
    local front = start_proxy(NOWHERE, "--workers 2")
    for _, options in ipairs { "--workers 1", "--workers 2" } do
      local result = shell.run(("%s --listen %s --upstream %s %s"):format(PROXY, front.address, NOWHERE, options))
      assert.equal(2, result.status)
      has(result.stderr, front.address .. ": Address already in use")
    end
    ends_with(0, front, "TERM")
  end)

  it("raises the limit of descriptors as far as it may", function()
    local front = start_proxy(NOWHERE, "", "sh -c 'ulimit -Sn 64; ulimit -Hn 256; exec \"$0\" \"$@\"'")
    assert.truthy(slurp(("/proc/%d/limits"):format(front.pid)):find "Max open files +256 +256 ")
    ends_with(0, front, "TERM")
  end)
end)

-- ------------------------------------------------------------------------- its log --

describe("closerace-proxy's first lines", function()
  --- Its first two lines on descriptor 1 or 2, the other of which goes nowhere.
  local function first_lines(descriptor, options)
    local result = shell.run(([[sh -c 'echo $$; exec "$0" "$@" %s' %s \
      --listen 127.0.0.1:0 --upstream 127.0.0.1:1 --admin 127.0.0.1:0 %s |
      { read -r proxy; read -r first; read -r second; echo "$first"; echo "$second"; kill -TERM $proxy; }]])
      :format(descriptor == 1 and "2>/dev/null" or "2>&1 >/dev/null", PROXY, options))
    assert.equal("", result.stderr)
    return result.stdout
  end

  it("say on stdout where it listens", function()
    assert.matches("^listening on 127%.0%.0%.1:%d+\nadmin on 127%.0%.0%.1:%d+\n$", first_lines(1, ""))
    assert.matches("^listening on 127%.0%.0%.1:%d+\nadmin on", first_lines(1, "--workers 2"))
  end)

  it("are on stderr where stdout is the access log", function()
    local line = "closerace%-proxy: %a+ on 127%.0%.0%.1:%d+\n"
    assert.matches("^" .. line .. line .. "$", first_lines(2, "--access-log -"))
  end)
end)

describe("closerace-proxy's access log", function()
  --- A proxy with its log on stdout, and a backend that ends the requests p1 and g1 unread.
  local function stage(options)
    local backend = start_backend("--fault id=p1,on=arrival,close=fin --fault id=g1,on=arrival,close=fin")
    local front = start_proxy(backend, "--access-log - " .. (options or ""))
    return front, backend, client_of(front)
  end

  it("has a line for each exchange, with what became of it", function()
    local front, backend, client = stage()
    client:request { path = "/bytes/10" }
    local first = next_line(front)
    for _, field in ipairs(FIELDS) do assert.truthy(first[field], field) end
    line_has({ upstream = backend.address, status = "200", code = "--", attempts = "1", retries = "0",
      connection = "fresh", request = "GET /bytes/10 HTTP/1.1", why = "" }, first)
    assert.truthy(first.time:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$")
    assert.truthy(first.client:find "^127%.0%.0%.1:%d+$")
    local sum = 0
    for _, key in ipairs { "head_ms", "connect_ms", "response_ms" } do
      assert.truthy(first[key]:find "^%d+%.%d%d%d$", key)
      sum = sum + tonumber(first[key])
    end
    assert.is_true(sum <= tonumber(first.total_ms) + 0.002)

    local reply = client:request { path = "/bytes/10" }
    local second = next_line(front)
    line_has({ status = "200", connection = "reused", client = first.client, sent = first.sent }, second)
    assert.equal(reply.received, tonumber(second.sent))

    assert.equal(502, client:request({ method = "POST", path = "/id/p1/pay", body = "amount=10" }).status)
    line_has({ status = "502", code = "UH", attempts = "1", retries = "0", connection = "reused", response_ms = "-",
      request = "POST /id/p1/pay HTTP/1.1", why = "method not idempotent" }, next_line(front))

    client:request { path = "/bytes/10" }
    next_line(front)
    assert.equal(200, client:request({ path = "/id/g1/item" }).status)
    line_has({ status = "200", code = "--", attempts = "2", retries = "1", connection = "fresh" }, next_line(front))
    ends_with(0, front, "TERM")
    ends_with(0, backend, "TERM")
  end)

  it("tells a client that went away", function()
    local front, backend, client = stage()
    client:start { path = "/delay/3600000", id = "gone" }
    lab:advance(0)
    backend:read_until "executed .*id=gone"
    client:close()
    line_has({ status = "-", code = "CH", attempts = "1", response_ms = "-", why = "the client is gone" },
      next_line(front))
    ends_with(0, front, "TERM")
  end)

  it("tells a client that took too long", function()
    local front, _, client = stage "--head-timeout-ms 1"
    assert.equal(408, client:raw("GET / HTTP/1.1\r\nHost: a\r\n"):wait().status)
    line_has({ status = "408", code = "cR", attempts = "0", upstream = "-", connection = "-", head_ms = "-",
      why = "the request head took too long" }, next_line(front))
    ends_with(0, front, "TERM")
  end)

  it("tells a request that was refused", function()
    local front, _, client = stage()
    assert.equal(400, client:raw("GET / HTTP/1.1\r\n\r\n"):wait().status)
    line_has({ status = "400", code = "PR", attempts = "0", request = "GET / HTTP/1.1" }, next_line(front))
    ends_with(0, front, "TERM")
  end)

  it("tells a backend that is down", function()
    local front = start_proxy(NOWHERE, "--access-log -")
    assert.equal(502, client_of(front):request({}).status)
    line_has({ status = "502", code = "UC", upstream = NOWHERE, connect_ms = "-" }, next_line(front))
    ends_with(0, front, "TERM")
  end)

  it("no client forges a line or a field", function()
    local targets = { '/"', '/" why="', "/\\", "/\1", "/\127", "/\r", "/\n", "/\ntime=x client=y", "/\226\128\168",
      "/a\tb", "/" .. ("x"):rep(10000) }
    local log = shell.folder() .. "/log"
    for _, format in ipairs { "text", "json" } do
      local backend = start_backend()
      local front = start_proxy(backend, ("--log-format %s --access-log %s.%s"):format(format, log, format))
      for _, target in ipairs(targets) do
        client_of(front):raw(("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):format(target)):wait()
      end
      ends_with(0, front, "TERM")
      local text = slurp(log .. "." .. format)
      assert.falsy(text:find "[^\n -~]")
      local lines = lines_of(text)
      assert.equal(#targets, #lines)
      for _, line in ipairs(lines) do
        local fields = format == "json" and cjson.decode(line) or read_line(line)
        local n = 0
        for key in pairs(fields) do n = n + (key and 1) end
        assert.equal(#FIELDS, n, line)
        assert.is_true(#line < 4096)
      end
    end
  end)

  it("as JSON has the same fields, and null where there is nothing", function()
    local front, backend, client = stage "--log-format json"
    client:request { path = "/bytes/10" }
    local line = front:read_until "^({.*})\n$"
    local fields = cjson.decode(line)
    local at = 1
    for _, field in ipairs(FIELDS) do
      assert.not_nil(fields[field], field)
      at = assert(line:find('"' .. field .. '":', at, true), "out of order: " .. field)
    end
    assert.same({ 200, "--", 1, 0, "fresh", backend.address, "GET /bytes/10 HTTP/1.1" }, { fields.status, fields.code,
      fields.attempts, fields.retries, fields.connection, fields.upstream, fields.request })
    client:raw("GET / HTTP/1.1\r\n\r\n"):wait()
    fields = cjson.decode(front:read_until "^({.*})\n$")
    assert.same({ cjson.null, cjson.null, cjson.null, 400 },
      { fields.upstream, fields.connection, fields.connect_ms, fields.status })
    ends_with(0, front, "TERM")
  end)

  it("is opened again on SIGHUP, and no line is lost", function()
    local log = shell.folder() .. "/log"
    local front = start_proxy(start_backend(), "--access-log " .. log)
    client_of(front):request { path = "/one" }
    os.rename(log, log .. ".1")
    front:signal "HUP"
    front:read_until "access log .*/log: opened again"
    client_of(front):request { path = "/two" }
    ends_with(0, front, "TERM")
    local old, new = lines_of(slurp(log .. ".1")), lines_of(slurp(log))
    assert.same({ 1, 1 }, { #old, #new })
    line_has({ request = "GET /one HTTP/1.1" }, read_line(old[1]))
    line_has({ request = "GET /two HTTP/1.1" }, read_line(new[1]))
  end)

  it("goes on in the old file where it cannot be opened again", function()
    local folder = shell.folder()
    os.execute("mkdir " .. folder .. "/logs")
    local front = start_proxy(start_backend(), ("--access-log %s/logs/log"):format(folder))
    os.rename(folder .. "/logs", folder .. "/moved")
    front:signal "HUP"
    front:read_until "access log .*: No such file or directory; it goes on in the old file"
    client_of(front):request {}
    ends_with(0, front, "TERM")
    assert.equal(1, #lines_of(slurp(folder .. "/moved/log")))
  end)

  it("on a full disk loses lines, not requests: counted, and said once", function()
    local front = start_proxy(start_backend(), ADMIN .. "--access-log /dev/full")
    local client = client_of(front)
    for _ = 1, 5 do assert.equal(200, client:request({}).status) end
    assert.equal(5, exposition.sum(metrics_of(front), "closerace_access_log_lost_lines_total"))
    ends_with(0, front, "TERM")
    assert.equal(1, select(2, front.output:gsub("access log /dev/full: No space left on device; lines are lost", "")))
  end)

  it("loses no line at SIGTERM, also with one that was cut off", function()
    local log = shell.folder() .. "/log"
    local backend = start_backend()
    local front = start_proxy(backend, "--drain-ms 1 --access-log " .. log)
    for i = 1, 20 do client_of(front):request { path = "/" .. i } end
    client_of(front):start { path = "/delay/3600000", id = "late" }
    lab:advance(0)
    backend:read_until "executed .*id=late"
    ends_with(0, front, "TERM")
    local lines = lines_of(slurp(log))
    assert.equal(21, #lines)
    line_has({ status = "-", request = "GET /delay/3600000 HTTP/1.1" }, read_line(lines[21]))
  end)
end)

-- -------------------------------------------------------------------- its retry list --

describe("closerace-proxy's retry list", function()
  it("is read again on SIGHUP; a bad one is refused, with its line, and the old one stays", function()
    local list = shell.write(shell.folder() .. "/list", "POST /nothing\n")
    local faults = ""
    for i = 1, 4 do faults = faults .. (" --fault id=p%d,on=arrival,close=fin"):format(i) end
    local backend = start_backend(faults)
    local front = start_proxy(backend, ADMIN .. "--retry listed --retry-list " .. list)
    local client = client_of(front)
    --- What a POST is told that meets a close race.
    local function post(n)
      client:request {}
      return client:request({ method = "POST", path = ("/id/p%d/search"):format(n), body = "q" }).status
    end
    assert.equal(502, post(1))

    shell.write(list, "# now with it\nPOST /id/?*/search\nPUT /x\n")
    front:signal "HUP"
    front:read_until "retry list .*/list: read again, 2 entries"
    assert.equal(200, post(2))
    assert.equal(2, status_of(front).retry_list_entries)

    shell.write(list, "POST /search\n\nPOST search\n")
    front:signal "HUP"
    front:read_until "retry list .*/list: line 3: 'POST search': .*; the old one stays in force"
    assert.equal(200, post(3))

    os.remove(list)
    front:signal "HUP"
    front:read_until "retry list .*/list: No such file or directory; the old one stays in force"
    assert.equal(200, post(4))
    local metrics = metrics_of(front)
    assert.equal(1, exposition.sum(metrics, "closerace_retry_list_reloads_total", { result = "ok" }))
    assert.equal(2, exposition.sum(metrics, "closerace_retry_list_reloads_total", { result = "refused" }))
    assert.equal(2, exposition.sum(metrics, "closerace_retry_list_entries"))
    ends_with(0, front, "TERM")
  end)
end)

-- ------------------------------------------------------------------- its admin port --

describe("closerace-proxy's admin port", function()
  it("tells nothing to pages of other sites", function()
    local front = start(("%s --listen 127.0.0.1:0 --upstream 127.0.0.1:1 --admin 127.0.0.1:0"):format(PROXY))
    local admin = front:read_until "admin on (%S+)"
    for options, status in pairs {
      [""] = 200, ["-H 'Host: localhost:1'"] = 200, ["-H 'Host: [::1]'"] = 200,
      ["-H 'Sec-Fetch-Site: same-origin'"] = 200, [("-H 'Origin: http://%s'"):format(admin)] = 200,
      ["-H 'Host: evil.example'"] = 403, ["-H Host:"] = 403, ["-H 'Origin: http://evil.example'"] = 403,
      ["-H 'Sec-Fetch-Site: cross-site'"] = 403, ["-I -H 'Host: evil.example'"] = 403,
    } do
      for _, path in ipairs { "status", "metrics", "healthz" } do
        local result = shell.run(("curl -sS -o /dev/null -w '%%{http_code}' %s http://%s/%s")
          :format(options, admin, path))
        assert.equal(tostring(status), result.stdout, options .. path)
      end
    end
    ends_with(0, front, "TERM")
  end)

  it("counts exactly", function()
    local backend = start_backend("--fault id=p1,on=arrival,close=fin --fault id=g1,on=arrival,close=fin")
    local front = start_proxy(backend, ADMIN .. "--upstream " .. NOWHERE)
    local client, sent = client_of(front), 0
    local function ask(request)
      local reply = client:request(request)
      sent = sent + reply.received
      return reply.status
    end
    assert.equal(200, ask { path = "/bytes/10" })       -- fresh
    -- Every other turn is the other upstream's, where nobody is: elsewhere, where a connection is idle.
    assert.equal(200, ask { path = "/bytes/10" })
    assert.equal(404, ask { path = "/status/404" })
    assert.equal(200, ask { path = "/bytes/10" })
    local metrics = metrics_of(front)
    local function sum(name, labels) return exposition.sum(metrics, "closerace_" .. name, labels) end
    assert.same({ 4, 3, 1, 4, 0 }, { sum "requests_total", sum("requests_total", { class = "2xx" }),
      sum("requests_total", { class = "4xx" }), sum("exchanges_total", { code = "--" }), sum "retries_total" })
    assert.same({ 6, 2 }, { sum "attempts_total", sum "elsewhere_total" })
    assert.same({ 3, 3 }, { sum("attempts_total", { connection = "reused" }),
      sum("attempts_total", { connection = "fresh" }) })
    assert.equal(4, sum("requests_total", { upstream = backend.address }))

    assert.equal(502, ask { method = "POST", path = "/id/p1/pay", body = "x" })
    ask { path = "/id/g1/item" }
    client:raw("nonsense\r\n\r\n"):wait()
    metrics = metrics_of(front)
    local n = sum "requests_total"
    assert.equal(7, n)
    assert.equal(n, sum "exchanges_total")
    assert.equal(n, sum "request_duration_seconds_count")
    assert.equal(n, sum("request_duration_seconds_bucket", { le = "+Inf" }))
    assert.equal(1, sum("requests_total", { upstream = "none", class = "4xx" }))
    assert.equal(1, sum("exchanges_total", { code = "PR" }))
    assert.equal(sum "attempts_total", n - 1 + sum "retries_total" + sum "elsewhere_total")
    assert.equal(1, sum "client_connections_total")
    assert.is_true(sum "sent_bytes_total" > sent)
    ends_with(0, front, "TERM")
  end)

  it("shows the pool as it is", function()
    local backend = start_backend "--fault id=last,on=response_end,close=fin"
    local front = start_proxy(backend, ADMIN .. "--upstream " .. NOWHERE .. " --verify none --reuse static")
    local function pool()
      local status = status_of(front)
      assert.same({ 1, front.pid, true }, { status.workers[1].worker, status.workers[1].pid, status.pid == front.pid })
      assert.same({ backend.address, NOWHERE }, { status.workers[1].pool[1].upstream,
        status.workers[1].pool[2].upstream })
      assert.same({}, status.workers[1].pool[2].idle)
      return status.workers[1].pool[1].idle, status.workers[1]
    end
    assert.same({}, pool())
    local client = client_of(front)
    client:request {}
    client:request {}
    client:request {}
    local idle, worker = pool()
    assert.equal(1, #idle)
    assert.same({ 1, 3 }, { idle[1].serial, idle[1].uses })
    assert.is_true(idle[1].port > 0)
    assert.equal(1, worker.upstream_connections)
    assert.equal(1, exposition.sum(metrics_of(front), "closerace_upstream_connections_idle",
      { upstream = backend.address }))
    client:request { id = "last" }              -- unannounced, behind its last byte
    backend:read_until "ended .*id=last"
    idle, worker = pool()
    assert.same({}, idle)
    assert.equal(0, worker.upstream_connections)
    ends_with(0, front, "TERM")
  end)

  it("shows the options in force, under the names that scripts use", function()
    local front = start_proxy(NOWHERE, ADMIN .. "--retries 7 --retry=always --honour-keep-alive false --drain-ms 5")
    local status = status_of(front)
    assert.equal(race.version, status.version)
    assert.equal(front.address, status.listening)
    assert.equal(false, status.draining)
    assert.is_true(status.uptime_s >= 0)
    local o = status.options
    assert.same({ 7, "always", false, 5, 1, cjson.null, 128 }, { o.retries, o.retry, o.honour_keep_alive, o.drain_ms,
      o.workers, o.access_log, o.pool_size })
    assert.same({ NOWHERE }, o.upstream)
    ends_with(0, front, "TERM")
  end)

  it("answers 404 elsewhere, 405 to other methods, 503 while it drains", function()
    local backend = start_backend()
    local front = start_proxy(backend, ADMIN)
    local client, admin = client_of(front), front.admin
    assert.equal(200, health_of(front))
    assert.equal(200, admin:request({ method = "HEAD", path = "/metrics" }).status)
    assert.equal(200, admin:request({ path = "/healthz?verbose" }).status)
    for _, path in ipairs { "/", "/metric", "/metrics/", "/../status" } do
      assert.equal(404, admin:request({ path = path }).status, path)
    end
    for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "PATCH" } do
      local reply = admin:request { method = method, path = "/status", body = "x" }
      assert.equal(405, reply.status, method)
      assert.equal("GET, HEAD", reply.headers.allow)
    end
    client:start { path = "/delay/3600000", id = "slow" }
    lab:advance(0)
    backend:read_until "executed .*id=slow"
    front:signal "TERM"
    front:read_until "draining"
    assert.equal(503, health_of(front))
    assert.equal(true, status_of(front).draining)
    assert.equal(1, exposition.sum(metrics_of(front), "closerace_draining"))
    client:close()
    ends_with(0, front)
  end)

  it("survives those who ask and leave, and leaves no descriptor", function()
    local front = start_proxy(start_backend(), ADMIN .. "--workers 2")
    local function n_descriptors()
      assert.equal(200, health_of(front))
      return #shell.names(("/proc/%d/fd"):format(front.pid))
    end
    local before = n_descriptors()
    for i = 1, 50 do
      local client = lab:client { to = front.output:match "admin on ([%d.:]+)" }
      client:raw("GET /metrics HTTP/1.1\r\nHost: a\r\n" .. (i % 2 == 0 and "\r\n" or ""))
      lab:advance(0)
      client:close()
    end
    metrics_of(front)
    assert.equal(before, n_descriptors())
    ends_with(0, front, "TERM")
  end)
end)

-- ------------------------------------------------------------------------- its end --

describe("closerace-proxy, told to end,", function()
  for _, workers in ipairs { 1, 2 } do
    local how = workers == 1 and "alone" or "with workers"

    --- A proxy, and a request that has got through it as far as the backend's kernel.
    local function begin(options)
      local backend = lab:backend()
      local front = start_proxy(backend, ("%s --workers %d %s"):format(ADMIN, workers, options or ""))
      client_of(front):request {}               -- that client stays, idle
      local client = client_of(front)
      client:request { id = "warm" }
      local conn = backend:conn { carried = "warm" }
      conn:hold()
      local exchange = client:start { method = "POST", path = "/echo", body = "abcd" }
      conn:wait_arrival()
      return front, exchange, conn
    end

    for _, signal in ipairs { "TERM", "INT" } do
      it(("finishes on SIG%s what is in progress, %s"):format(signal, how), function()
        local front, exchange, conn = begin()
        front:signal(signal)
        front:read_until "draining"
        assert.equal(503, health_of(front))
        conn:release()
        local reply = exchange:wait()
        assert.same({ 200, "abcd", "close" }, { reply.status, reply.body, reply.headers.connection })
        ends_with(0, front)
      end)
    end

    it("ends at once on the second signal, " .. how, function()
      local front = begin "--drain-ms 0"
      front:signal "TERM"
      front:read_until "draining"
      front:signal "TERM"
      ends_with(0, front)
    end)

    it("ends when --drain-ms are over, and says whom it left, " .. how, function()
      local front = begin "--drain-ms 1"
      front:signal "TERM"
      ends_with(0, front)
      has(front.output, "1 client connections were not done in time")
    end)

    it("holds no descriptor of connections that are over, " .. how, function()
      local front = start_proxy(start_backend(), ADMIN .. "--max-uses 3 --workers " .. workers)
      local function n_descriptors()
        local n, idle = 0, exposition.sum(metrics_of(front), "closerace_upstream_connections_idle")
        for _, worker in ipairs(status_of(front).workers) do
          n = n + #shell.names(("/proc/%d/fd"):format(worker.pid))
        end
        return n - idle
      end
      local before = n_descriptors()
      for i = 1, 200 do
        client_of(front):request { headers = { Connection = "close" }, path = "/bytes/" .. i }
      end
      lab:advance(0)
      assert.equal(before, n_descriptors())
      ends_with(0, front, "TERM")
    end)
  end
end)

-- ---------------------------------------------------------------------- its workers --

describe("closerace-proxy --workers", function()
  local function parent_of(pid)
    return tonumber(slurp(("/proc/%d/stat"):format(pid)):match "^%d+ %b() %a (%d+)")
  end

  it("are processes of one parent, and all serve", function()
    local front = start_proxy(start_backend(), ADMIN .. "--workers 3")
    local status, pids = status_of(front), {}
    assert.equal(3, #status.workers)
    for i, worker in ipairs(status.workers) do
      assert.same({ i, true, front.pid }, { worker.worker, worker.answered, parent_of(worker.pid) })
      pids[worker.pid] = true
    end
    assert.is_nil(pids[front.pid])
    for _ = 1, 100 do assert.equal(200, client_of(front):request({}).status) end
    local metrics = metrics_of(front)
    assert.equal(100, exposition.sum(metrics, "closerace_requests_total"))
    for i = 1, 3 do
      assert.is_true(exposition.sum(metrics, "closerace_requests_total", { worker = tostring(i) }) > 0)
    end
    ends_with(0, front, "TERM")
    assert.equal(1, select(2, front.output:gsub("listening on", "")))
  end)

  it("share an inherited socket", function()
    local backend = start_backend()
    local sut = lab:sut { to = backend.address, argv = { shell.build .. "/closerace-proxy", "--listen",
      "fd@$LISTEN_FD", "--upstream", backend.address, "--workers", "2" } }
    for _ = 1, 10 do assert.equal(200, lab:client({ to = sut }):request({}).status) end
  end)

  it("one that is killed is started again, and the others serve on", function()
    local front = start_proxy(start_backend(), ADMIN .. "--workers 2")
    for _ = 1, 40 do client_of(front):request {} end
    local before = metrics_of(front)
    local killed = status_of(front).workers[1].pid
    os.execute("kill -KILL " .. killed)
    front:read_until(("worker 1 %%(pid %d%%) was killed by signal 9 %%(Killed%%)"):format(killed))
    local reborn = tonumber(front:read_until "worker 1 was started again %(pid (%d+)%)")
    local status = status_of(front)
    assert.same({ reborn, true, true }, { status.workers[1].pid, status.workers[1].answered,
      status.workers[2].answered })
    local after = metrics_of(front)
    assert.same({ 0, 2 }, { exposition.sum(after, "closerace_requests_total", { worker = "1" }),
      exposition.sum(after, "closerace_worker_up") })
    assert.equal(exposition.sum(before, "closerace_requests_total", { worker = "2" }),
      exposition.sum(after, "closerace_requests_total", { worker = "2" }))
    for _ = 1, 40 do assert.equal(200, client_of(front):request({}).status) end
    assert.equal(40, exposition.sum(metrics_of(front), "closerace_requests_total")
      - exposition.sum(after, "closerace_requests_total"))
    ends_with(0, front, "TERM")
  end)

  it("one that does not answer is said to, and keeps nobody waiting", function()
    local front = start_proxy(start_backend(), ADMIN .. "--workers 3")
    local stopped = status_of(front).workers[2].pid
    os.execute("kill -STOP " .. stopped)
    local status = status_of(front)
    assert.same({ true, false, true }, { status.workers[1].answered, status.workers[2].answered,
      status.workers[3].answered })
    assert.equal(stopped, status.workers[2].pid)
    local metrics = metrics_of(front)
    assert.equal(0, exposition.sum(metrics, "closerace_worker_up", { worker = "2" }))
    assert.equal(2, exposition.sum(metrics, "closerace_worker_up"))
    os.execute("kill -CONT " .. stopped)
    assert.equal(3, exposition.sum(metrics_of(front), "closerace_worker_up"))
    ends_with(0, front, "TERM")
  end)

  it("one that cannot end is killed, and that is a failure", function()
    local front = start_proxy(start_backend(), ADMIN .. "--workers 2 --drain-ms 1")
    os.execute("kill -STOP " .. status_of(front).workers[2].pid)
    ends_with(1, front, "TERM")
    has(front.output, "was killed by signal 9")
  end)

  it("heed no signal of their own, so that none is told twice", function()
    local front = start_proxy(start_backend(), ADMIN .. "--workers 2")
    for _, worker in ipairs(status_of(front).workers) do
      for _, signal in ipairs { "TERM", "INT", "HUP" } do
        os.execute(("kill -%s %d"):format(signal, worker.pid))
      end
    end
    assert.equal(2, exposition.sum(metrics_of(front), "closerace_worker_up"))
    ends_with(0, front, "TERM")
  end)

  it("do not outlive their parent", function()
    local front = start_proxy(start_backend(), "--workers 4")
    front:signal "KILL"
    assert.equal(128 + 9, front:wait())         -- it reads to the end, and each worker has a hand on it
  end)

  it("write to one log, whole lines", function()
    local log = shell.folder() .. "/log"
    local front = start_proxy(start_backend(), "--workers 4 --access-log " .. log)
    local clients, exchanges = {}, {}
    for i = 1, 40 do clients[i] = client_of(front) end
    for _ = 1, 10 do
      for i, client in ipairs(clients) do exchanges[i] = client:start { path = "/" .. ("x"):rep(i * 50) } end
      for _, exchange in ipairs(exchanges) do assert.equal(200, exchange:wait().status) end
    end
    ends_with(0, front, "TERM")
    local lines = lines_of(slurp(log))
    assert.equal(400, #lines)
    for _, line in ipairs(lines) do line_has({ status = "200" }, read_line(line)) end
  end)

  it("have the list and the log that SIGHUP brought, also one that is started later", function()
    local folder = shell.folder()
    local list, log = shell.write(folder .. "/list", "POST /nothing\n"), folder .. "/log"
    local faults = "--fault method=POST,on=arrival,close=fin,times=100"
    local backend = start_backend(faults)
    local front = start_proxy(backend, ("%s --workers 2 --retry listed --retry-list %s --access-log %s"):format(ADMIN,
      list, log))
    shell.write(list, "POST /a\nPOST /b\n")
    front:signal "HUP"
    front:read_until "retry list .*: read again, 2 entries"
    local others = { ["1"] = "2", ["2"] = "1" }
    local first = front:read_until "worker (%d): access log .*: opened again"
    front:read_until(("worker %s: access log .*: opened again"):format(others[first]))
    os.execute("kill -KILL " .. status_of(front).workers[1].pid)
    front:read_until "worker 1 was started again"
    assert.equal(2, status_of(front).retry_list_entries)
    for _ = 1, 20 do
      client_of(front):request { method = "POST", path = "/a", body = "x" }
    end
    ends_with(0, front, "TERM")
    for _, line in ipairs(lines_of(slurp(log))) do assert.equal("1", read_line(line).retries) end
  end)

  -- A sanitizer wants to be loaded first, so this is for the plain build alone.
  local plainly = shell.build:find "address" and function() end or it
  plainly("that cannot start at all end it with 1", function()
    local folder = shell.folder()
    local source = shell.write(folder .. "/lost.c",
      "int prctl(int what, ...); int prctl(int what, ...) { return -1; }\n")
    assert.equal(0, shell.run(("cc -shared -fPIC -o %s/lost.so %s"):format(folder, source)).status)
    local result = shell.run(("LD_PRELOAD=%s/lost.so %s --listen 127.0.0.1:0 --upstream %s --workers 2"):format(
      folder, PROXY, NOWHERE))
    assert.equal(1, result.status)
    has(result.stderr, "it cannot start")
    assert.falsy(result.stderr:find("listening on", 1, true))
  end)
end)
