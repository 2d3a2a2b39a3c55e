--- The valve in front of a user's server, and the same server without it: byte by byte and end by end the same.  The
-- kinds of traffic are in tests/clients/traffic.js; tests/clients/beside.js plays them.

local json = require "cjson"
local race = require "closerace"
local served = require "served"
local shell = require "shell"

local BESIDE = ("%snode %s/tests/clients/beside.js %s "):format(served.foreign, shell.checkout,
  shell.program "closerace-backend")

--- Play a set of kinds straight and through the valve.  Returns: kind → { direct, valve }
local function play(set)
  local result = shell.run(BESIDE .. set)
  if result.status ~= 0 then error(("%s ended with %d: %s"):format(set, result.status, result.stderr), 2) end
  return json.decode(result.stdout)
end

local function count(of)
  local n = 0
  for _ in pairs(of) do n = n + 1 end
  return n
end

--- Each kind is the same, and none of them hung; at least so many.
local function all_the_same(kinds, n)
  assert.is_true(count(kinds) >= n, count(kinds) .. " kinds")
  for name, seen in pairs(kinds) do
    assert.same({ name, seen.direct }, { name, seen.valve })
    assert.is_true(seen.direct["end"] == "fin" or seen.direct["end"] == "reset" or seen.direct["end"] == "none",
      name .. " ended: " .. seen.direct["end"])
  end
end

local has_threads = { gunicorn = "threads", puma = "threads" }

-- How a server is started that answers GET / by itself.
local others = {
  nginx = {
    argv = { "nginx", "-p", "$DIR", "-e", "stderr", "-c", "$CONFIG" },
    config = [[
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events { }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server { listen $LISTEN; location = / { return 200 "hello"; } }
}
]],
  },
  apache2 = {
    argv = { "apache2", "-D", "FOREGROUND", "-d", "$DIR", "-f", "$CONFIG" },
    config = [[
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User nobody
Group nogroup
ServerName localhost
DefaultRuntimeDir $DIR
PidFile $DIR/pid
ErrorLog $DIR/error.log
Mutex pthread
Listen $LISTEN
StartServers 1
ServerLimit 1
ThreadsPerChild 8
ThreadLimit 8
MinSpareThreads 1
MaxSpareThreads 8
MaxRequestWorkers 8
]],
  },
  gunicorn = {
    argv = { "gunicorn", "--worker-class", "gthread", "--threads", "2", "--chdir", "$DIR", "-b", "$LISTEN",
      "app:app" },
    files = { ["app.py"] = [[
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\n"]
]] },
  },
  puma = {
    argv = { "puma", "-q", "-b", "tcp://$LISTEN", "$DIR/app.ru" },
    files = { ["app.ru"] = 'run proc { |env| [200, { "content-length" => "3" }, ["ok\\n"]] }\n' },
  },
}

describe("the valve and the server alone", function()
  local with_node = served.no_node and function(name) pending(name .. ": " .. served.no_node) end or it

  with_node("cannot be told apart before Node", function() all_the_same(play "http", 35) end)

  with_node("cannot be told apart before a server that does what it wants", function()
    all_the_same(play "bare", 20)
  end)

  for _, name in ipairs { "nginx", "apache2", "gunicorn", "puma" } do
    with_node("cannot be told apart before " .. name, function()
      local good, why = pcall(race.need, name)
      if not good then return pending(race.skip_reason(why)) end
      local lab <close> = race.lab { deadline_ms = 600000 }
      local server = lab:sut(others[name])
      all_the_same(play(("any %s %s"):format(server.address, has_threads[name] or "")), 20)
    end)
  end
end)
