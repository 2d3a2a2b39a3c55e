-- The backend executes a request and closes before it answers.  The proxy cannot tell this from a close that
-- came first: whoever recovers the one repeats the other.
local race = require "closerace"

local function run(request)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = { { conn = 1, request = 2, on = "executed", close = "fin" } } }
  local client = lab:client { to = lab:proxy { to = backend, retry = "idempotent" } }

  client:request { path = "/warm" }
  request.id = "x1"
  local reply = client:request(request)
  local verdict = lab:verdict "x1"
  print(request.method, reply, verdict)
  return verdict
end

local get  = run { method = "GET", path = "/report" }
local post = run { method = "POST", path = "/pay", body = "amount=10" }

assert(get.name == "twice" and get.executed == 2, "a GET is run twice, and may be")
assert(post.name == "ghost" and post.executed == 1, "a POST ran once, and its client was told that it failed")
assert(post.told.status == 502)
