-- A request and a reset cross on the wire; works with any proxy, ours or not.  A GET may be sent again, once.
local race = require "closerace"

local lab <close> = race.lab()
local backend = lab:backend()
local proxy   = lab:proxy { to = backend, retry = "idempotent", retries = 1 }
local client  = lab:client { to = proxy }

client:request { path = "/warm" }

local idle = backend:conn(1)
idle:hold()                                     -- bytes may arrive; nobody reads them
local get = client:start { path = "/item", id = "g1" }
idle:wait_arrival()                             -- the request is there, unread ...
idle:close "rst"                                -- ... when the reset leaves

local reply = get:wait()
local verdict = lab:verdict "g1"
print(reply, verdict)

assert(reply.status == 200, "the client need not know that there was a race")
assert(verdict.name == "clean" and verdict.attempts == 2, lab:trace())
assert(verdict.reached and verdict.order == "crossing")
assert(#proxy:attempts "g1" == 2)
