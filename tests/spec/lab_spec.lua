--- The lab itself: its time, its tasks, its end.

local race = require "closerace"
local asleep = require "asleep"
local warm_up = require "warm"

local HOUR_MS = 3600 * 1000

--- The line of the caller.
local function line()
  return debug.getinfo(2, "l").currentline
end

local FILE = debug.getinfo(1, "S").short_src

--- A socket cannot be opened by its name in /proc, but that says that it is there.
local function count_descriptors()
  local n = 0
  for fd = 0, 1023 do
    local file, _, code = io.open("/proc/self/fd/" .. fd)
    if file then file:close() end
    if code ~= 2 then n = n + 1 end
  end
  return n
end

--- Objects of a lab that nobody closed need more than one cycle: each keeps its lab alive.
local function collect()
  for _ = 1, 4 do collectgarbage() end
end

--- A backend that reads requests and never says a word, a client that waits for ever.
local function mute(lab)
  local backend = lab:backend { faults = { { on = "request_end", close = "stall", times = 100, optional = true } } }
  return lab:client { to = backend, timeout_ms = 0 }, backend
end

local function trace_has(lab, who, what, text)
  for _, e in ipairs(lab:trace()) do
    if e.who == who and e.what == what and e.text:find(text, 1, true) then return true end
  end
  return false
end

