-- "Some vendors tend to do that on anything because it looks better.  Just ask them what customers use that on
-- your payment requests."  What retry = "always" costs.
local race = require "closerace"

local function pay(policy)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = { { conn = 1, request = 2, on = "executed", close = "rst" } } }
  local client = lab:client { to = lab:proxy { to = backend, retry = policy } }

  client:request { path = "/warm" }
  local reply = client:request { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
  local verdict = lab:verdict "p1"
  print(("retry = %-10s  the client sees %s, the account %d payments"):format(policy, reply, verdict.executed))
  return reply, verdict
end

local reply, verdict = pay "always"
assert(reply.status == 200, "it looks better ...")
assert(verdict.name == "twice", "... and is not")

reply, verdict = pay "idempotent"
assert(reply.status == 502 and verdict.name == "ghost")
