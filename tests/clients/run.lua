-- Heavier clients than those of the specs, each through a closerace-proxy of its own to the origin of origin.js: wrk,
-- h2load and Chromium.  Each must have been answered rightly, by its own count and by the origin's.
--
--   lua5.4 tests/clients/run.lua        from the checkout, everything built; `make clients` does both
--
-- Exit status: 0 all were served; 1 one was not.

package.path = "tests/spec/?.lua;" .. package.path

local served = require "served"
local shell = require "shell"

local N_CONNECTIONS = 50
local N_REQUESTS = 20000
local LIMIT_S = 120

-- wrk counts the answers that came before its time was over; what was on its way then, the origin has counted, too.
local WRK_S = 3

--- Run a client to its end.
-- @return what it wrote
local function run(command, ...)
  local result = shell.run(("%s timeout -k 5 %d %s"):format(served.foreign, LIMIT_S, command:format(...)))
  if result.status ~= 0 then error(("exit status %d: %s%s"):format(result.status, result.stdout, result.stderr), 0) end
  return result.stdout
end

--- Take numbers out of a text; fail where they are not in it.
local function numbers(text, pattern)
  local found = { text:match(pattern) }
  if #found == 0 then error("not understood: " .. text, 0) end
  for i, number in ipairs(found) do found[i] = tonumber(number) end
  return table.unpack(found)
end

--- How often the origin was asked for something, without those parts of its address.
local function counted(origin, without)
  local n = 0
  for word, count in run("curl -sS %s/counts", origin.url):gmatch '"(%w*)":(%d+)' do
    if not without[word] then n = n + tonumber(count) end
  end
  return n
end

local NOT_COUNTED = { counts = true, favicon = true }

--- All clients: what it is, how to ask its version, and how to run it.  `run` returns the requests it had answered and
-- those of them that went wrong; `ahead` is how many more the origin may have counted.
local clients = {
  {
    name = "wrk", version = "wrk --version 2>&1 | sed -n 's,.*/\\([0-9.]*\\).*\\[.*,\\1,p'",
    ahead = N_CONNECTIONS,
    run = function(proxy)
      local text = run("wrk -t1 -c%d -d%ds -s tests/clients/wrk.lua %s", N_CONNECTIONS, WRK_S, proxy.url)
      return numbers(text, "totals requests=(%d+) errors=(%d+)")
    end,
  },
}

--- h2load, with so many requests behind one another on a connection.
local function h2load(depth)
  return function(proxy)
    local text = run("h2load --h1 -n %d -c %d -m %d %s/pixel/1.gif", N_REQUESTS, N_CONNECTIONS, depth, proxy.url)
    local n_good = numbers(text, "status codes: (%d+) 2xx, 0 3xx, 0 4xx, 0 5xx")
    local n_done, n_failed, n_errored, n_late = numbers(text,
      "(%d+) done, %d+ succeeded, (%d+) failed, (%d+) errored, (%d+) timeout")
    assert(n_done == N_REQUESTS, text)
    return n_done, n_failed + n_errored + n_late + n_done - n_good
  end
end

for _, depth in ipairs { 1, 8 } do
  clients[#clients + 1] = {
    name = depth == 1 and "h2load" or "h2load, " .. depth .. " pipelined",
    version = "h2load --version | sed 's,.*/,,'", ahead = 0, run = h2load(depth),
  }
end

local CHROMIUM = "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
  .. " --disable-background-networking --disable-component-update --disable-sync --virtual-time-budget=60000"

clients[#clients + 1] = {
  name = "Chromium", version = "chromium --version 2>/dev/null | sed 's,[^0-9]*\\([0-9.]*\\).*,\\1,'", ahead = 0,
  run = function(proxy)
    local folder = shell.folder()
    local text = run("env HOME=%s %s --user-data-dir=%s/data --dump-dom %s/page", folder, CHROMIUM, folder, proxy.url)
    local said = text:match '<p id="result">(.-)</p>'
    if said ~= "images=15 scripts=15 post=true events=first,second" then
      error("the page says: " .. (said or text), 0)
    end
    return 1 + 15 + 15 + 1 + 1 + 2, 0           -- page, images, scripts, main script, post, events and that they came
  end,
}

--- Serve one client, and say what came of it.
local function serve(client)
  local origin = served.origin()
  local proxy = served.proxy(origin)
  local n, n_bad = client.run(proxy)
  local n_seen = counted(origin, NOT_COUNTED)
  local text = ("%d requests, %d errors"):format(n, n_bad)
  if n == 0 or n_bad > 0 then error(text, 0) end
  if n_seen < n or n_seen > n + client.ahead then error(("%s, %d at the origin"):format(text, n_seen), 0) end
  return text
end

local failed = false
for _, client in ipairs(clients) do
  local good, text = pcall(serve, client)
  local ended, err = pcall(served.stop)
  shell.clean()
  local version = shell.run(client.version).stdout:match "%S+" or "?"
  print(("%-30s %-28s %s"):format(client.name .. " " .. version, text, good and ended and "ok" or "FAILED"))
  if not ended then print(err) end
  failed = failed or not (good and ended)
end
os.exit(not failed)