describe("the lab's time", function()
  it("stands still while anything can happen", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:proxy { to = lab:backend() } }
    for _ = 1, 20 do client:request {} end
    assert.equal(0, lab:now())
  end)

  it("goes by exactly as far as it is told to", function()
    local lab <close> = race.lab()
    lab:advance(1)
    assert.equal(1, lab:now())
    lab:advance(0)
    assert.equal(1, lab:now())
    lab:advance(HOUR_MS)
    assert.equal(HOUR_MS + 1, lab:now())
  end)

  it("lets the backend's 60 s timer win against the proxy's 61 s", function()
    local lab <close> = race.lab()
    local backend = lab:backend { keep_alive_ms = 60000 }
    local proxy = lab:proxy { to = backend, idle_timeout_ms = 61000 }
    lab:client { to = proxy }:request {}
    lab:advance(59999)
    assert.equal(1, #proxy:pool())
    assert.is_false(backend:conn(1).ended)
    lab:advance(1)
    assert.is_true(backend:conn(1).ended)
    assert.equal(0, #proxy:pool())
  end)

  it("lets the proxy's 60 s timer win against the backend's 61 s", function()
    local lab <close> = race.lab()
    local backend = lab:backend { keep_alive_ms = 61000 }
    local proxy = lab:proxy { to = backend, idle_timeout_ms = 60000 }
    lab:client { to = proxy }:request {}
    lab:advance(60000)
    assert.equal(0, #proxy:pool())
    assert.is_true(backend:conn(1).peer_closed)
    assert.is_false(backend:conn(1).ended)
    lab:advance(2000)
    assert.is_false(backend:conn(1).ended)
  end)

  it("wakes whoever waits in the order of the moments, and at them", function()
    local lab <close> = race.lab()
    local woken = {}
    for _, ms in ipairs { 300, 100, 200 } do
      lab:task(function()
        lab:advance(ms)
        woken[#woken + 1] = ms .. "@" .. lab:now()
      end)
    end
    lab:advance(1000)
    assert.same({ "100@100", "200@200", "300@300" }, woken)
  end)

  it("lets everything happen that is due at the moment it was told to reach", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local other = lab:client { to = lab:backend() }
    local exchanges = { client:start { path = "/delay/100" }, other:start { path = "/delay/100" } }
    lab:advance(100)
    assert.is_true(exchanges[1].done and exchanges[2].done)
    assert.equal(100, lab:now())
  end)

  it("makes an hour's delay cost no real time", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend(), timeout_ms = 0 }
    local reply
    local slept_ms = asleep(function() reply = client:request { path = "/delay/" .. HOUR_MS } end)
    assert.equal(200, reply.status)
    assert.equal(HOUR_MS, reply.ms)
    assert.equal(HOUR_MS, lab:now())
    assert.is_true(slept_ms < 1000, slept_ms)
  end)

  it("does not wait for bytes that a reset has left unsent", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:proxy { to = lab:backend(), linger_ms = 0 }, half_open = true }
    local refused = client:raw("\0" .. ("x"):rep(400000))
    assert.equal(400, refused:wait().status)
    local slept_ms = asleep(function()
      for _ = 1, 20 do lab:advance(1) end
    end)
    assert.is_true(slept_ms < 1000, slept_ms)
  end)

  it("is real where the lab says so", function()
    local lab <close> = race.lab { real_time = true }
    local client = lab:client { to = lab:backend() }
    local start = race.now_ms()
    assert.equal(200, client:request({ path = "/delay/30" }).status)
    lab:advance(20)
    local took = race.now_ms() - start
    assert.is_true(took >= 49, took)
    assert.truthy(tostring(lab):find "^lab %(real time, %d+ ms%)$")
  end)
end)

describe("a task", function()
  it("returns all its results, nil among them", function()
    local lab <close> = race.lab()
    local task = lab:task(function(a, b) return b, nil, a, nil end, 1, 2)
    assert.same(table.pack(2, nil, 1, nil), table.pack(task:wait()))
  end)

  it("runs only when the main script waits", function()
    local lab <close> = race.lab()
    local ran
    local task = lab:task(function() ran = true end)
    assert.is_nil(ran)
    task:wait()
    assert.is_true(ran)
  end)

  it("can be waited for twice", function()
    local lab <close> = race.lab()
    local task = lab:task(function() return "x" end)
    assert.equal("xx", task:wait() .. task:wait())
  end)

  it("runs beside others, each at its own pace", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local function ask(ms)
      local client = lab:client { to = backend }
      local first = client:request { path = "/delay/" .. ms }
      local second = client:request { path = "/delay/" .. ms }
      return first.ms + second.ms
    end
    local slow, fast = lab:task(ask, 100), lab:task(ask, 10)
    assert.equal(20, fast:wait())
    assert.equal(20, lab:now())
    assert.equal(200, slow:wait())
    assert.equal(200, lab:now())
  end)

  it("is waited for by several others at once", function()
    local lab <close> = race.lab()
    local base = lab:task(function() lab:advance(5) return "done" end)
    local waiters = {}
    for i = 1, 3 do waiters[i] = lab:task(function() return i .. base:wait() end) end
    local got = {}
    for i, waiter in ipairs(waiters) do got[i] = waiter:wait() end
    assert.same({ "1done", "2done", "3done" }, got)
  end)

  it("starts another one and waits for it", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local outer = lab:task(function()
      local inner = lab:task(function() return client:request({ path = "/status/201" }).status end)
      return inner:wait() + 1
    end)
    assert.equal(202, outer:wait())
  end)

  it("raises its error from the call that waits, with its own file and line", function()
    local lab <close> = race.lab()
    local at
    local task = lab:task(function()
      lab:advance(1)
      at = line() + 1
      error "boom"
    end)
    local good, err = pcall(task.wait, task)
    assert.is_false(good)
    assert.equal(FILE .. ":" .. at .. ": boom", err)
  end)

  it("raises its error from any blocking call, also one that has nothing to do with it", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    lab:task(function() error({ my = "object" }) end)
    local good, err = pcall(client.request, client, {})
    assert.is_false(good)
    assert.same({ my = "object" }, err)
  end)

  it("raises the error again for each one who waits for it later", function()
    local lab <close> = race.lab()
    local task = lab:task(function() error("no", 0) end)
    for _ = 1, 2 do
      local good, err = pcall(task.wait, task)
      assert.is_false(good)
      assert.equal("no", err)
    end
    assert.equal("task (failed)", tostring(task))
  end)

  it("shows a failed luassert assertion at its line", function()
    local lab <close> = race.lab()
    local at
    local task = lab:task(function()
      lab:advance(1)
      at = line() + 1
      assert.equal("wanted", "got")
    end)
    local good, err = pcall(task.wait, task)
    assert.is_false(good)
    local text = type(err) == "table" and tostring(err.message or err) or tostring(err)
    assert.truthy(text:find("wanted", 1, true), text)
    assert.truthy(text:find("lab_spec.lua:" .. at .. ":", 1, true), text)
  end)

  it("cannot wait for itself", function()
    local lab <close> = race.lab()
    local task
    task = lab:task(function() task:wait() end)
    assert.error_matches(function() task:wait() end, "a task cannot wait for itself")
  end)

  it("lets a coroutine of the user's own wait inside it", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local task = lab:task(function()
      local statuses = coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(client:request({ path = "/status/" .. 200 + i }).status) end
      end)
      return statuses(), statuses(), statuses()
    end)
    assert.same({ 201, 202, 203 }, { task:wait() })
  end)

  it("lets a callback that cannot yield wait inside it", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local task = lab:task(function()
      local delays = { 30, 10, 20 }
      table.sort(delays, function(a, b)
        return client:request({ path = "/delay/" .. a }).ms < client:request({ path = "/delay/" .. b }).ms
      end)
      return table.concat(delays, " ")
    end)
    assert.equal("10 20 30", task:wait())
  end)

  it("goes on while another one waits in a callback that cannot yield", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local log = {}
    local ticker = lab:task(function()
      for i = 1, 3 do
        lab:advance(10)
        log[#log + 1] = "tick " .. i
      end
    end)
    local sorter = lab:task(function()
      table.sort({ 1, 2 }, function(a, b)
        client:request { path = "/delay/25" }
        log[#log + 1] = "compared"
        return a < b
      end)
    end)
    sorter:wait()
    ticker:wait()
    assert.same({ "tick 1", "tick 2", "compared" }, { log[1], log[2], log[3] })
  end)

  it("lets a task that yields by hand go on", function()
    local lab <close> = race.lab()
    local task = lab:task(function()
      coroutine.yield()
      coroutine.yield("ignored")
      return "end"
    end)
    assert.equal("end", task:wait())
  end)

  it("is dropped with the lab, in the middle of a wait", function()
    local task
    do
      local lab <close> = race.lab()
      local client = mute(lab)
      task = lab:task(function() client:request {} end)
      lab:advance(1)
      assert.equal("task (waiting in client:request)", tostring(task))
    end
    assert.equal("task (dropped)", tostring(task))
    assert.error_matches(function() task:wait() end, "the lab of this task is closed")
  end)
end)

describe("a wait for ever", function()
  it("is told at once, with the line of each waiting task", function()
    local lab <close> = race.lab { deadline_ms = 20000 }
    local client, backend = mute(lab)
    local other = lab:client { to = backend, timeout_ms = 0 }
    local task_line, main_line
    lab:task(function()
      task_line = line() + 1
      other:request { path = "/a" }
    end)
    local good, err = pcall(function()
      main_line = line() + 1
      client:request { path = "/b" }
    end)
    assert.is_false(good)
    assert.truthy(err:find("^" .. FILE:gsub("%p", "%%%0") .. ":" .. main_line .. ": deadlock: "), err)
    assert.truthy(err:find(FILE .. ":" .. main_line .. ": waits in client:request", 1, true), err)
    assert.truthy(err:find(FILE .. ":" .. task_line .. ": waits in client:request", 1, true), err)
    assert.truthy(err:find("last events:\n", 1, true), err)
  end)

  it("is told of a checkpoint that nobody will ever reach", function()
    local lab <close> = race.lab()
    local proxy = lab:proxy { to = lab:backend() }
    proxy:hold "sending"
    assert.error_matches(function() proxy:wait "sending" end, "deadlock: .*waits in proxy:wait")
  end)

  it("is told of two tasks that wait for each other", function()
    local lab <close> = race.lab()
    local one, two
    one = lab:task(function() two:wait() end)
    two = lab:task(function() one:wait() end)
    local good, err = pcall(one.wait, one)
    assert.is_false(good)
    assert.equal(3, select(2, err:gsub("waits in task:wait", "")))
  end)

  it("leaves the lab usable", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend, timeout_ms = 0 }
    client:request {}
    backend:conn(1):hold()
    local exchange = client:start {}
    assert.error_matches(function() exchange:wait() end, "deadlock")
    backend:conn(1):release()
    assert.equal(200, exchange:wait().status)
  end)
end)

describe("the deadline", function()
  it("raises where the world goes on for ever, with the tail of the timeline", function()
    local lab <close> = race.lab { deadline_ms = 30 }
    local client = mute(lab)
    lab:task(function() while true do lab:advance(1000) end end)
    local good, err = pcall(client.request, client, {})
    assert.is_false(good)
    assert.truthy(err:find("the lab's deadline is over; who waits:", 1, true), err)
    assert.truthy(err:find("waits in lab:advance", 1, true), err)
    assert.truthy(err:find("GET / HTTP/1.1", 1, true), err)
  end)

  it("raises in real time, too", function()
    local lab <close> = race.lab { deadline_ms = 30, real_time = true }
    local client = mute(lab)
    assert.error_matches(function() client:request {} end, "the lab's deadline is over")
  end)

  it("begins anew", function()
    local lab <close> = race.lab { deadline_ms = 20, real_time = true }
    local client = mute(lab)
    assert.error_matches(function() client:request {} end, "deadline is over")
    lab:deadline(20000)
    lab:advance(5)
    assert.equal(200, lab:client({ to = lab:backend() }):request({}).status)
  end)
end)

describe("closing a lab", function()
  setup(function() warm_up() end)

  it("drops everything after a failed assertion, and leaves no descriptor", function()
    local function run()
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { on = "accept", conn = 9, close = "rst" } } }
      local proxy = lab:proxy { to = backend }
      lab:client { to = proxy }:request {}
      proxy:hold "sending"
      lab:client { to = proxy }:start { path = "/held" }
      proxy:wait "sending"
      lab:task(function() lab:advance(1e9) end)
      lab:advance(1)
      assert.equal("this", "fails")
    end
    pcall(run)
    collect()
    local before = count_descriptors()
    for _ = 1, 20 do
      local good, err = pcall(run)
      assert.is_false(good)
      assert.is_nil(tostring(err):find("never fired", 1, true))
    end
    assert.equal(before, count_descriptors())
  end)

  it("is done by the garbage collector where nobody else does it", function()
    collect()
    local before = count_descriptors()
    for _ = 1, 5 do
      local lab = race.lab()
      lab:client({ to = lab:proxy { to = lab:backend() } }):request {}
    end
    assert.is_true(count_descriptors() > before)
    collect()
    assert.equal(before, count_descriptors())
  end)

  it("may be done twice", function()
    local lab = race.lab()
    lab:close()
    lab:close()
    assert.equal("lab (closed)", tostring(lab))
  end)

  it("raises where a fault never fired, and names it", function()
    local at
    local good, err = pcall(function()
      local lab = race.lab()
      lab:backend()
      lab:backend { faults = { { on = "accept", close = "rst", optional = true }, { on = "executed", close = "fin" } } }
      at = line() + 1
      lab:close()
    end)
    assert.is_false(good)
    assert.truthy(err:find(FILE .. ":" .. at .. ": fault 2 of backend 2 never fired", 1, true), err)
    assert.truthy(err:find('on = "executed", close = "fin"', 1, true), err)
  end)

  it("raises so at the end of its scope, too", function()
    assert.error_matches(function()
      local lab <close> = race.lab()
      lab:backend():fault { on = "idle", close = "fin" }
    end, "fault 1 of backend 1 never fired")
  end)

  it("is content with a fault that fired, and with an optional one", function()
    local lab <close> = race.lab()
    local backend = lab:backend {
      faults = { { on = "accept", conn = 2, close = "rst", optional = true }, { on = "executed", close = "fin" } },
    }
    lab:client({ to = backend }):request {}
  end)

  it("makes every call of its objects raise", function()
    local lab = race.lab()
    local backend = lab:backend()
    local proxy = lab:proxy { to = backend }
    local client = lab:client { to = proxy }
    local exchange = client:start { id = "x" }
    exchange:wait()
    local conn = backend:conn(1)
    proxy:hold "sending"
    client:start { path = "/y" }
    local held = proxy:wait "sending"
    assert.error_matches(function() lab:close() end, "proxy 1 still holds the request '' at upstream.sending")
    local calls = {
      lab = { lab, { "backend" }, { "proxy" }, { "client" }, { "sut" }, { "verdict", "x" }, { "trace" },
        { "deadline", 1 }, { "advance", 1 }, { "now" }, { "task", print } },
      backend = { backend, { "conn", 1 }, { "fault", {} }, { "ledger" } },
      proxy = { proxy, { "hold", "sending" }, { "wait", "sending" }, { "release" }, { "attempts" }, { "pool" } },
      client = { client, { "request", {} }, { "start", {} }, { "raw", "x" }, { "half_close" }, { "close" } },
      exchange = { exchange, { "wait" }, { "send", "x" }, { "finish" } },
      conn = { conn, { "hold" }, { "release" }, { "wait_arrival" }, { "close", "fin" } },
      held = { held, { "release" } },
    }
    for name, list in pairs(calls) do
      local object = list[1]
      for i = 2, #list do
        local method, argument = list[i][1], list[i][2]
        local good, err = pcall(function() object[method](object, argument) end)
        assert.is_false(good, name .. ":" .. method)
        assert.truthy(err:find "the lab.* is closed", name .. ":" .. method .. ": " .. err)
      end
    end
    for object, field in pairs { [backend] = "port", [proxy] = "address", [exchange] = "done", [conn] = "idle" } do
      assert.error_matches(function() return object[field] end, "the lab.* is closed")
    end
  end)

  it("is not for one of its own tasks to do", function()
    local lab <close> = race.lab()
    local task = lab:task(function() lab:close() end)
    assert.error_matches(function() task:wait() end, "a task cannot close its own lab")
    assert.equal(0, lab:now())
  end)
