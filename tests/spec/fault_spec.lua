--- Which fault meets which request.
local race = require "closerace"

--- Play requests one after the other (on one connection as long as it lasts), with faults; a request is a table for
-- client:request.
-- @return the statuses, with false where a request was cut off, and the backend's ledger
local function play(faults, requests)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = faults }
  local client = lab:client { to = backend }
  local statuses = {}
  for n, request in ipairs(requests) do
    statuses[n] = client:request(request).status or false
  end
  local seen = {}
  for _, attempt in ipairs(backend:ledger()) do
    if not attempt.unseen then seen[#seen + 1] = attempt end
  end
  return statuses, seen
end

local function numbered(n)
  local requests = {}
  for i = 1, n do requests[i] = { path = "/" .. i, id = "f" .. i } end
  return requests
end

local function rst(match, on)
  match.on, match.close = on or "request_end", "rst"
  return match
end

describe("a fault", function()
  it("without a match meets the first request", function()
    assert.same({ false, 200, 200 }, (play({ rst {} }, numbered(3))))
  end)

  it("fires as often as times says, then never again", function()
    assert.same({ false, false, false, 200, 200 }, (play({ rst { times = 3 } }, numbered(5))))
  end)

  it("counts requests on their own connection", function()
    -- 1 and 2 on the first connection, 3 and 4 on the second …
    assert.same({ 200, false, 200, false, 200, 200 }, (play({ rst { request = 2, times = 2 } }, numbered(6))))
  end)

  it("counts connections as they were accepted", function()
    assert.same({ 200, false, 200, 200 },
      (play({ rst { conn = 2 }, { conn = 1, request = 1, on = "response_end", close = "fin" } }, numbered(4))))
  end)

  it("wants all its keys to match", function()
    local exact = rst { conn = 1, request = 3, path = "/3", method = "GET", id = "f3" }
    assert.same({ 200, 200, false, 200 }, (play({ exact }, numbered(4))))
    for key, value in pairs { conn = 2, request = 2, path = "/x", method = "PUT", id = "x" } do
      local fault = rst { conn = 1, request = 3, path = "/3", method = "GET", id = "f3", optional = true }
      fault[key] = value
      assert.same({ 200, 200, 200, 200 }, (play({ fault }, numbered(4))), key)
    end
  end)

  it("knows the method", function()
    for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH" } do
      local requests = { { method = "TRACE" }, { method = method }, { method = "TRACE" } }
      assert.same({ 200, false, 200 }, (play({ rst { method = method } }, requests)), method)
    end
    assert.same({ 200 }, (play({ rst { method = "GE", optional = true } }, { {} })))
    assert.same({ 200 }, (play({ rst { method = "get", optional = true } }, { {} })))
  end)

  it("knows the path, exactly, without its query", function()
    local paths = { "/a", "/a/b", "/a/", "/A", "/b/a", "/a%62", "/ab" }
    for n, path in ipairs(paths) do
      local requests, wanted = {}, {}
      for i, other in ipairs(paths) do
        requests[i], wanted[i] = { path = other .. "?q=" .. path }, i ~= n and 200
      end
      assert.same(wanted, (play({ rst { path = path } }, requests)), path)
    end
  end)

  it("knows the id, from the header or from the path, and the header has precedence", function()
    local requests = {
      { path = "/id/other/x" }, { path = "/id/me/x" }, { path = "/x", id = "me" }, { path = "/id/me/x", id = "other" },
      { path = "/id/me" }, { path = "/id/me?x" }, { path = "/x/id/me/y" }, { path = "/id/mee/x" }, { path = "/id/" },
    }
    assert.same({ 200, false, false, 200, false, false, 200, 200, 200 },
      (play({ rst { id = "me", times = 9 } }, requests)))
  end)

  it("knows the id wherever the header stands, in any case", function()
    for n = 0, 3 do
      local headers = { { "A", "1" }, { "B", "2" }, { "C", "3" } }
      table.insert(headers, n + 1, { "x-CLOSErace-iD", "me" })
      assert.same({ false }, (play({ rst { id = "me" } }, { { headers = headers } })))
    end
  end)

  it("that matches first wins, and there is one a request", function()
    local statuses, ledger = play({
      { id = "f2", on = "request_line", close = "fin" },
      { request = 2, on = "response_end", close = "rst", optional = true },
      { on = "executed", close = "plain", times = 9 },
    }, numbered(3))
    assert.same({ false, false, false }, statuses)
    assert.same({ "executed", "request_line", "executed" },
      { ledger[1].ended_on, ledger[2].ended_on, ledger[3].ended_on })
    assert.same({ "plain", "fin", "plain" }, { ledger[1].ending, ledger[2].ending, ledger[3].ending })
  end)

  it("that is spent lets the next one have its turn", function()
    local _, ledger = play({
      { on = "request_line", close = "fin", times = 2 },
      { on = "request_head", close = "fin" },
      { on = "executed", close = "fin", times = 2 },
    }, numbered(6))
    local points = {}
    for n, attempt in ipairs(ledger) do points[n] = attempt.ended_on or "none" end
    assert.same({ "request_line", "request_line", "request_head", "executed", "executed", "none" }, points)
  end)

  it("decides on what can be known: an id that comes late is waited for", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = {
      { id = "late", on = "request_byte", at = 1, close = "rst" },
      { on = "request_line", close = "fin", optional = true },
    } }
    local exchange = lab:client { to = backend }:raw "GET / HTTP/1.1\r\nHost: h\r\n"
    lab:advance(0)
    assert.False(exchange.done)                       -- the line is there, and more; but whose is it?
    exchange:send "X-Closerace-Id: late\r\n\r\n"
    assert.is_true(exchange:wait().reset)
    local attempt = backend:ledger "late"[1]
    assert.same({ 1, "request_byte" }, { attempt.read, attempt.ended_on })
  end)

  it("meets each of several pipelined requests on its own", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { rst({ id = "p3" }, "response_head") } }
    local client = lab:client { to = backend }
    local exchanges = {}
    for n = 1, 5 do exchanges[n] = client:start { id = "p" .. n } end
    for n, exchange in ipairs(exchanges) do
      local reply = exchange:wait()
      assert.equal(n < 3, reply.complete)
      assert.equal(n >= 3, reply.reset)
      local attempt = backend:ledger("p" .. n)[1]
      assert.equal(n <= 3 and 1 or 0, attempt.executed)
      assert.equal(n > 3, attempt.unread > 0)
    end
  end)

  it("may be added while the lab runs", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    local client = lab:client { to = backend }
    assert.equal(200, client:request {}.status)
    backend:fault(rst { request = 2 })
    assert.is_true(client:request {}.reset)
    assert.equal(200, client:request {}.status)
  end)

  it("belongs to its backend", function()
    local lab <close> = race.lab()
    local one, two = lab:backend { faults = { rst {} } }, lab:backend()
    assert.equal(200, lab:client { to = two }:request {}.status)
    assert.is_true(lab:client { to = one }:request {}.reset)
  end)
