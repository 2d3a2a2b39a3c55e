--- Each verdict and each order, as they arise in a lab.

local race = require "closerace"

local function ok(body)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)
end

--- One request, behind a warm pool where `warm` is set.  Returns the verdict and its closed lab's proxy books.
local function meet(case)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = case.faults }
  local proxy = not case.direct and lab:proxy { to = backend, retry = case.retry, retries = case.retries,
    response_timeout_ms = case.response_timeout_ms }
  local client = lab:client { to = proxy or backend, timeout_ms = case.timeout_ms }
  if case.warm then client:request { path = "/warm" } end
  local exchange = client:start { method = case.method, path = case.path or "/v", id = "v", body = case.body }
  if case.act then case.act(lab, backend, proxy, client) end
  exchange:wait()
  return lab:verdict "v"
end

local function check(verdict, wanted)
  for key, value in pairs(wanted) do
    if key == "told" then
      for name, part in pairs(value) do
        assert.equal(part, verdict.told[name], "told." .. name)
      end
    else
      assert.equal(value, verdict[key], key)
    end
  end
end

describe("the verdict", function()
  it("clean: it ran once and was answered", function()
    check(meet { path = "/bytes/1000" }, {
      name = "clean", executed = 1, attempts = 1, connections = 1, reached = false, order = "none", unseen = false,
      id = "v", ms = 0, told = { status = 200, complete = true, closed = false, reset = false, truncated = false,
        timeout = false },
    })
  end)

  it("clean: whatever the status, as long as it is the backend's own answer", function()
    for _, status in ipairs { 201, 204, 301, 404, 500, 502, 503 } do
      check(meet { path = "/status/" .. status }, { name = "clean", executed = 1, told = { status = status } })
    end
  end)

  it("clean: it was lost, sent again, and nobody need know", function()
    check(meet { warm = true, faults = { { on = "request_end", id = "v", close = "rst" } } }, {
      name = "clean", executed = 1, attempts = 2, connections = 2, reached = true, order = "caused",
      told = { status = 200 },
    })
  end)

  it("refused: it never ran, and the client was told", function()
    check(meet { method = "POST", body = "x", faults = { { on = "request_end", id = "v", close = "fin" } } }, {
      name = "refused", executed = 0, attempts = 1, reached = true, order = "caused",
      told = { status = 502, complete = true, closed = false },
    })
  end)

  it("refused: it never ran, and the client was cut off", function()
    for ending, reset in pairs { fin = false, rst = true } do
      check(meet { direct = true, faults = { { on = "request_end", id = "v", close = ending } } }, {
        name = "refused", executed = 0, attempts = 1, reached = true,
        told = { complete = false, closed = true, reset = reset, truncated = false },
      })
    end
  end)

  it("refused: never even sent", function()
    local lab <close> = race.lab()
    lab:client({ to = lab:proxy { to = "127.0.0.1:1" } }):request { id = "v" }
    check(lab:verdict "v", { name = "refused", executed = 0, attempts = 0, connections = 0, reached = false,
      order = "none", told = { status = 502 } })
  end)

  it("ghost: it ran, and the client was told that it failed", function()
    for _, ending in ipairs { "fin", "rst" } do
      check(meet { method = "POST", body = "x", faults = { { on = "executed", id = "v", close = ending } } }, {
        name = "ghost", executed = 1, attempts = 1, reached = true, order = "caused", told = { status = 502 },
      })
    end
  end)

  it("ghost: it ran, and its answer was cut", function()
    check(meet { path = "/bytes/100000", faults = { { on = "response_byte", at = 90000, id = "v", close = "fin" } } }, {
      name = "ghost", executed = 1, attempts = 1, told = { complete = false, closed = true, truncated = true },
    })
  end)

  it("ghost: it ran, and the proxy lost patience", function()
    check(meet { path = "/delay/9000", response_timeout_ms = 1000 }, {
      name = "ghost", executed = 1, ms = 1000, reached = false, order = "none", told = { status = 504 },
    })
  end)

  it("hung: neither an answer nor a close in time, whether it ran or not", function()
    for executed, point in pairs { [0] = "request_end", [1] = "executed" } do
      check(meet { timeout_ms = 5000, faults = { { on = point, id = "v", close = "stall" } } }, {
        name = "hung", executed = executed, attempts = 1, ms = 5000, reached = true,
        told = { timeout = true, complete = false, closed = false },
      })
    end
  end)

  it("twice: it ran more than once, whatever the client was told", function()
    check(meet { faults = { { on = "executed", id = "v", close = "fin" } } }, {
      name = "twice", executed = 2, attempts = 2, connections = 2, reached = true, told = { status = 200 },
    })
    check(meet { faults = { { on = "executed", id = "v", close = "fin", times = 2 } } }, {
      name = "twice", executed = 2, attempts = 2, told = { status = 502 },
    })
    check(meet { method = "POST", body = "x", retry = "always", retries = 3,
      faults = { { on = "executed", id = "v", close = "rst", times = 3 } } }, {
      name = "twice", executed = 4, attempts = 4, connections = 4, told = { status = 200 },
    })
  end)

  it("phantom: it never ran, and the client got a complete success", function()
    -- The backend says something of its own to a request that it did not run.
    check(meet { faults = { { on = "request_end", id = "v", close = "fin", say = ok "said" } } }, {
      name = "phantom", executed = 0, attempts = 1, reached = true, told = { status = 200, complete = true },
    })
  end)

  it("refused, not phantom: it never ran, and what was said is a failure", function()
    check(meet { faults = { { on = "request_end", id = "v", close = "fin",
      say = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" } } }, {
      name = "refused", executed = 0, told = { status = 503 },
    })
  end)

  it("garbled: a foreign response was taken for the answer", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "response_end", id = "a", close = "stall", say = ok "alien" } } }
    local client = lab:client { to = backend }
    client:request { id = "a" }
    lab:advance(0)
    assert.equal("alien", client:request({ id = "b" }).body)
    check(lab:verdict "b", { name = "garbled", executed = 0, told = { status = 200, complete = true } })
    check(lab:verdict "a", { name = "clean", executed = 1 })
  end)

  it("garbled: a response was cut, and looks complete", function()
    -- Only the close tells its end, and a FIN at any place is such a close.
    for ending, name in pairs { fin = "garbled", rst = "ghost" } do
      local lab <close> = race.lab()
      local backend = lab:backend { faults = { { on = "response_byte", at = 3000, id = "v", close = ending } } }
      local reply = lab:client({ to = backend }):raw("GET /id/v/chunked/5000 HTTP/1.0\r\n\r\n"):wait()
      assert.equal(200, reply.status)
      check(lab:verdict "v", { name = name, executed = 1, told = { complete = ending == "fin" } })
    end
  end)

  it("garbled: it ran, and a success came that is not its answer", function()
    -- The backend marks the first response that it says; the one behind it bears no mark, as if from nowhere.
    check(meet { direct = true, faults = { { on = "executed", id = "v", close = "fin",
      say = "HTTP/1.1 103 Early Hints\r\n\r\n" .. ok "alien" } } }, { name = "garbled", executed = 1,
      told = { status = 200, complete = true } })
  end)

  it("goes to pipelined requests one by one", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "executed", id = "p2", close = "fin" } } }
    local client = lab:client { to = backend }
    local exchanges = {}
    for i = 1, 3 do exchanges[i] = client:start { method = "POST", body = "x", id = "p" .. i } end
    for i = 1, 3 do exchanges[i]:wait() end
    check(lab:verdict "p1", { name = "clean", executed = 1, reached = false })
    check(lab:verdict "p2", { name = "ghost", executed = 1, reached = true, order = "caused" })
    check(lab:verdict "p3", { name = "refused", executed = 0, told = { closed = true } })
  end)

  it("is about the newest request with that id, over every attempt that bore it", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    client:request { id = "same" }
    assert.verdict("clean", lab, "same")
    client:request { id = "same" }
    check(lab:verdict "same", { name = "twice", executed = 2, attempts = 2, connections = 1 })
  end)

  it("finds the id in the path, too", function()
    local lab <close> = race.lab()
    lab:client({ to = lab:proxy { to = lab:backend() } }):request { path = "/id/p7/bytes/3" }
    check(lab:verdict "p7", { name = "clean", executed = 1, attempts = 1 })
  end)

  it("counts over all backends of a lab", function()
    local lab <close> = race.lab()
    local one, two = lab:backend(), lab:backend()
    lab:client({ to = one }):request { id = "v" }
    lab:client({ to = two }):request { id = "v" }
    check(lab:verdict "v", { name = "twice", executed = 2, attempts = 2, connections = 2 })
  end)