end)

describe("tostring", function()
  it("says what each object is, and in what state", function()
    local lab = race.lab()
    local backend = lab:backend()
    local proxy = lab:proxy { to = backend }
    local client = lab:client { to = proxy }
    assert.equal("lab (virtual time, 0 ms)", tostring(lab))
    assert.equal(("backend 1 (%s, 0 connections)"):format(backend.address), tostring(backend))
    assert.equal(("proxy 1 (%s, 0 sessions, 0 held)"):format(proxy.address), tostring(proxy))
    assert.equal("client 1", tostring(client))

    proxy:hold "awaiting"
    local exchange = client:start { method = "POST", path = "/p", id = "p1", body = "x" }
    assert.equal("exchange POST /p (under way)", tostring(exchange))
    local held = proxy:wait "awaiting"
    assert.equal("held at upstream.awaiting (id p1, attempt 1)", tostring(held))
    assert.equal(("proxy 1 (%s, 1 sessions, 1 held)"):format(proxy.address), tostring(proxy))
    held:release()
    assert.equal("held (released)", tostring(held))
    local reply = exchange:wait()
    assert.equal("200", tostring(reply))
    assert.equal("exchange POST /p (done)", tostring(exchange))
    assert.equal("clean (executed 1, attempts 1)", tostring(lab:verdict "p1"))

    local conn = backend:conn(1)
    assert.equal(("conn 1 (idle, 1 requests, %d bytes in, %d out)"):format(conn.received, conn.sent), tostring(conn))
    conn:close "fin"
    assert.truthy(tostring(conn):find("conn 1 (fin, ", 1, true))

    local task = lab:task(function() lab:advance(1) end)
    assert.equal("task (waiting in lab:task)", tostring(task))
    lab:advance(0)
    task:wait()
    assert.equal("task (done)", tostring(task))
    assert.equal("lab (virtual time, 1 ms)", tostring(lab))

    lab:close()
    local closed = {}
    for i, object in ipairs { lab, backend, proxy, client, exchange, held, conn, task } do
      closed[i] = tostring(object)
    end
    assert.same({ "lab (closed)", "backend (closed)", "proxy (closed)", "client (closed)", "exchange (closed)",
      "held (released)", "conn 1 (lab closed)", "task (dropped)" }, closed)
  end)

  it("says of a reply what came instead of a response", function()
    local lab <close> = race.lab()
    local function told(fault, request)
      fault.times = 1
      local client = lab:client { to = lab:backend { faults = { fault } } }
      return tostring(client:request(request or {}))
    end
    assert.equal("reset", told { on = "request_end", close = "rst" })
    assert.equal("closed", told { on = "request_end", close = "fin" })
    assert.equal("timeout", told({ on = "request_end", close = "stall" }, { timeout_ms = 10 }))
    assert.equal("truncated", told { on = "response_byte", at = 5, close = "fin" })
    assert.equal("invalid", told { on = "request_end", close = "fin", say = "SMTP ready\r\n\r\n" })
    assert.equal("refused", tostring(lab:client({ to = "127.0.0.1:1" }):request {}))
  end)
end)

