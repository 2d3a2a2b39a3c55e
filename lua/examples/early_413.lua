-- A server refuses an upload by its head alone and closes.  Where it goes on reading for a while (a lingering close),
-- the client gets its 413; where it does not, its own reset may destroy the response (R9, RFC 9112 9.6).
local race = require "closerace"

local TOO_LARGE = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

local function upload(ending)
  local lab <close> = race.lab()
  local backend = lab:backend { faults = { { on = "request_head", method = "POST", say = TOO_LARGE, close = ending } } }
  local proxy  = lab:proxy { to = backend }
  local client = lab:client { to = proxy }

  -- The body comes in steps: half of it is on its way when the answer arrives.
  local post = client:start { method = "POST", path = "/upload", id = "u1", open = true, length = 40000 }
  post:send(("x"):rep(20000))
  local reply = post:wait()
  print(("%-6s %s  %s"):format(ending, reply, lab:verdict "u1"))
  return reply, lab:verdict "u1"
end

-- Lingering: SHUT_WR, then what still comes is read and thrown away.
local reply, verdict = upload "fin"
assert(reply.status == 413 and verdict.name == "refused")

-- Without: close(2) with unread bytes is a reset; a proxy that reads before it judges still finds the 413 in front.
reply, verdict = upload "plain"
assert(reply.status == 413 and verdict.name == "refused")
