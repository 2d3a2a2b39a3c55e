--- A mistake in a script raises at the script's own line, and says what is allowed.

local race = require "closerace"

local NAMES = "local race, lab, backend, proxy, client, conn, exchange, held, bytes = ...\n"
local DAY_MS = 24 * 60 * 60 * 1000

--- Objects of each kind: one request was answered, another is held before its first byte.
local function stage()
  local lab = race.lab()
  local backend = lab:backend()
  local proxy = lab:proxy { to = backend }
  local client = lab:client { to = proxy }
  local exchange = client:start { id = "first" }
  exchange:wait()
  proxy:hold "sending"
  local other = lab:client { to = proxy }
  other:start { id = "second" }
  local held = proxy:wait "sending"
  return lab, backend, proxy, client, backend:conn(1), exchange, held, ("x"):rep(100)
end

--- Run one line, the third of a chunk called "script".
local function run(code)
  local chunk = assert(load(NAMES .. "\n" .. code, "=script"))
  local objects = table.pack(stage())
  local good, err = pcall(chunk, race, table.unpack(objects, 1, objects.n))
  pcall(objects[1].close, objects[1])                  -- it complains of the one that is held
  return good, err
end

local function accepts(code)
  local good, err = run(code)
  assert.is_true(good, code .. "\n" .. tostring(err))
end

--- It raises at line 3, and the message has every text of the list.
local function refuses(code, texts)
  local good, err = run(code)
  assert.is_false(good, code .. "\nraised nothing")
  assert.equal("string", type(err), code)
  assert.equal("script:3: ", err:sub(1, 10), code .. "\n" .. err)
  for _, text in ipairs(texts) do
    assert.truthy(err:find(text, 1, true), ("%s\n%s\nlacks: %s"):format(code, err, text))
  end
end

--- Each entry: the code, then what its message must say.
local function all_refused(list)
  for _, entry in ipairs(list) do refuses(entry[1], { table.unpack(entry, 2) }) end
end

--- A number's limits, each from both sides; %s in the code stands for the number.
local function limits(code, name, least, most)
  local allowed = ("%d to %d"):format(least, most)
  accepts(code:format(least))
  accepts(code:format(most))
  for _, bad in ipairs { least - 1, most + 1 } do refuses(code:format(bad), { name, allowed }) end
  for _, bad in ipairs { "1.5", "'many'", "{}", "1e30", "0/0" } do refuses(code:format(bad), { name }) end
end

