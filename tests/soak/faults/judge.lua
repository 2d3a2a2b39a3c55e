--- What must never become of a request, whatever the backend does, with `retry = "idempotent"`.  Pure.

local rules = require "closerace.matrix.judge"

local judge = {}

-- For the rules of the RFCs, a request stands in the place of a cell's own, and of its next one.  Any fault may have
-- said a stale 408, and the ledger does not tell which: a repeat after the end of a used connection may be due to that.
local CELL = {
  order = { name = "caused" }, second = { name = "none" }, ending = { status = 408 }, connection = { uses = 0 },
}
local BROKEN = { "R2", "R5", "R8" }

local function broken_rule(one)
  local name = one.verdict.name
  -- Nothing was repeated, and nothing looks like what it is not: no rule can be broken.
  if #one.sendings < 2 and name ~= "garbled" and name ~= "phantom" then return nil end
  local cell = {
    order = CELL.order, second = CELL.second, ending = CELL.ending, connection = CELL.connection, request = one.request,
  }
  local found = rules.findings(cell, {
    sendings = one.sendings, reply = one.reply, verdict = one.verdict, attempts = {},
    next_sendings = {}, next_reply = one.reply, next_verdict = one.verdict,
  }, "proxy")
  for _, rule in ipairs(BROKEN) do
    if found[rule] == "broken" then return rule, found end
  end
  return nil, found
end

-- Where only a FIN tells the end of a response, a cut one cannot be told from a whole one (RFC 9112 8).
local function bad_name(one, found)
  local name = one.verdict.name
  if name == "garbled" and found.R5 ~= "unknown" then return "garbled" end
  if name == "phantom" then return "phantom" end
  if name == "twice" and not one.request.idempotent then return "executed twice" end
end

local function n_executed(sendings)
  local n = 0
  for _, sending in ipairs(sendings) do n = n + sending.executed end
  return n
end

-- Did it ride a connection of whose end nobody was told?
local function was_left_alone(sendings)
  for _, sending in ipairs(sendings) do
    if sending.ending == "stall" or sending.ending == "vanish" then return true end
  end
  return false
end

-- Only a proxy that was told to wait for ever may, and the client with it.
local function hangs(one, lab)
  if not one.verdict.told.timeout then return false end
  return lab.proxy.response_timeout_ms > 0 or not (was_left_alone(one.sendings) or one.lost_its_end or one.behind)
end

-- As long as nothing of a response was given, the client is told in words.
local function was_just_dropped(one)
  local told = one.verdict.told
  return told.closed and not told.complete and not told.truncated and not (one.behind or one.aborted)
end

-- Without any fault in its way a request is executed and answered; an announced 16 MiB, of which no more comes, are
-- refused.
local function failed_by_itself(one)
  local v = one.verdict
  if v.reached or v.unseen or one.lost_its_end then return false end
  if one.behind or one.aborted or one.request.delayed then return false end
  return v.name ~= (one.request.early and "refused" or "clean")
end

--- Judge a request.
-- @param one  of Stage:play
-- @param lab  of plan.lab, which it was played by
-- @return what is wrong with it, or nil
function judge.trouble(one, lab)
  local rule, found = broken_rule(one)
  local bad = bad_name(one, found)
  if bad then return bad end
  if rule then return ("rule %s is broken: %s"):format(rule, rules.rules[rule].says) end
  if not one.request.idempotent and n_executed(one.sendings) > 1 then return "executed more than once" end
  if one.verdict.altered > 0 then return "executed with another content" end
  if #one.sendings > lab.proxy.retries + 1 then return "sent more often than retries allows" end
  if one.reply.invalid then return "the client got what is no HTTP response" end
  if hangs(one, lab) then return "hung" end
  if was_just_dropped(one) then return "the client was told nothing" end
  if failed_by_itself(one) then return "failed although nothing was in its way" end
end

return judge
