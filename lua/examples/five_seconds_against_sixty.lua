-- The race almost everybody meets: the application server closes idle connections after 5 s, the load balancer keeps
-- them for 60.  In virtual time, so it takes no time.
local race = require "closerace"

-- One second after another, a POST is sent some milliseconds around the moment when the server's timer fires.
local function post_after(idle_ms, options)
  local lab <close> = race.lab()
  local backend = lab:backend { keep_alive_ms = 5000, keep_alive_hint = options.hint }
  local proxy = lab:proxy { to = backend, idle_timeout_ms = 60000, honour_keep_alive = options.honour,
                            keep_alive_margin_ms = 1000 }
  local client = lab:client { to = proxy }

  client:request { path = "/warm" }
  lab:advance(idle_ms)
  local pooled = #proxy:pool()

  -- The request is on its way when the timer fires: held at the last moment, then five more milliseconds go by.
  local victim = { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
  proxy:hold "sending"
  local post = client:start(victim)
  proxy:wait "sending"
  lab:advance(5)
  proxy:release "sending"
  local reply = post:wait()
  print(("idle %d ms, %s: %d pooled, %s, %s"):format(idle_ms, options.name, pooled, reply, lab:verdict "p1"))
  return lab:verdict "p1", pooled
end

local plain  = { name = "unannounced" }
local honour = { name = "Keep-Alive: timeout=5 honoured", hint = true, honour = true }

assert(post_after(4000, plain).name == "clean", "long before the timer nothing happens")
local verdict = post_after(4998, plain)
assert(verdict.name == "refused" and verdict.order == "held", "at 5.000 s it hits: the sporadic 502")
assert(post_after(6000, plain).name == "clean", "long after it, the proxy has seen the close")

local pooled
verdict, pooled = post_after(4998, honour)
assert(verdict.name == "clean" and pooled == 0, "the cure: the proxy lets go of the connection first")
