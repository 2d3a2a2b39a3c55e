--- Which combinations there cannot be, and why.  Pure.
-- A rule looks at the values of a cell up to and including its axis; the first rule that holds leaves the combination
-- out, and is counted.

local axes = require "closerace.matrix.axes"

local rank = {}
for _, point in ipairs(axes.point) do rank[point.name] = point.rank end

local function has_body(request) return (request.body or "") ~= "" end

--- Longer than what the kernel certainly takes in one go.
local function is_large(request) return #(request.body or "") > 65536 end

local function is_queued(order) return order.name == "close-first" or order.name == "request-first" end

-- At which points a connection can end while an attempt stands at a checkpoint; at others, none has one to lose.
local while_held = {
  verifying = function(point) return point.rank == rank.idle end,
  sending = function(point) return point.rank <= rank.request_head end,
  awaiting = function(point) return point.rank >= rank.arrival end,
  relaying = function(point) return point.rank >= rank.idle end,
  reading = function(point) return point.rank == rank.idle end,
  idle = function(point) return point.rank == rank.idle end,
  choosing = function(point) return point.rank == rank.idle end,
}

local rules = {
  {
    name = "accept needs a fresh connection", axis = "point",
    holds = function(c) return c.point.name == "accept" and c.connection.uses > 0 end,
  },
  {
    name = "only a used connection can be idle", axis = "point",
    holds = function(c) return c.point.name == "idle" and c.connection.uses == 0 end,
  },
  {
    name = "a request without a body ends with its head", axis = "point",
    holds = function(c) return c.point.name == "request_head" and not has_body(c.request) and not c.request.chunked end,
  },
  {
    name = "a stale 408 comes on an idle connection", axis = "ending",
    holds = function(c)
      return c.ending.status == 408 and (c.connection.uses == 0 or c.point.rank > rank.arrival)
    end,
  },
  {
    name = "an unsolicited response comes on an idle connection, or behind another", axis = "ending",
    holds = function(c)
      return c.ending.status == 200 and c.point.name ~= "idle" and c.point.name ~= "response_end"
    end,
  },
  {
    name = "an early refusal comes between head and body", axis = "ending",
    holds = function(c) return c.ending.status == 413 and c.point.name ~= "request_head" end,
  },
  {
    name = "a point is reached in its own orders", axis = "order",
    holds = function(c)
      if c.order.held then return false end
      if c.point.name == "idle" then return c.order.name == "caused" end
      return c.order.name ~= (c.point.name == "arrival" and "crossing" or "caused")
    end,
  },
  {
    name = "where nobody is told, nothing can be seen or queued", axis = "order",
    holds = function(c)
      return c.point.name == "idle" and axes.tells_nobody(c.ending.name) and not c.order.held
        and c.order.name ~= "crossing"
    end,
  },
  {
    name = "an idle connection whose end is told is settled, not crossing", axis = "order",
    holds = function(c)
      return c.point.name == "idle" and not axes.tells_nobody(c.ending.name) and c.order.name == "crossing"
    end,
  },
  {
    name = "a large body is not queued in one go", axis = "order",
    holds = function(c) return is_queued(c.order) and is_large(c.request) end,
  },
  {
    name = "what came before the answer could be it", axis = "order",
    holds = function(c)
      return c.ending.status == 200 and (c.order.name == "request-first" or c.order.held ~= nil)
    end,
  },
  {
    name = "at that checkpoint no attempt has a connection to lose", axis = "order",
    holds = function(c) return c.order.held and not while_held[c.order.held] end,
  },
  {
    name = "that point is over, or to come, at that checkpoint", axis = "order",
    holds = function(c)
      local order, point = c.order, c.point
      if not order.held then return false end
      return not while_held[order.held](point) or point.name == "accept" and order.attempt > 1
    end,
  },
  {
    name = "a stale 408 has to come before the request", axis = "order",
    holds = function(c)
      return c.ending.status == 408 and c.order.held
        and not (c.point.name == "idle" and (c.order.held == "sending" or c.order.held == "verifying"
          or c.order.held == "choosing"))
    end,
  },
  {
    name = "an early refusal needs a body that is on its way", axis = "order",
    holds = function(c) return c.ending.status == 413 and c.order.held == "sending" end,
  },
  {
    name = "a body that goes out while the request is read needs a session that reads, and an end that waits for it",
    axis = "order",
    holds = function(c)
      local large, point = is_large(c.request), c.point
      if not large and not c.request.expect then return false end
      if c.order.held == "awaiting" then
        -- To a request that expects it, 100 (Continue) is the interim response.
        return point.rank < rank.request_end or point.name == "interim" and c.request.expect ~= nil
      end
      return c.order.held == "relaying" and (large or point.rank >= rank.request_byte
        and point.name ~= "request_line" and point.name ~= "request_head")
    end,
  },
  {
    name = "a retry takes a fresh connection, which was never idle", axis = "order",
    holds = function(c) return c.order.held and c.order.attempt > 1 and c.point.name == "idle" end,
  },
  {
    name = "a second attempt is held only where it is ended", axis = "second",
    holds = function(c) return c.order.held and c.order.attempt > 1 and c.second.name == "none" end,
  },
  {
    name = "without a failed attempt there is no second one", axis = "second",
    holds = function(c)
      if c.second.name == "none" then return false end
      if c.point.name == "idle" then return c.order.held ~= "sending" and c.order.held ~= "verifying" end
      return c.point.name == "response_end"
    end,
  },
  {
    name = "on the retry's fresh connection a 408 is an answer", axis = "second",
    holds = function(c) return c.ending.status == 408 and c.second.name ~= "none" end,
  },
  {
    name = "a response without a body ends with its head", axis = "response",
    holds = function(c)
      return c.point.name == "response_head" and (c.request.method == "HEAD" or c.response.name == "none")
    end,
  },
  {
    name = "a response to HEAD has no body to be framed", axis = "response",
    holds = function(c)
      return c.request.method == "HEAD" and (c.response.name == "chunked" or c.response.name == "close")
    end,
  },
  {
    name = "a close-delimited response leaves no idle connection", axis = "response",
    holds = function(c)
      return c.response.name == "close" and c.point.name == "idle"
        and (c.order.held == "reading" or c.order.held == "idle" or c.order.held == "relaying")
    end,
  },
  {
    name = "a close-delimited response has nothing behind it", axis = "response",
    holds = function(c)
      return c.response.name == "close" and c.ending.status == 200 and c.point.name == "response_end"
    end,
  },
}

local by_axis = {}
for _, axis in ipairs(axes.names) do by_axis[axis] = {} end
for _, rule in ipairs(rules) do table.insert(by_axis[rule.axis], rule) end

--- Not impossible, but nothing for a proxy that does not ask its connections: the plan knows.
local UNASKED = "without verify options, nobody comes to that checkpoint"

--- The same: only our own proxy lets itself be held.
local NOT_OURS = "an external program stands at no checkpoint"

--- And a client command has no other connection than that to the backend.
local NOT_USED = "the first request of a client command rides no used connection"

local impossible = { rules = rules, UNASKED = UNASKED, NOT_OURS = NOT_OURS, NOT_USED = NOT_USED }

--- The rule that leaves out a cell whose values are known up to axis; nil where it may go on.
function impossible.rule(cell, axis)
  for _, rule in ipairs(by_axis[axis]) do
    if rule.holds(cell) then return rule end
  end
end

return impossible