end)

describe("the order", function()
  it("none: nothing was ended", function()
    check(meet { warm = true }, { order = "none", reached = false, name = "clean" })
  end)

  it("settled: the close was over before the request", function()
    for _, ending in ipairs { "fin", "rst" } do
      check(meet { warm = true, method = "POST", body = "x",
        faults = { { on = "idle", conn = 1, close = ending } } }, {
        order = "settled", reached = false, name = "clean", attempts = 1,
      })
    end
  end)

  it("crossing: the request was in the kernel, unread", function()
    for _, ending in ipairs { "fin", "rst", "plain" } do
      for _, method in ipairs { "GET", "POST" } do
        local again = method == "GET"
        check(meet { warm = true, method = method, body = method == "POST" and "x" or nil,
          faults = { { on = "arrival", conn = 1, request = 2, close = ending } } }, {
          order = "crossing", reached = true, name = again and "clean" or "refused", attempts = again and 2 or 1,
          told = { status = again and 200 or 502 },
        })
      end
    end
  end)

  it("crossing: by hand, too", function()
    for _, ending in ipairs { "fin", "rst" } do
      local lab <close> = race.lab()
      local backend = lab:backend()
      local client = lab:client { to = lab:proxy { to = backend } }
      client:request {}
      local idle = backend:conn(1)
      idle:hold()
      local post = client:start { method = "POST", body = "x", id = "v" }
      assert.is_true(idle:wait_arrival() > 0)
      idle:close(ending)
      post:wait()
      check(lab:verdict "v", { order = "crossing", reached = true, name = "refused", attempts = 1 })
    end
  end)

  it("crossing: the connection had vanished before, and nobody could know", function()
    local can, why = race.has "vanish"
    if not can then
      pending(why)
      return
    end
    for _, method in ipairs { "GET", "POST" } do
      local again = method == "GET"
      check(meet { warm = true, method = method, body = method == "POST" and "x" or nil,
        faults = { { on = "idle", conn = 1, close = "vanish" } } }, {
        order = "crossing", name = again and "clean" or "refused", told = { status = again and 200 or 502 },
      })
    end
  end)

  it("caused: the request's own bytes triggered the end", function()
    for _, fault in ipairs {
      { on = "request_byte", at = 3 }, { on = "request_line" }, { on = "request_head" }, { on = "request_end" },
      { on = "executed" }, { on = "response_byte", at = 3 }, { on = "response_head" },
    } do
      fault.conn, fault.request, fault.close = 1, 2, "rst"
      local ran = fault.on == "executed" or fault.on:find "^response"
      check(meet { warm = true, method = "POST", body = "x", path = "/bytes/10", faults = { fault } }, {
        order = "caused", reached = true, name = ran and "ghost" or "refused", attempts = 1,
      })
    end
  end)

  it("held: at a checkpoint of our own proxy", function()
    for _, ending in ipairs { "fin", "rst" } do
      local lab <close> = race.lab()
      local backend = lab:backend()
      local proxy = lab:proxy { to = backend }
      local client = lab:client { to = proxy }
      client:request {}
      proxy:hold "sending"
      local get = client:start { id = "v" }
      proxy:wait "sending"
      backend:conn(1):close(ending)
      proxy:release "sending"
      get:wait()
      check(lab:verdict "v", { order = "held", reached = true, name = "clean" })
    end
  end)

  it("is that of the connection it rode, not of another one", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local proxy = lab:proxy { to = backend }
    local one, two = lab:client { to = proxy }, lab:client { to = proxy }
    local first, second = one:start { path = "/delay/1" }, two:start { path = "/delay/1" }
    first:wait()
    second:wait()
    proxy:hold("sending", { id = "v" })
    local get = one:start { id = "v" }
    local held = proxy:wait "sending"
    backend:conn(held.n == 1 and 2 or 1):close "rst"
    proxy:release "sending"
    get:wait()
    local verdict = lab:verdict "v"
    check(verdict, { name = "clean", reached = false, attempts = 1 })
    assert.not_equal("held", verdict.order)
  end)
end)

