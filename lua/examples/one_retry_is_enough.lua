-- With the default of one retry, a second failure is told to the client and not repeated (R4).
local race = require "closerace"

local lab <close> = race.lab()
local backend = lab:backend {
  faults = { { request = 2, conn = 1, on = "request_end", close = "rst" },
             { conn = 2, request = 1, on = "request_end", close = "rst" } },
}
local client = lab:client { to = lab:proxy { to = backend } }

client:request { path = "/warm" }
local reply = client:request { path = "/item", id = "g1" }
print(reply, lab:verdict "g1", reply.headers["proxy-status"])

assert(reply.status == 502 and reply.headers["proxy-status"])
assert(lab:verdict("g1").name == "refused")
assert(lab:verdict("g1").attempts == 2)
