-- The backend closes an idle connection at the moment the proxy picked it for a POST.
local race = require "closerace"

local lab <close> = race.lab()
local backend = lab:backend()
local proxy   = lab:proxy { to = backend, retry = "idempotent" }
local client  = lab:client { to = proxy }

client:request { path = "/warm" }               -- leaves one idle connection in the pool

proxy:hold "sending"                            -- looked at and found alive, first byte not yet written
local post = client:start { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
proxy:wait "sending"
backend:conn(1):close "fin"                     -- the idle close wins by one step
proxy:release "sending"

local reply = post:wait()
print(reply, lab:verdict "p1")

assert(reply.status == 502, "nobody knows whether the POST ran, so the client must be told")
assert(lab:verdict("p1").name == "refused")
assert(lab:verdict("p1").attempts == 1, "a POST must not be sent again")