describe("a request of a program under test, of which it tells what became,", function()
  --- What is made of a tale.  The program is a client of the lab's own here: only the newest exchange is judged.
  local function judged(tale, request, faults, before)
    local lab <close> = race.lab()
    local backend = lab:backend { faults = faults }
    local client = lab:client { to = backend }
    client:request { id = "warm" }
    if before then before(lab, backend) end
    request.id = "v"
    local truth = client:request(request)
    local exchange = lab:client({ to = backend }):watch {
      method = request.method, path = request.path, id = "v", body = request.body,
    }
    assert.is_false(exchange.done)
    if type(tale) == "function" then tale = tale(truth) end
    exchange:tell(tale)
    assert.is_true(exchange.done)
    return lab:verdict "v", truth
  end

  local function check_judged(expected, ...)
    local verdict = judged(...)
    for name, value in pairs(expected) do assert.equal(value, verdict[name], name) end
    return verdict
  end

  local CUT = { { id = "v", on = "response_byte", at = 200, close = "fin" } }
  local DIED = { { id = "v", on = "executed", close = "fin" } }
  local UNREAD = { { id = "v", on = "request_end", close = "fin" } }
  it("is judged by what it was given, where it says that", function()
    local function whole(truth) return { complete = true, status = 200, mark = truth.mark, body = truth.body } end
    local function cut(truth) return { complete = true, status = 200, mark = truth.mark, body = truth.body:sub(2) } end
    local function foreign(truth) return { complete = true, status = 200, mark = truth.mark + 1, body = truth.body } end
    check_judged({ name = "clean", executed = 1, attempts = 1, order = "none" }, whole, { path = "/bytes/100" })
    check_judged({ name = "garbled" }, cut, { path = "/bytes/100" })
    check_judged({ name = "garbled" }, foreign, { path = "/bytes/100" })
  end)

  it("is judged by the books, where it says only that it was answered", function()
    local verdict, truth = judged({ complete = true }, { path = "/bytes/100" })
    assert.same({ "clean", 200, truth.mark }, { verdict.name, verdict.told.status, verdict.mark })
    verdict, truth = judged({ complete = true }, { path = "/status/404" })
    assert.same({ "clean", 404, truth.mark }, { verdict.name, verdict.told.status, verdict.mark })
    check_judged({ name = "garbled", order = "caused", reached = true }, { complete = true }, { path = "/bytes/100" },
      CUT)
    check_judged({ name = "garbled" }, { complete = true }, { method = "HEAD", path = "/bytes/100" },
      { { id = "v", on = "response_byte", at = 20, close = "fin" } })
    check_judged({ name = "garbled" }, { complete = true }, { path = "/bytes/100" }, DIED)
    check_judged({ name = "phantom" }, { complete = true }, { path = "/bytes/100" }, UNREAD)
  end)

  it("was answered by what was said, where nothing else was", function()
    local said = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"
    local verdict = judged({ complete = true }, { path = "/bytes/100" },
      { { id = "v", on = "request_end", close = "fin", say = said } })
    assert.same({ "refused", 413 }, { verdict.name, verdict.told.status })
  end)

  it("is refused, ghost or hung where it failed, or never ended", function()
    local verdict = check_judged({ name = "refused" }, {}, { path = "/bytes/100" }, UNREAD)
    assert.is_true(verdict.told.failed)
    assert.is_false(verdict.told.complete)
    check_judged({ name = "ghost" }, {}, { path = "/bytes/100" }, DIED)
    check_judged({ name = "hung" }, { timeout = true }, { path = "/bytes/100" }, DIED)
  end)

  it("is settled where the close was over before it began", function()
    check_judged({ name = "clean", order = "settled", reached = false }, { complete = true }, { path = "/" }, nil,
      function(lab, backend)
        backend:conn(1):close "fin"
        lab:advance(0)
      end)
  end)

  it("was executed as it was sent, if somebody knows how that was", function()
    check_judged({ name = "clean", altered = 0 }, { complete = true }, { method = "POST", body = "amount=10" })
    for body, expected in pairs { [false] = { "ghost", 1, 0 }, ["amount=99"] = { "refused", 0, 1 } } do
      local lab <close> = race.lab()
      local backend = lab:backend()
      lab:client({ to = backend }):request { method = "POST", id = "v", body = "amount=10" }
      lab:client({ to = backend }):watch({ method = "POST", id = "v", body = body or nil }):tell {}
      local verdict = lab:verdict "v"
      assert.same(expected, { verdict.name, verdict.executed, verdict.altered })
    end
  end)

  it("is told once, and only where it was to be", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend() }
    local exchange = client:watch { id = "v" }
    exchange:tell {}
    assert.error_matches(function() exchange:tell {} end, "exchange:tell: .*once")
    assert.error_matches(function() client:start({}):tell {} end, "client:watch")
    assert.error_matches(function() client:watch {} end, "client:watch: id is missing")
    assert.error_matches(function() lab:verdict(client:watch({ id = "w" }).id) end, "still under way")
  end)
