-- "If the site's admin configures a full list of the idempotent requests in the load balancer, we might consider
-- that the load balancer gets semantic understanding of the application" (R6): one URL is retried, another is not.
local race = require "closerace"

local function post(path, headers)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = { { conn = 1, request = 2, on = "request_end", close = "fin" } } }
  local proxy = lab:proxy { to = backend, retry = "listed", retry_list = { "POST /search*", "PATCH /profile/*" } }
  local client = lab:client { to = proxy }

  client:request { path = "/warm" }
  local reply = client:request { method = "POST", path = path, id = "p1", body = "q=x", headers = headers }
  local verdict, first = lab:verdict "p1", proxy:attempts "p1"[1]
  print(path, reply, verdict, first.action .. ": " .. first.why)
  return verdict
end

assert(post("/search?page=2").name == "clean", "on the list")
assert(post("/pay").name == "refused", "not on the list")
assert(post("/pay", { ["Idempotency-Key"] = "k1" }).name == "clean", "the client itself says that it may be repeated")
