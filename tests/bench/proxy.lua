-- What closerace-proxy costs a request, beside HAProxy, nginx and a relay that parses nothing (relay.c, the floor).
-- An nginx serves the responses, wrk asks.  The proxies take their turns, ROUNDS times, so that a machine whose speed
-- drifts does so for all; the figures are medians, the ratios medians of the rounds' ratios.
--
--   ROUNDS=3 SECONDS=2 CONNECTIONS=1,64,1000 BYTES=256,65536

local BUILD = os.getenv "CLOSERACE_BUILD" or "build"
local ROUNDS = tonumber(os.getenv "ROUNDS") or 3
local SECONDS = tonumber(os.getenv "SECONDS") or 2

local function numbers(name, otherwise)
  local list = {}
  for n in (os.getenv(name) or otherwise):gmatch "%d+" do list[#list + 1] = tonumber(n) end
  return list
end
local CONNECTIONS, BYTES = numbers("CONNECTIONS", "1,64,1000"), numbers("BYTES", "256,65536")

local dir = os.tmpname()
os.remove(dir)
assert(os.execute("mkdir " .. dir))

local function write(name, text)
  local file <close> = assert(io.open(dir .. "/" .. name, "w"))
  file:write(text)
  return dir .. "/" .. name
end

-- --------------------------------------------------------------------- the programs --

local ORIGIN_PORT = 18300

local nginx_conf = [[
daemon off; master_process off; worker_processes 1; pid %s/nginx-%d.pid; error_log %s/error.log;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile off;
  %s
}
]]

local function nginx(port, what)
  return "nginx -p " .. dir .. " -c " .. write("nginx-" .. port .. ".conf", nginx_conf:format(dir, port, dir, what))
end

local function origin()
  for _, n in ipairs(BYTES) do write("body-" .. n, ("x"):rep(n)) end
  return nginx(ORIGIN_PORT, ("server { listen 127.0.0.1:%d backlog=4096; root %s; }"):format(ORIGIN_PORT, dir))
end

local function haproxy(port)
  return "haproxy -db -f " .. write("haproxy.cfg", ([[
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend in
  bind 127.0.0.1:%d backlog 4096
  default_backend out
backend out
  server origin 127.0.0.1:%d pool-max-conn 1024
]]):format(port, ORIGIN_PORT))
end