end)

describe("lab:verdict", function()
  it("waits until nothing is under way, unless it is told not to", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    lab:client({ to = backend }):request { id = "v" }
    local other = lab:client({ to = backend }):start {}
    assert.equal("clean", lab:verdict("v", { wait = false }).name)
    assert.is_false(other.done)
    assert.equal("clean", lab:verdict("v", { wait = true }).name)
    assert.is_true(other.done)
  end)
end)

describe("in busted", function()
  it("assert.verdict and assert.reached hold, or show the timeline", function()
    local lab <close> = race.lab()
    local client = lab:client { to = lab:backend { faults = { { on = "executed", id = "v", close = "fin" } } } }
    client:request { id = "v" }
    client:request { id = "w" }
    assert.verdict("ghost", lab, "v")
    assert.not_verdict("clean", lab, "v")
    assert.reached(lab, "v")
    assert.not_reached(lab, "w")
    local cases = {
      { function() assert.verdict("clean", lab, "v") end, "Expected the verdict clean, got ghost" },
      { function() assert.not_verdict("ghost", lab, "v") end, "Expected another verdict than ghost" },
      { function() assert.reached(lab, "w") end, "Expected w to reach" },
      { function() assert.not_reached(lab, "v") end, "Expected v not to reach" },
    }
    for _, case in ipairs(cases) do
      local good, err = pcall(case[1])
      assert.is_false(good)
      local text = type(err) == "table" and tostring(err.message or err) or err
      assert.truthy(text:find(case[2], 1, true), text)
      assert.truthy(text:find("GET / HTTP/1.1", 1, true), text)
    end
  end)
end)