describe("the timeline", function()
  it("has every entry in order, each with its time", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:proxy { to = lab:backend() } }
    client:request { path = "/one" }
    lab:advance(50)
    client:request { path = "/two" }
    local trace = lab:trace()
    for i, e in ipairs(trace) do
      assert.equal(trace[1].seq + i - 1, e.seq)
      assert.is_true(e.time_ms == 0 or e.time_ms == 50)
      assert.is_true(i == 1 or trace[i - 1].time_ms <= e.time_ms)
    end
    local seen = {}
    for _, e in ipairs(trace) do
      if e.text:find "^GET /" or e.text:find "^HTTP/1.1 200" then
        seen[#seen + 1] = e.who .. " " .. e.what .. "@" .. e.time_ms
      end
    end
    local function once(ms)
      local list = {}
      for _, step in ipairs { "client sent", "session received", "upstream sent" } do
        list[#list + 1] = step .. "@" .. ms
      end
      return list
    end
    for i, wanted in ipairs(once(0)) do assert.equal(wanted, seen[i]) end
    assert.equal("client received@50", seen[#seen])
  end)

  it("prints a line for each entry", function()
    local lab <close> = race.lab()
    lab:client({ to = lab:backend() }):request { path = "/seen" }
    local trace = lab:trace()
    local n = select(2, tostring(trace):gsub("\n", "\n")) + 1
    assert.equal(#trace, n)
    assert.truthy(tostring(trace):find("client 1 +sent +%d+ B +GET /seen HTTP/1.1"))
    assert.is_true(trace_has(lab, "client", "received", "HTTP/1.1 200 OK"))
  end)
end)

describe("race.tally", function()
  it("puts runs of equal results into one line", function()
    local tally = race.tally "byte"
    for i = 1, 3 do tally:add(i, "refused") end
    tally:add(4, "ghost")
    tally:add(5, "refused")
    assert.equal(5, tally:count())
    assert.equal("byte 1-3       refused\nbyte 4         ghost\nbyte 5         refused", tostring(tally))
  end)
end)

describe("race.need", function()
  it("returns the path of a program that is there", function()
    assert.truthy(race.need("sh"):find "/sh$")
    assert.truthy(race.need("/bin/sh"):find "/sh$")
  end)

  it("skips a script that needs another, and says why", function()
    local good, err = pcall(race.need, "no-such-program")
    assert.is_false(good)
    assert.equal("no-such-program is not installed", race.skip_reason(err))
    assert.equal("skipped: no-such-program is not installed", tostring(err))
    assert.is_nil(race.skip_reason("another error"))
    local found, why = race.has "no-such-program"
    assert.is_nil(found)
    assert.equal("no-such-program is not installed", why)
  end)
end)