--- A word out of a list; %q in the code stands for it.
local function words(code, name, list)
  for _, word in ipairs(list) do
    if word ~= "vanish" or race.has "vanish" then
      accepts(code:format(word))
    else
      refuses(code:format(word), { name, "CAP_NET_ADMIN" })
    end
  end
  local texts = { name, "boom" }
  table.move(list, 1, #list, 3, texts)
  refuses(code:format "boom", texts)
  refuses(code:format "", { name })
  refuses(code:format(list[1] .. " "), { name })
  refuses(code:format(list[1]:upper()), { name })
  refuses(code:gsub("%%q", "{}"), { name })
end

describe("race.lab", function()
  it("refuses options that it does not know", function()
    all_refused {
      { "race.lab { dead_line_ms = 1 }", "race.lab", "unknown option 'dead_line_ms'", "deadline_ms, real_time" },
      { "race.lab { 5 }", "unknown option '1'", "deadline_ms" },
      { "race.lab(5)", "race.lab", "expected a table of options, got number" },
      { "race.lab { real_time = 1 }", "real_time", "true or false", "number" },
    }
  end)

  it("knows the limits of its deadline", function()
    limits("race.lab { deadline_ms = %s }", "deadline_ms", 1, DAY_MS)
    limits("lab:deadline(%s)", "", 1, DAY_MS)
  end)
end)

describe("lab", function()
  it("advances by whole milliseconds that are not negative", function()
    accepts "lab:advance(0)"
    accepts "lab:advance(2.0)"
    all_refused {
      { "lab:advance(-1)", "milliseconds" }, { "lab:advance(1.5)", "number" }, { "lab:advance()", "number expected" },
      { "lab:advance(1e13)", "milliseconds" },
    }
  end)

  it("judges only requests that there were, when they are over", function()
    all_refused {
      { "lab:verdict 'third'", "lab:verdict", "'third'" },
      { "lab:verdict 'second'", "'second' is still under way" },
      { "lab:verdict()", "string expected" },
      { "lab:verdict('first', { wiat = true })", "lab:verdict", "unknown option 'wiat'", "wait" },
      { "lab:verdict('first', { wait = 1 })", "lab:verdict", "wait" },
    }
  end)

  it("wants a function for a task", function()
    all_refused { { "lab:task(5)", "function expected" }, { "lab:task()", "function expected" } }
  end)

  it("is told from other objects", function()
    all_refused { { "lab.backend(proxy)", "closerace.lab expected" }, { "proxy.pool(lab)", "closerace.proxy expected" },
      { "lab.advance(5, 5)", "closerace.lab expected" } }
  end)
end)

describe("lab:backend", function()
  it("refuses options that it does not know, and wrong values", function()
    all_refused {
      { "lab:backend { keepalive_ms = 5 }", "lab:backend", "unknown option 'keepalive_ms'", "keep_alive_ms",
        "keep_alive_close", "keep_alive_hint", "upstream", "faults" },
      { "lab:backend(5)", "expected a table of options" },
      { "lab:backend { keep_alive_hint = 'perhaps' }", "keep_alive_hint", "true, false" },
      { "lab:backend { upstream = 'localhost' }", "upstream", "localhost", "ADDR:PORT" },
      { "lab:backend { upstream = '127.0.0.1:0' }", "upstream", "ADDR:PORT" },
      { "lab:backend { upstream = '127.0.0.1:65536' }", "upstream", "ADDR:PORT" },
      { "lab:backend { faults = 'some' }", "faults", "list of faults", "string" },
      { "lab:backend { faults = { on = 'idle', close = 'fin' } }", "faults", "list of faults" },
    }
  end)

  it("knows the limits of keep_alive_ms and the endings", function()
    limits("lab:backend { keep_alive_ms = %s }", "keep_alive_ms", 0, 2147483647)
    words("lab:backend { keep_alive_close = %q }", "keep_alive_close", race.words().endings)
  end)
end)

describe("a fault", function()
  local function fault(rest) return "backend:fault { optional = true, " .. rest .. " }" end

  it("must have a point and an ending that there are", function()
    words(fault "on = %q, close = 'fin', at = nil", "on",
      { "accept", "idle", "arrival", "request_line", "request_head", "request_end", "executed", "interim",
        "response_head", "response_end" })
    refuses(fault "on = 'nowhere', close = 'fin'", { "on", "nowhere", table.unpack(race.words().points) })
    words(fault "on = 'executed', close = %q", "close", race.words().endings)
    all_refused {
      { fault "close = 'fin'", "on is needed" },
      { fault "on = 'executed'", "close is needed" },
      { "backend:fault()", "table expected" },
      { fault "on = 'executed', close = 'fin', where = 1", "unknown option 'where'", "after_ms", "announce" },
    }
  end)

  it("is told by its place in the list", function()
    refuses("lab:backend { faults = { { on = 'idle', close = 'fin', optional = true }, { on = 'x', close = 'fin' } } }",
      { "lab:backend: faults[2]", "on", "'x'" })
    refuses("lab:backend { faults = { 5 } }", { "faults[1]", "expected a table" })
  end)

  it("has `at` where and only where the point wants it", function()
    for _, point in ipairs { "request_byte", "response_byte" } do
      refuses(fault("on = '" .. point .. "', close = 'fin'"), { "at is needed with " .. point })
      accepts(fault("on = '" .. point .. "', close = 'fin', at = 1"))
      refuses(fault("on = '" .. point .. "', close = 'fin', at = 0"), { "at", "'0'" })
    end
    refuses(fault "on = 'executed', close = 'fin', at = 5", { "at", "executed" })
    accepts(fault "on = 'request_byte', close = 'fin', at = 18 / 2")
    refuses(fault "on = 'request_byte', close = 'fin', at = 9 / 2", { "at", "4.5" })
  end)

  it("has after_ms only with idle", function()
    limits(fault "on = 'idle', close = 'fin', after_ms = %s", "after_ms", 0, 2147483647)
    refuses(fault "on = 'executed', close = 'fin', after_ms = 5", { "after_ms", "idle", "executed" })
  end)

  it("is announced only by a response in front of it", function()
    for _, point in ipairs { "idle", "response_head", "response_end" } do
      accepts(fault("announce = true, close = 'fin', on = '" .. point .. "'"))
    end
    accepts(fault "announce = true, close = 'fin', on = 'response_byte', at = 5")
    for _, point in ipairs { "accept", "arrival", "request_end", "executed", "interim" } do
      refuses(fault("announce = true, close = 'fin', on = '" .. point .. "'"), { "announce", point })
    end
    refuses(fault "on = 'idle', close = 'fin', announce = 'perhaps'", { "announce", "true or false" })
  end)

  it("matches by what is known at its point", function()
    for _, key in ipairs { "method = 'GET'", "path = '/'", "id = 'x'" } do
      refuses(fault("on = 'accept', close = 'fin', " .. key), { "accept", "conn" })
      refuses(fault("on = 'idle', close = 'fin', " .. key), { "idle", "conn" })
      accepts(fault("on = 'arrival', close = 'fin', " .. key))
    end
    refuses(fault "on = 'accept', close = 'fin', request = 1", { "accept" })
  end)

  it("has limits of its own", function()
    limits(fault "on = 'executed', close = 'fin', times = %s", "times", 1, 4294967295)
    limits(fault "on = 'executed', close = 'fin', conn = %s", "conn", 0, 4294967295)
    limits(fault "on = 'executed', close = 'fin', request = %s", "request", 0, 4294967295)
    accepts(fault "on = 'executed', close = 'fin', say = bytes:rep(10) .. ('y'):rep(24)")
    refuses(fault "on = 'executed', close = 'fin', say = bytes:rep(10) .. ('y'):rep(25)", { "say", "1024" })
    accepts(fault "on = 'executed', close = 'fin', say = 'a\\0b'")
    for key, most in pairs { method = 15, path = 255, id = 63 } do
      local code = "on = 'executed', close = 'fin', %s = ('x'):rep(%d)"
      accepts(fault(code:format(key, most)))
      refuses(fault(code:format(key, most + 1)), { key, tostring(most) })
      refuses(fault(code:format(key, 0)), { key })
    end
    refuses(fault "on = 'executed', close = 'fin', path = '/a\\0b'", { "path" })
  end)
end)

describe("backend:conn", function()
  it("knows only connections that there are", function()
    all_refused {
      { "backend:conn(0)", "no connection 0", "1 was accepted" },
      { "backend:conn(2)", "no connection 2", "1 was accepted" },
      { "lab:backend():conn(1)", "no connection 1", "0 were accepted" },
      { "backend:conn 'x'", "number expected" },
      { "backend:conn()", "number expected" },
      { "backend:conn {}", "carried is missing" },
      { "backend:conn { carried = 5 }", "carried", "expected a string" },
      { "backend:conn { carried = 'nobody' }", "no connection carried 'nobody'" },
      { "backend:conn { caried = 'first' }", "unknown option 'caried'", "carried" },
    }
    accepts "backend:conn { carried = 'first' }"
  end)

  it("holds and releases two directions", function()
    accepts "conn:hold() conn:hold 'reading' conn:hold 'sending' conn:release 'reading' conn:release 'sending'"
    accepts "conn:hold() conn:hold 'sending' conn:release() conn:hold() conn:release()"
    all_refused {
      { "conn:hold 'both'", "both" },
      { "conn:release()", "nothing of it is held", "conn:hold()" },
      { "conn:release 'reading'", "its reading is not held" },
      { "conn:wait_server_end()", "built in", "upstream" },
      { "conn:release 'sending'", "its sending is not held" },
      { "conn:wait_arrival()", "reading is not held", "conn:hold()" },
      { "conn:hold() conn:wait_arrival(0)", "from 1" },
      { "conn:hold() conn:wait_arrival 'much'", "number expected" },
    }
  end)

  it("is closed once, by an ending that there is", function()
    words("conn:close %q", "close", race.words().endings)
    all_refused {
      { "conn:close()", "string expected" },
      { "conn:close('fin', { sey = 'x' })", "unknown option 'sey'", "say" },
      { "conn:close('fin', { say = 5 })", "say", "expected a string" },
      { "conn:close 'stall' conn:close 'rst'", "has ended already", "stall" },
      { "conn:close 'rst' lab:advance(0) conn:hold()", "connection 1 is closed" },
    }
  end)

end)

describe("lab:proxy", function()
  it("must know whom it serves", function()
    all_refused {
      { "lab:proxy()", "lab:proxy: to is missing", "ADDR:PORT" },
      { "lab:proxy {}", "lab:proxy: to is missing" },
      { "lab:proxy { to = 5 }", "lab:proxy: to", "ADDR:PORT", "5" },
      { "lab:proxy { to = 'here' }", "lab:proxy: to", "here" },
      { "lab:proxy { to = '127.0.0.1:' }", "lab:proxy: to" },
      { "lab:proxy { to = '127.0.0.1:65536' }", "lab:proxy: to" },
      { "lab:proxy { to = client }", "lab:proxy: to" },
      { "lab:proxy { to = {} }", "lab:proxy: to", "empty" },
      { "lab:proxy { to = { backend, 1 } }", "lab:proxy: to", "ADDR:PORT" },
      { "local list = {} for i = 1, 17 do list[i] = backend end lab:proxy { to = list }", "to", "at most 16" },
      { "lab:proxy { to = backend, upstream = '127.0.0.1:1' }", "unknown option 'upstream'", "to" },
    }
    accepts "lab:proxy { to = backend }"
    accepts "lab:proxy { to = proxy }"
    accepts "lab:proxy { to = { backend, '127.0.0.1:1' } }"
    accepts "lab:proxy { to = '127.0.0.1:65535' }"
  end)

  it("refuses options that it does not know, with a list of those that it does", function()
    refuses("lab:proxy { to = backend, retires = 1 }", { "lab:proxy", "unknown option 'retires'", "reuse", "retry",
      "retries", "backoff_ms", "retry_list", "verify", "pool_size", "max_uses", "idle_timeout_ms", "honour_keep_alive",
      "keep_alive_margin_ms", "connect_timeout_ms", "response_timeout_ms", "client_timeout_ms", "linger_ms",
      "replay_bytes", "head_bytes", "probe_unsafe", "spares", "persist_client", "head_timeout_ms",
      "tunnel_timeout_ms" })
  end)

  it("knows its policies by name", function()
    words("lab:proxy { to = backend, reuse = %q }", "reuse", race.words().reuse)
    words("lab:proxy { to = backend, retry = %q }", "retry", race.words().retry)
    words("lab:proxy { to = backend, verify = %q }", "verify", { "none", "peek", "options" })
    words("lab:proxy { to = backend, probe_unsafe = %q }", "probe_unsafe", { "none", "expect", "fresh" })
    accepts "lab:proxy { to = backend, honour_keep_alive = true }"
    accepts "lab:proxy { to = backend, honour_keep_alive = false }"
    refuses("lab:proxy { to = backend, honour_keep_alive = 2 }", { "honour_keep_alive", "true", "false" })
    assert.same({ "never", "static", "idempotent", "always" }, race.words().reuse)
    assert.same({ "never", "static", "idempotent", "listed", "always" }, race.words().retry)
  end)

  it("knows the limits of its numbers", function()
    for name, pair in pairs {
      retries = { 0, 100 }, backoff_ms = { 0, DAY_MS }, pool_size = { 0, 1000000 }, max_uses = { 0, 1000000 },
      idle_timeout_ms = { 0, DAY_MS }, keep_alive_margin_ms = { 0, DAY_MS }, connect_timeout_ms = { 0, DAY_MS },
      response_timeout_ms = { 0, DAY_MS }, client_timeout_ms = { 0, DAY_MS }, linger_ms = { 0, DAY_MS },
      head_timeout_ms = { 0, DAY_MS }, tunnel_timeout_ms = { 0, DAY_MS },
      replay_bytes = { 0, 64 * 1024 * 1024 }, head_bytes = { 256, 1024 * 1024 },
    } do
      limits("lab:proxy { to = backend, " .. name .. " = %s }", name, pair[1], pair[2])
    end
    limits("lab:proxy { to = backend, pool_size = 1000, spares = %s }", "spares", 0, 1000)
    refuses("lab:proxy { to = backend, spares = 129 }", { "spares: 129", "pool_size (128)" })
    refuses("lab:proxy { to = backend, spares = 1, reuse = 'never' }", { "spares", "reuse never" })
    accepts "lab:proxy { to = backend, pool_size = 10 / 2 }"
    refuses("lab:proxy { to = backend, pool_size = true }", { "pool_size" })
  end)

  it("reads a retry_list that is a line or a list of lines", function()
    accepts "lab:proxy { to = backend, retry_list = 'POST /search*' }"
    accepts "lab:proxy { to = backend, retry_list = { 'POST /a', '* /b' } }"
    accepts("local list = {} for i = 1, 2000 do list[i] = 'POST /' .. i end "
      .. "lab:proxy { to = backend, retry_list = list }")
    all_refused {
      { "local list = {} for i = 1, 9000 do list[i] = 'POST /' .. i end lab:proxy { to = backend, retry_list = list }",
        "retry_list" },
      { "lab:proxy { to = backend, retry_list = '/search' }", "retry_list", "/search", "METHOD path-pattern" },
      { "lab:proxy { to = backend, retry_list = 'POST ' }", "retry_list", "METHOD path-pattern" },
      { "lab:proxy { to = backend, retry_list = 'POST /a b' }", "retry_list", "METHOD path-pattern" },
      { "lab:proxy { to = backend, retry_list = { 'POST /a', {} } }", "retry_list" },
      { "lab:proxy { to = backend, retries = { 1 } }", "retries", "one value", "table" },
    }
  end)
end)

describe("a checkpoint", function()
  local points = race.words().checkpoints

  it("is known by its name, or by its state where that is unique", function()
    for _, point in ipairs(points) do
      accepts(("proxy:hold %q"):format(point))
      accepts(("proxy:hold %q"):format(point:match "%.(.*)"))
    end
    for _, call in ipairs { "hold", "wait", "release" } do
      refuses(("proxy:%s 'nowhere'"):format(call), { "proxy:" .. call, "nowhere", table.unpack(points) })
    end
    all_refused { { "proxy:hold()", "string expected" }, { "proxy:wait()", "string expected" } }
  end)

  it("is held under conditions that there are", function()
    limits("proxy:hold('choosing', { attempt = %s })", "attempt", 1, 1000)
    limits("proxy:hold('choosing', { times = %s })", "times", 1, 1000000)
    limits("proxy:hold('sending', { after_bytes = %s })", "after_bytes", 1, 1 << 30)
    for _, bad in ipairs { 0, 1001 } do
      refuses(("proxy:wait('sending', { attempt = %d })"):format(bad), { "attempt", "1 to 1000" })
    end
    all_refused {
      { "proxy:hold('sending', { tries = 1 })", "unknown option 'tries'", "id, attempt, times, after_bytes" },
      { "proxy:wait('sending', { times = 1 })", "unknown option 'times'", "id, attempt" },
      { "proxy:hold('choosing', { after_bytes = 1 })", "after_bytes", "upstream.sending" },
      { "proxy:hold('choosing', { id = bytes })", "id", "63" },
      { "proxy:hold('choosing', { id = 5 })", "id", "expected a string" },
      { "proxy:hold('choosing', 5)", "expected a table of options" },
    }
  end)

  it("is released where somebody is held", function()
    accepts "proxy:release 'sending'"
    accepts "proxy:release()"
    accepts "proxy:release(held)"
    accepts "held:release()"
    all_refused {
      { "proxy:release 'choosing'", "nothing is held at session.choosing" },
      { "held:release() held:release()", "no longer held" },
      { "proxy:release(held) proxy:release(held)", "no longer held" },
      { "proxy:release(5.5)", "5.5" },
      { "proxy:release(lab)", "string expected" },
    }
  end)
end)

describe("lab:client", function()
  it("must know whom it asks", function()
    all_refused {
      { "lab:client()", "lab:client: to is missing" },
      { "lab:client { to = lab }", "lab:client: to" },
      { "lab:client { to = proxy, time_out_ms = 5 }", "unknown option 'time_out_ms'", "to, timeout_ms" },
    }
    limits("lab:client { to = proxy, timeout_ms = %s }", "timeout_ms", 0, 1 << 30)
  end)

  it("refuses a request that it cannot write down", function()
    all_refused {
      { "client:start { methode = 'GET' }", "client:start", "unknown option 'methode'", "method", "timeout_ms" },
      { "client:request { methode = 'GET' }", "client:request", "unknown option 'methode'" },
      { "client:start(5)", "expected a table of options" },
      { "client:start { method = 'GET /' }", "method", "no blanks", "client:raw" },
      { "client:start { method = '' }", "method", "empty" },
      { "client:start { method = 5 }", "method", "expected a string" },
      { "client:start { path = '/a b' }", "path", "no blanks" },
      { "client:start { path = '/a\\r\\nb' }", "path", "no blanks" },
      { "client:start { path = '/a\\0b' }", "path", "no zero bytes" },
      { "client:start { path = '' }", "path", "empty" },
      { "client:start { id = 'a b' }", "id", "no blanks" },
      { "client:start { id = '' }", "id", "empty" },
      { "client:start { id = bytes:sub(1, 64) }", "id", "at most 63" },
      { "client:start { body = 5 }", "body", "expected a string" },
      { "client:start { chunked = true }", "chunked wants a body" },
      { "client:start { chunked = 'yes', body = 'x' }", "chunked", "true or false" },
    }
    accepts "client:start { id = bytes:sub(1, 63) }"
    limits("client:start { timeout_ms = %s }", "timeout_ms", 0, 1 << 30)
  end)

  it("refuses headers that it cannot write down", function()
    all_refused {
      { "client:start { headers = 5 }", "headers", "expected a table" },
      { "client:start { headers = { 'a: b' } }", "headers", "{ name, value }" },
      { "client:start { headers = { { 'a' } } }", "headers", "{ name, value }" },
      { "client:start { headers = { a = 5 } }", "headers", "strings" },
      { "client:start { headers = { [true] = 'a' } }", "headers", "strings" },
      { "client:start { headers = { ['a b'] = 'c' } }", "headers: a name", "no blanks" },
      { "client:start { headers = { [''] = 'c' } }", "headers: a name", "empty" },
      { "client:start { headers = { a = 'b\\r\\nc: d' } }", "headers", "no line ends" },
      { "client:start { headers = { a = 'b\\0c' } }", "headers" },
      { "client:start { headers = { { 'a', 'b\\0c' } } }", "headers" },
    }
    local many = "local list = {} for i = 1, %d do list[i] = { 'x', 'y' } end client:start { headers = list }"
    accepts(many:format(64))
    refuses(many:format(65), { "headers", "64" })
    local map = "local map = {} for i = 1, %d do map['x' .. i] = 'y' end client:start { headers = map }"
    accepts(map:format(64))
    refuses(map:format(65), { "headers", "64" })
  end)

  it("sends a body in steps only where the request is open", function()
    limits("client:start { open = true, length = %s }", "length", 0, 1 << 40)
    all_refused {
      { "client:start { length = 5 }", "length goes with open" },
      { "client:start { open = true, body = 'x' }", "open", "exchange:send" },
      { "client:start { open = true, chunked = true }", "open", "exchange:send" },
      { "client:start { open = 'yes' }", "open", "true or false" },
      { "client:request { open = true }", "client:start" },
      { "client:start { open = true, path = '/up' } client:start {}", "'/up' is still open" },
      { "client:start { open = true, path = '/up' } client:request {}", "'/up' is still open" },
      { "client:start { open = true, path = '/up' } client:raw 'x'", "'/up' is still open" },
      { "exchange:send 'x'", "exchange:send", "open = true" },
      { "exchange:finish()", "exchange:finish", "open = true" },
      { "local e = client:start { open = true } e:finish() e:finish()", "exchange:finish", "complete" },
      { "local e = client:start { open = true } e:finish() e:send 'x'", "exchange:send", "complete" },
      { "local e = client:start { open = true } e:send()", "string expected" },
    }
  end)

  it("takes bytes for raw", function()
    all_refused {
      { "client:raw()", "string expected" },
      { "client:raw('x', { timeout = 5 })", "unknown option 'timeout'", "timeout_ms" },
    }
    limits("client:raw('x', { timeout_ms = %s })", "timeout_ms", 0, 1 << 30)
  end)
end)

describe("lab:sut", function()
  it("refuses options that it does not know, and wrong values", function()
    all_refused {
      { "lab:sut()", "table expected" },
      { "lab:sut { to = backend }", "argv is missing" },
      { "lab:sut { to = backend, argv = {} }", "argv is missing" },
      { "lab:sut { argv = { 'sh', '$BACKEND' } }", "to is missing", "$BACKEND", "ADDR:PORT" },
      { "lab:sut { argv = { 'sh' }, config = 'port $BACKEND_PORT' }", "to is missing", "$BACKEND", "ADDR:PORT" },
      { "lab:sut { to = 5, argv = { 'sh' } }", "lab:sut", "ADDR:PORT" },
      { "lab:sut { to = backend, argv = 'sh' }", "argv", "list of strings" },
      { "lab:sut { to = backend, argv = { 'sh', 5 } }", "argv", "strings" },
      { "lab:sut { to = backend, argv = { 'sh' }, env = 'A=1' }", "env", "list of strings" },
      { "lab:sut { to = backend, argv = { 'sh' }, env = { A = '1' } }", "env", "list" },
      { "lab:sut { to = backend, argv = { 'sh' }, config = 5 }", "config", "expected a string" },
      { "lab:sut { to = backend, argv = { 'sh' }, cfg = 'x' }", "unknown option 'cfg'", "to, argv, config, env" },
      { "local list = { 'sh' } for i = 2, 65 do list[i] = 'x' end lab:sut { to = backend, argv = list }", "argv",
        "64" },
    }
  end)
end)

describe("a field that an object does not have", function()
  it("is nil", function()
    accepts "assert(backend.nothing == nil and proxy.nothing == nil and client.nothing == nil and lab.nothing == nil)"
    accepts "assert(conn.nothing == nil and exchange.nothing == nil and held.nothing == nil)"
  end)
end)
