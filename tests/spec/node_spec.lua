--- Node's http module and fetch(), with closerace-proxy between them and an origin; what they do is in
-- tests/clients/client.js.

local json = require "cjson"
local served = require "served"
local shell = require "shell"

local with_node = served.no_node and function(name) pending(name .. ": " .. served.no_node) end or it

--- Run a case of client.js; fail where it does.
-- @return what it printed, decoded
local function node(case, server, word)
  local result = shell.run(("%snode %s/tests/clients/client.js %s %s %s"):format(served.foreign, shell.checkout, case,
    server.url, word or ""))
  if result.status ~= 0 or result.stdout == "" then
    error(("case %s ended with %d: %s"):format(case, result.status, result.stderr), 2)
  end
  return json.decode(result.stdout)
end

describe("Node through the proxy", function()
  local origin, proxy

  setup(function()
    if served.no_node then return end
    origin = served.origin()
    proxy = served.proxy(origin)
  end)

  teardown(served.stop)

  with_node("asks 200 times over the four sockets of an agent", function()
    assert.same({ answers = 200, sockets = 4 }, node("agent", proxy))
  end)

  with_node("fetches a text", function()
    assert.same({ status = 200, type = "text/plain", size = 4500 }, node("get", proxy))
  end)

  with_node("fetches what is compressed and unpacks it", function()
    assert.same({ encoding = "gzip", size = 4500 }, node("gzip", proxy))
  end)

  with_node("posts JSON and gets it back", function()
    assert.same({ status = 200, amount = 10 }, node("post", proxy))
  end)

  with_node("follows a redirect with its method", function()
    assert.same({ redirected = true, method = "POST", url = "/seen?landed" }, node("redirect", proxy))
  end)

  with_node("uploads a stream of 8 MiB whose length nobody knows", function()
    assert.same({ size = 8 << 20 }, node("upload", proxy, "echo"))
  end)

  with_node("uploads to an origin that answers while it reads", function()
    assert.same({ size = 8 << 20 }, node("upload", proxy, "mirror"))
  end)

  with_node("talks to the origin word by word within one request", function()
    assert.same({ last = "end", done = true }, node("dialogue", proxy))
  end)

  with_node("downloads a stream of 64 MiB", function()
    assert.same({ status = 200, size = 64 << 20 }, node("download", proxy))
  end)

  with_node("aborts a download, which ends it at the origin, too", function()
    assert.same({ after = 200 }, node("abort", proxy))
    origin:read_until "^endless closed"
  end)

  with_node("fetches 200 things at once, and gets each its own", function()
    assert.same({ answers = 200 }, node("parallel", proxy))
  end)

  with_node("sends its body when it is told to continue", function()
    assert.same({ status = 200, same = true }, node("continue", proxy))
  end)

  with_node("may send and get trailers, which pass, and its connection is used again", function()
    assert.same({ sent = 2, status = 200, text = "some bytes\n", got = 2, reused = true }, node("trailers", proxy))
  end)

  with_node("asks for a head alone, and its connection is used again", function()
    assert.same({ status = 200, length = "4500", text = "", after = 4500, reused = true }, node("head", proxy))
  end)

  with_node("hears early hints before the answer", function()
    assert.same({ interim = "103,102", link = "</style.css>; rel=preload", status = 200, text = '"final"' },
      node("hints", proxy))
  end)

  with_node("gets each server-sent event at once", function()
    assert.same({ type = "text/event-stream", first = "data: first\n\n", told = 1, second = "data: second\n\n",
      done = true }, node("events", proxy))
  end)
end)

describe("the close race as Node meets it", function()
  after_each(served.stop)

  --- The second request on the backend's first connection arrives, is not read, and is answered by a reset.
  local function backend()
    return served.backend "--fault on=arrival,conn=1,request=2,close=rst"
  end

  with_node("is ECONNRESET without the proxy, whatever the method", function()
    for _, method in ipairs { "GET", "POST" } do
      assert.same({ warm = 200, error = "ECONNRESET" }, node("race", backend(), method))
    end
  end)

  with_node("is 502 through it for a POST, with the reason, and the POST ran nowhere", function()
    local origin = backend()
    assert.same({ warm = 200, status = 502,
      why = 'closerace; error=connection_terminated; details="method not idempotent"' },
      node("race", served.proxy(origin), "POST"))
    local attempts = served.ledger(origin, "v1")
    assert.same({ 1, 0 }, { #attempts, attempts[1].executed })
  end)

  with_node("is not seen through it with a GET: it was sent again", function()
    local origin = backend()
    assert.same({ warm = 200, status = 200,
      why = 'closerace; details="attempt 2: idempotent method"' }, node("race", served.proxy(origin), "GET"))
    local attempts = served.ledger(origin, "v1")
    assert.same({ 2, 0, 1 }, { #attempts, attempts[1].executed, attempts[2].executed })
  end)
end)
