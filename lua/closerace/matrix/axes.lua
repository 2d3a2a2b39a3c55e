--- The axes of the matrix: what may vary from one cell to the next, and by which names.
-- Each axis is a list of values in the order in which cells are counted.

local core = require "closerace.core"

local axes = {}

--- In the order in which they stand in a cell's id.
axes.names = { "request", "connection", "point", "ending", "order", "second", "response", "client" }

-- Sent by the client.  RFC 9110 9.2.2 says which methods are idempotent.
-- The large body is longer than what the buffers of two sockets take of a message that is not read
-- (closerace.matrix.buffers): only then does its sender still send when the answer comes.
local SMALL, LARGE = "amount=10", ("x"):rep(5 << 20)
axes.request = {
  { name = "get", method = "GET", idempotent = true },
  { name = "get-query", method = "GET", idempotent = true, query = "?q=1" },
  { name = "head", method = "HEAD", idempotent = true },
  { name = "options", method = "OPTIONS", idempotent = true },
  { name = "put", method = "PUT", idempotent = true, body = SMALL },
  { name = "delete", method = "DELETE", idempotent = true },
  { name = "patch", method = "PATCH", body = SMALL },
  { name = "post-empty", method = "POST", body = "" },
  { name = "post-small", method = "POST", body = SMALL },
  { name = "post-large", method = "POST", body = LARGE },
  { name = "post-chunked", method = "POST", body = SMALL, chunked = true },
  { name = "post-key", method = "POST", body = SMALL, key = true },
  { name = "post-expect", method = "POST", body = SMALL, expect = true },
}

-- What the connection has carried before: so many requests.
axes.connection = {
  { name = "fresh", uses = 0 },
  { name = "reused", uses = 1 },
  { name = "reused-many", uses = 10 },
}

axes.point = {}
for i, name in ipairs(core.words().points) do
  axes.point[i] = {
    name = name,
    rank = i,
    offsets = name == "request_byte" and "request" or name == "response_byte" and "response" or nil,
    of_response = name:find "^response_" ~= nil,
  }
end

-- The last three say something first: what a backend says out of turn (R8), or before its time (R9).
axes.ending = {}
for i, name in ipairs(core.words().endings) do
  axes.ending[i] = { name = name, close = name }
end
local function add_saying(name, status, more)
  axes.ending[#axes.ending + 1] = {
    name = name,
    close = name:match "%+(.*)",
    status = status,
    say = ("HTTP/1.1 %s\r\nContent-Length: 0\r\n%s\r\n"):format(
      more, status == 200 and "" or "Connection: close\r\n"),
  }
end
add_saying("408+fin", 408, "408 Request Timeout")
add_saying("200+fin", 200, "200 OK")
add_saying("413+plain", 413, "413 Content Too Large")

-- Who wins.  A held order names a checkpoint of our own proxy, and of which attempt.
axes.order = {
  { name = "settled" }, { name = "crossing" }, { name = "caused" }, { name = "close-first" },
  { name = "request-first" },
}
for attempt = 1, 2 do
  for _, checkpoint in ipairs(core.words().checkpoints) do
    local machine, state = checkpoint:match "^(.-)%.(.*)$"
    axes.order[#axes.order + 1] = {
      name = ("held:%s#%d"):format(state, attempt), held = state, machine = machine, attempt = attempt,
    }
  end
end

-- What the attempts behind the first one meet.
axes.second = {
  { name = "none", times = 1 },
  { name = "same", times = 2 },
  { name = "all", times = 16 },                 -- more than any proxy may try; and bounded
}

-- How the client and the proxy know where the response ends (RFC 9112 6.3).
axes.response = {
  { name = "cl", path = "/bytes/400" },
  { name = "chunked", path = "/chunked/400" },
  { name = "close", path = "/close/400" },
  { name = "none", path = "/status/204" },
}

-- What the client's own connection has carried before.  Naturally (axes.is_natural) it is the one over which the
-- connection to the backend was used, and an id does not tell it.
axes.client = { { name = "first" }, { name = "later" } }

--- Offsets that every size has: the first, the middle one, all but the last.
axes.offsets = { 1, "mid", -1 }

for _, axis in ipairs(axes.names) do
  for i, value in ipairs(axes[axis]) do
    value.place = i
    axes[axis][value.name] = value
  end
end

--- The names of an axis' values, for help and errors.
function axes.words(axis)
  local words = {}
  for i, value in ipairs(axes[axis]) do words[i] = value.name end
  return words
end

--- Is it the client's first request where the backend's connection is fresh, and a later one where that is used?
function axes.is_natural(cell)
  return (cell.client.name == "later") == (cell.connection.uses > 0)
end

-- ----------------------------------------------------------------- what is chosen --

local function names(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local few = {
  request = names { "get", "head", "put", "delete", "post-empty", "post-small", "post-large", "post-chunked" },
  connection = names { "fresh", "reused" },
  order = names { "settled", "crossing", "caused" },
  second = names { "none", "same" },
}

--- Is a connection's end of that name told to nobody?
function axes.tells_nobody(ending) return ending == "vanish" or ending == "stall" end

--- Does the system learn of the end only by its own timeout?  Outside the lab that is real time.
function axes.waits(cell)
  local ending, point = cell.ending.name, cell.point
  if ending == "stall" then return true end
  return ending == "vanish" and point.name ~= "idle" and point.name ~= "response_end"
end

--- Is it refused while it is being sent (R9)?
function axes.is_refused_upload(cell)
  return cell.ending.status == 413 and cell.request.name == "post-large"
end

-- With an external program, the cells that wait are for few requests.
local that_wait = names { "get", "post-small" }

--- Is a value among the chosen few?  Called with what stands in front of it in the id, too, and with itself.
-- @param kind  of system: "ours", "proxy" or "client"
function axes.is_chosen(axis, value, cell, kind)
  local is_outside = kind ~= "ours"
  if axis == "order" and value.held then
    return not is_outside and value.machine == "upstream" and value.attempt == 1
      and (cell.ending.name == "fin" or cell.ending.name == "rst")
  elseif axis == "response" then
    return value.name == "cl" or value.name == "chunked" and cell.point.of_response
  elseif axis == "client" then
    return kind == "proxy" or axes.is_natural(cell)     -- a client is nobody's proxy
  elseif is_outside and axis == "order" then
    return true
  elseif is_outside and axis == "ending" and axes.waits(cell) and not that_wait[cell.request.name] then
    return false
  elseif is_outside and axis == "second" and axes.waits(cell) then
    return value.name == "none"
  end
  return few[axis] == nil or few[axis][value.name] == true
end

local ONE = { "mid" }

--- The offsets that are chosen for a block of cells.
function axes.offsets_of(block, kind)
  return kind ~= "ours" and axes.waits(block) and ONE or axes.offsets
end

return axes
