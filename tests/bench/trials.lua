-- How long one race takes, from an empty lab to the verdict, and what the parts of it cost.
-- Each figure is the median of ROUNDS rounds, taken in turns; the ratio is against the barest lab of the same run.
local race = require "closerace"

local ROUNDS, TRIALS = 7, 300

local function empty()
  local lab <close> = race.lab()
  return lab
end

local function two_requests()
  local lab <close> = race.lab()
  local client = lab:client { to = lab:backend() }
  client:request { path = "/warm" }
  client:request { path = "/item", id = "g1" }
  assert(lab:verdict("g1").name == "clean")
end

local function two_requests_proxied()
  local lab <close> = race.lab()
  local client = lab:client { to = lab:proxy { to = lab:backend() } }
  client:request { path = "/warm" }
  client:request { path = "/item", id = "g1" }
  assert(lab:verdict("g1").name == "clean")
end

local function crossing()
  local lab <close> = race.lab()
  local backend = lab:backend()
  local client = lab:client { to = lab:proxy { to = backend } }
  client:request { path = "/warm" }
  local idle = backend:conn(1)
  idle:hold()
  local get = client:start { path = "/item", id = "g1" }
  idle:wait_arrival()
  idle:close "rst"
  get:wait()
  assert(lab:verdict("g1").attempts == 2)
end

local function held()
  local lab <close> = race.lab()
  local backend = lab:backend()
  local proxy = lab:proxy { to = backend }
  local client = lab:client { to = proxy }
  client:request { path = "/warm" }
  proxy:hold "sending"
  local post = client:start { method = "POST", path = "/pay", id = "p1", body = "x" }
  proxy:wait "sending"
  backend:conn(1):close "fin"
  proxy:release "sending"
  post:wait()
  assert(lab:verdict("p1").name == "refused")
end

local cases = {
  { name = "an empty lab", run = empty },
  { name = "two requests, no proxy", run = two_requests },
  { name = "two requests, proxied", run = two_requests_proxied },
  { name = "crossing reset, one retry", run = crossing },
  { name = "held at sending, FIN", run = held },
}

local function time(case)
  local start = race.now_ms()
  for _ = 1, TRIALS do case.run() end
  return (race.now_ms() - start) * 1000 / TRIALS
end

for _, case in ipairs(cases) do case.us = {} end
for _ = 1, ROUNDS do
  for _, case in ipairs(cases) do table.insert(case.us, time(case)) end
end
for _, case in ipairs(cases) do
  table.sort(case.us)
  case.median = case.us[(ROUNDS + 1) // 2]
end
for _, case in ipairs(cases) do
  print(("%-27s %7.0f us  %6.0f trials/s  %5.2f x two requests without a proxy")
    :format(case.name, case.median, 1e6 / case.median, case.median / cases[2].median))
end