end)

describe("an accept fault", function()
  it("meets the n-th connection, before anything is read", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { conn = 2, on = "accept", close = "rst" } } }
    local told = {}
    for n = 1, 3 do told[n] = lab:client { to = backend }:request { id = "a" .. n }.status or false end
    assert.same({ 200, false, 200 }, told)
    assert.equal(0, #backend:ledger "a2")
  end)

  it("leaves the other faults to the requests of the other connections", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = {
      { on = "request_end", close = "rst" }, { on = "accept", close = "fin" },
    } }
    local client = lab:client { to = backend }
    assert.is_true(client:request {}.closed)
    assert.is_true(client:request {}.reset)
    assert.equal(200, client:request {}.status)
  end)
end)

describe("a lab that closes", function()
  local function close_with(fault, requests)
    local lab = race.lab()
    local client = lab:client { to = lab:backend { faults = { fault } } }
    for n = 1, requests or 0 do client:request { id = "u" .. n } end
    return pcall(lab.close, lab)
  end

  it("fails for a fault that never fired, and names it", function()
    local good, why = close_with(rst { id = "nobody" }, 2)
    assert.False(good)
    assert.matches('fault 1 of backend 1 never fired %(on = "request_end", close = "rst"%)', tostring(why))
  end)

  it("does not where the fault is optional", function()
    assert.is_true(close_with(rst { id = "nobody", optional = true }, 2))
  end)

  it("does not where it has fired, though less often than times allows", function()
    assert.is_true(close_with(rst { times = 5 }, 1))
  end)

  for _, fault in ipairs {
    { on = "accept", close = "fin", conn = 9 }, { on = "idle", close = "fin", request = 9 },
    { on = "response_byte", at = 5000, close = "fin" }, { on = "request_byte", at = 5000, close = "fin" },
  } do
    it(("fails for a %s that was never reached"):format(fault.on), function()
      local good, why = close_with(fault, 2)
      assert.False(good)
      assert.matches("never fired", tostring(why))
    end)
  end

  it("closes all the same", function()
    local lab = race.lab()
    local backend = lab:backend { faults = { rst {} } }
    assert.False((pcall(lab.close, lab)))
    assert.matches("closed", tostring(backend))
    assert.error(function() backend:ledger() end)
  end)
end)

-- Only time can show silence: these labs have real time.
describe("a connection that has vanished", function()
  local needs = race.has "vanish" and it or pending

  local function quiet_after(story)
    local lab <close> = race.lab { real_time = true }
    local backend = lab:backend()
    local client = lab:client { to = backend, timeout_ms = 0 }
    story(lab, backend, client)
    lab:advance(120)                            -- a delayed acknowledgement would come within 40 ms
    return not tostring(lab:trace()):find "client 1 +reset"
  end

  needs("behind a response is silent, though the peer's kernel has something to acknowledge", function()
    for _ = 1, 5 do
      assert.is_true(quiet_after(function(_, backend, client)
        client:request { path = "/bytes/400" }
        backend:conn(1):close "vanish"
      end))
    end
  end)

  needs("in a response is silent", function()
    for _ = 1, 5 do
      assert.is_true(quiet_after(function(_, backend, client)
        backend:fault { on = "response_byte", at = 60, close = "vanish" }
        client:start { path = "/bytes/400" }
      end))
    end
  end)

  needs("in a request is silent", function()
    assert.is_true(quiet_after(function(_, backend, client)
      backend:fault { on = "request_head", close = "vanish" }
      client:start { method = "POST", path = "/pay", body = "amount=10" }
    end))
  end)
end)

describe("what is sent to a connection that close(2) has left without anybody", function()
  it("is in the ledger", function()
    local can, why = race.has "witness"
    if not can then return pending(why) end
    local lab <close> = race.lab()
    local backend = lab:backend()
    local proxy = lab:proxy { to = backend }
    local client = lab:client { to = proxy }
    client:request { path = "/warm" }
    proxy:hold "sending"
    local post = client:start { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
    proxy:wait "sending"
    backend:conn(1):close "plain"
    proxy:release "sending"
    assert.equal(502, post:wait().status)
    local verdict, seen = lab:verdict "p1", backend:ledger "p1"[1]
    assert.same({ "refused", 1, "held" }, { verdict.name, verdict.attempts, verdict.order })
    assert.same({ true, 0, "plain" }, { seen.after_end, seen.read, seen.ending })
    assert.is_true(seen.unread > 0)
  end)
end)
