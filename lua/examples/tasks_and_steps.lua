-- Two clients race through one proxy: one sends its body in steps, the other one is a task of its own.
local race = require "closerace"

local lab <close> = race.lab()
local backend = lab:backend()
local proxy   = lab:proxy { to = backend }

local slow = lab:client { to = proxy }
local post = slow:start { method = "POST", path = "/echo", id = "slow", open = true, length = 10 }
post:send "01234"

local reader = lab:task(function()
  local quick = lab:client { to = proxy }
  return quick:request { path = "/item", id = "quick" }
end)
assert(reader:wait().status == 200, "the other client is served meanwhile")

-- The connection that carries the slow request is known by its role, not by its number.
local conn = backend:conn { carried = "slow" }
assert(not conn.idle)
post:send "56789"
post:finish()
local reply = post:wait()
print(reply, reply.body, lab:verdict "slow")

assert(reply.body == "0123456789")
assert(lab:verdict("slow").name == "clean" and lab:verdict("quick").name == "clean")
