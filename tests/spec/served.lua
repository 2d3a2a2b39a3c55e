--- closerace-proxy in front of a real origin, for specs in which an ordinary client is served.
--
--   after_each(served.stop)
--   local origin = served.backend "--fault on=executed,close=rst"
--   local proxy = served.proxy(origin)
--
-- What is started here is ended by served.stop(), which also fails where a server did not end as it should.

local shell = require "shell"

local served = {}

--- Before a program that is not ours: a sanitizer's libraries, preloaded for busted, are not for it.
served.foreign = "env -u LD_PRELOAD "

--- Why there is no origin in Node, or nil.
served.no_node = not os.execute "command -v node >/dev/null" and "node is not installed" or nil

local servers = {}

local function serve(name, command)
  local server = shell.start(command)
  server.name = name
  servers[#servers + 1] = server
  server.address = server:read_until "listening on ([%d.:]+)"
  server.url = "http://" .. server.address
  return server
end

--- Start closerace-backend.
function served.backend(options)
  return serve("closerace-backend", ("%s --listen 127.0.0.1:0 %s"):format(shell.program "closerace-backend",
    options or ""))
end

--- Start the origin of tests/clients.
function served.origin()
  return serve("origin.js", ("%snode %s/tests/clients/origin.js"):format(served.foreign, shell.checkout))
end

--- Start closerace-proxy.
function served.proxy(origin, options)
  return serve("closerace-proxy", ("%s --listen 127.0.0.1:0 --upstream %s %s"):format(shell.program "closerace-proxy",
    origin.address, options or ""))
end

--- End one server, and wait for it.
function served.finish(server)
  for i, one in ipairs(servers) do
    if one == server then table.remove(servers, i) end
  end
  server:signal "TERM"
  local status = server:wait()
  if status ~= 0 then error(("%s ended with %d:\n%s"):format(server.name, status, server.output), 2) end
end

--- End all servers, those first that were started last.  A sanitizer that complained has changed the status.
function served.stop()
  local trouble = {}
  while #servers > 0 do
    local good, err = pcall(served.finish, servers[#servers])
    if not good then trouble[#trouble + 1] = err end
  end
  if #trouble > 0 then error(table.concat(trouble, "\n"), 0) end
end

--- The most memory that a server has had, in kB.
function served.peak_kb(server)
  local file <close> = assert(io.open(("/proc/%d/status"):format(server.pid)))
  return tonumber(file:read "a":match "VmHWM:%s*(%d+)")
end

--- The lines of a backend's ledger, of one request, as tables.  The backend is ended for it.
function served.ledger(backend, id)
  if io.type(backend.pipe) == "file" then served.finish(backend) end
  local attempts = {}
  for line in backend.output:gmatch "attempt ([^\n]*)" do
    local attempt = {}
    for key, value in line:gmatch "(%S+)=(%S*)" do attempt[key] = tonumber(value) or value end
    if tostring(attempt.id) == id then attempts[#attempts + 1] = attempt end
  end
  return attempts
end

return served
