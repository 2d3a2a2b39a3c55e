-- The crossing reset again, with HAProxy in the place of our proxy.
local race = require "closerace"
local haproxy = race.need "haproxy"             -- not installed: skipped

for _, rule in ipairs { "none", "empty-response", "all-retryable-errors" } do
  local lab <close> = race.lab { deadline_ms = 10000 }
  local backend = lab:backend()
  local sut = lab:sut {
    to     = backend,
    argv   = { haproxy, "-db", "-f", "$CONFIG" },
    config = [[
global
  nbthread 1
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  http-reuse always
  retry-on ]] .. rule .. [[

listen front
  bind fd@$LISTEN_FD
  server origin $BACKEND
]],
  }
  local client = lab:client { to = sut }

  client:request { path = "/warm" }
  local idle = backend:conn(1)
  idle:hold()
  local get = client:start { path = "/item", id = "g1" }
  idle:wait_arrival()
  idle:close "rst"
  local reply = get:wait()
  local verdict = lab:verdict "g1"
  print(("retry-on %-21s %s  %s"):format(rule, reply, verdict))
  assert(verdict.reached and verdict.order == "crossing")
end