local function nginx_proxy(port)
  return nginx(port, ([[
  upstream out { server 127.0.0.1:%d max_fails=0; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:%d backlog=4096;
    location / { proxy_pass http://out; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering on; }
  }]]):format(ORIGIN_PORT, port))
end

local function ours(verify)
  return function(port)
    return ("%s/closerace-proxy --listen 127.0.0.1:%d --upstream 127.0.0.1:%d --pool_size 1024 --verify %s"):format(
      BUILD, port, ORIGIN_PORT, verify)
  end
end

local function relay(port)
  return ("%s/bench/relay %d %d"):format(BUILD, port, ORIGIN_PORT)
end

local systems = {
  { name = "relay (the floor)", command = relay },
  { name = "closerace-proxy, none", command = ours "none" },
  { name = "closerace-proxy, peek", command = ours "peek" },
  { name = "HAProxy", command = haproxy },
  { name = "nginx", command = nginx_proxy },
}

-- ----------------------------------------------------------------------- processes --

local running = {}

--- Start a program; its process id.
local function start(command)
  local pipe = assert(io.popen(("exec 3>&1; %s >%s/log 2>&1 3>&- & echo $!"):format(command, dir)))
  local pid = assert(tonumber(pipe:read "l"))
  pipe:close()
  running[pid] = true
  return pid
end

local function stop(pid)
  os.execute(("kill %d; tail --pid=%d -f /dev/null"):format(pid, pid))
  running[pid] = nil
end

--- Until it answers: curl asks again at once where nobody listens yet.
local function wait_for(port)
  local command = "curl -s -o /dev/null --retry 200 --retry-connrefused --retry-delay 0 --retry-max-time 5 "
    .. "--max-time 5 http://127.0.0.1:%d/body-%d"
  if not os.execute(command:format(port, BYTES[1])) then
    local log <close> = io.open(dir .. "/log")
    error("nobody answers: " .. (log and log:read "a" or ""), 0)
  end
end

--- Processor time that a process has used, in microseconds (proc(5): utime and stime).
local tick_us
do
  local pipe <close> = assert(io.popen "getconf CLK_TCK")
  tick_us = 1e6 / tonumber(pipe:read "l")
end

local function cpu_us(pid)
  local file <close> = assert(io.open("/proc/" .. pid .. "/stat"))
  local fields = {}
  for field in file:read("a"):match "%) (.*)":gmatch "%S+" do fields[#fields + 1] = field end
  return (fields[12] + fields[13]) * tick_us
end

local function in_ms(text)
  local n, unit = text:match "([%d.]+)(%a+)"
  return tonumber(n) * ({ us = 0.001, ms = 1, s = 1000, m = 60000 })[unit]
end

local function ask(port, n_conns, bytes)
  local pipe = assert(io.popen(("wrk -t1 -c%d -d%ds --latency http://127.0.0.1:%d/body-%d 2>&1"):format(
    n_conns, SECONDS, port, bytes)))
  local text = pipe:read "a"
  pipe:close()
  local n = tonumber(text:match "(%d+) requests in")
  local late = text:match "Socket errors: connect 0, read 0, write 0, timeout (%d+)"
  if not n or text:find "Non%-2xx" or (text:find "Socket errors" and not late) then error("wrk: " .. text, 0) end
  if late then io.stderr:write(("%s of %d answers took wrk more than 2 s\n"):format(late, n)) end
  return n, tonumber(text:match "Requests/sec:%s+([%d.]+)"), in_ms(text:match "\n%s+99%%%s+(%S+)")
end

-- ----------------------------------------------------------------------- measuring --

local results = {}        -- [system name][conns/bytes] = { cpu = {}, rate = {}, p99 = {} }

local function keep(name, key, cpu, rate, p99)
  results[name] = results[name] or {}
  local r = results[name][key] or { cpu = {}, rate = {}, p99 = {} }
  results[name][key] = r
  r.cpu[#r.cpu + 1], r.rate[#r.rate + 1], r.p99[#r.p99 + 1] = cpu, rate, p99
end

local function measure(system, port)
  local pid = start(system.command(port))
  wait_for(port)
  for _, bytes in ipairs(BYTES) do
    for _, n_conns in ipairs(CONNECTIONS) do
      local before = cpu_us(pid)
      local n, rate, p99 = ask(port, n_conns, bytes)
      keep(system.name, n_conns .. "/" .. bytes, (cpu_us(pid) - before) / n, rate, p99)
    end
  end
  stop(pid)
end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

--- The median of the rounds' ratios.
local function ratio(a, b)
  local list = {}
  for i = 1, #a do list[i] = a[i] / b[i] end
  return median(list)
end

local function better(key)
  local h, n, list = results["HAProxy"][key].cpu, results["nginx"][key].cpu, {}
  for i = 1, #h do list[i] = math.min(h[i], n[i]) end
  return list
end

local function report()
  for _, bytes in ipairs(BYTES) do
    for _, n_conns in ipairs(CONNECTIONS) do
      local key = n_conns .. "/" .. bytes
      print(("\n%d bytes, %d connections     CPU us/request   x floor   x better peer   requests/s   p99 ms"):format(
        bytes, n_conns))
      for _, system in ipairs(systems) do
        local r = results[system.name][key]
        print(("  %-26s %16.2f %9.2f %15.2f %12.0f %8.2f"):format(system.name, median(r.cpu),
          ratio(r.cpu, results[systems[1].name][key].cpu), ratio(r.cpu, better(key)), median(r.rate), median(r.p99)))
      end
    end
  end
end

local function run()
  local pid = start(origin())
  wait_for(ORIGIN_PORT)
  for round = 1, ROUNDS do
    for i, system in ipairs(systems) do
      io.stderr:write(("round %d of %d: %s\n"):format(round, ROUNDS, system.name))
      measure(system, ORIGIN_PORT + i)
    end
  end
  stop(pid)
  report()
end

local good, why = xpcall(run, debug.traceback)
for pid in pairs(running) do stop(pid) end
os.execute("rm -r " .. dir)
if not good then error(why, 0) end
