-- The worst wait of a bystander, who asks again and again, while another client floods the proxy (fair.c): through
-- closerace-proxy, HAProxy and nginx, each with one thread, flood by flood in turn.
--
--   SECONDS=3 of each flood

local BUILD = os.getenv "CLOSERACE_BUILD" or "build"
local SECONDS = tonumber(os.getenv "SECONDS") or 3
local ORIGIN_PORT = 18340

local dir = os.tmpname()
os.remove(dir)
assert(os.execute("mkdir " .. dir))

local function write(name, text)
  local file <close> = assert(io.open(dir .. "/" .. name, "w"))
  file:write(text)
  return dir .. "/" .. name
end

local function haproxy(port)
  return "haproxy -db -f " .. write("haproxy.cfg", ([[
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:%d backlog 4096
  default_backend out
backend out
  server origin 127.0.0.1:%d
]]):format(port, ORIGIN_PORT))
end

local function nginx(port)
  return "nginx -p " .. dir .. " -c " .. write("nginx.conf", ([[
daemon off; master_process off; worker_processes 1; pid %s/nginx.pid; error_log %s/error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000;
  upstream out { server 127.0.0.1:%d max_fails=0; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:%d backlog=4096;
    client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
    location / { proxy_pass http://out; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
]]):format(dir, dir, ORIGIN_PORT, port))
end

local function ours(port)
  return ("%s/closerace-proxy --listen 127.0.0.1:%d --upstream 127.0.0.1:%d"):format(BUILD, port, ORIGIN_PORT)
end

local systems = {
  { name = "closerace-proxy", command = ours },
  { name = "HAProxy", command = haproxy },
  { name = "nginx", command = nginx },
}

local running = {}

local function start(command)
  local pipe = assert(io.popen(("exec 3>&1; %s >>%s/log 2>&1 3>&- & echo $!"):format(command, dir)))
  local pid = assert(tonumber(pipe:read "l"))
  pipe:close()
  running[pid] = true
end

local function stop_all()
  for pid in pairs(running) do os.execute(("kill -KILL %d; tail --pid=%d -f /dev/null"):format(pid, pid)) end
end

--- Until it answers: curl asks again at once where nobody listens yet.
local function wait_for(port)
  if os.execute(("curl -s -o /dev/null --retry 200 --retry-connrefused --retry-delay 0 --retry-max-time 5 "
    .. "--max-time 5 http://127.0.0.1:%d/"):format(port)) then return end
  local log <close> = io.open(dir .. "/log")
  error("nobody answers: " .. (log and log:read "a" or ""), 0)
end

local function names_of_floods()
  local names = {}
  for name in io.popen(BUILD .. "/bench/fair floods"):lines() do names[#names + 1] = name end
  return names
end

local function ask(port, flood)
  local pipe <close> = assert(io.popen(("%s/bench/fair ask %d '%s' %g"):format(BUILD, port, flood, SECONDS)))
  local worst, n, n_failed = (pipe:read "a"):match "([%d.]+) (%d+) (%d+)"
  if not worst then error("no figures of " .. flood, 0) end
  return ("%9s (%d%s)"):format(worst, n, n_failed ~= "0" and ", " .. n_failed .. " failed" or "")
end

local function run()
  start(("%s/bench/fair origin %d"):format(BUILD, ORIGIN_PORT))
  wait_for(ORIGIN_PORT)
  local head = { ("worst wait in ms (answers in %g s)"):format(SECONDS) }
  for i, system in ipairs(systems) do
    start(system.command(ORIGIN_PORT + i))
    wait_for(ORIGIN_PORT + i)
    head[#head + 1] = system.name
  end
  print(("%-34s  %-22s %-22s %s"):format(table.unpack(head)))
  for _, flood in ipairs(names_of_floods()) do
    local line = { ("%-34s"):format(flood) }
    for i in ipairs(systems) do line[#line + 1] = ("%-22s"):format(ask(ORIGIN_PORT + i, flood)) end
    print((table.concat(line, " "):gsub("%s+$", "")))
  end
end

local good, why = xpcall(run, debug.traceback)
stop_all()
os.execute("rm -r " .. dir)
if not good then error(why, 0) end
