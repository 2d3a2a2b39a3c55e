--- What the RFCs say of what happened in a cell.  Pure: facts in, a finding for each rule out.
-- Rules are judged independently of one another and of the verdict, from what the client was told and from the
-- backend's ledger.  The proxy's own account is used for one thing only: that it knew a request to be repeatable (R6).

local axes = require "closerace.matrix.axes"

local judge = {}

--- The rules, in our words, and where they stand.
-- The weight is that of breaking one: a violation, or against advice.
judge.rules = {
  R1 = { weight = "violation", source = "RFC 9112 9.3, 9.5; RFC 2616 8.1.4",
         says = "a connection may be closed at any time; whoever has seen it must recover from it" },
  R2 = { weight = "violation", source = "RFC 9110 9.2.2",
         says = "a proxy must not repeat by itself a request whose method is not idempotent, once any of it was sent "
           .. "(a client should not)" },
  R3 = { weight = "advice", source = "RFC 9110 9.2.2; RFC 2616 8.1.4",
         says = "an idempotent request that met a close before its final response should be sent again" },
  R4 = { weight = "advice", source = "RFC 9110 9.2.2",
         says = "an automatic retry that failed should not be retried again" },
  R5 = { weight = "violation", source = "RFC 9112 8, 6.3",
         says = "a cut response must not look complete, and once part of one was passed on nothing is repeated" },
  R6 = { weight = "permitted", source = "RFC 2616 8.1.4",
         says = "software that knows a request to be repeatable may repeat it once" },
  R7 = { weight = "advice", source = "RFC 9110 9.2.2",
         says = "a request of which no byte was sent was never sent: another connection is no retry" },
  R8 = { weight = "violation", source = "RFC 9112 9.2, 9.3.2; RFC 9110 15.5.9",
         says = "one request gets exactly one response, its own" },
  R9 = { weight = "advice", source = "RFC 9112 9.6",
         says = "a response that came before the end of the request is read before sending is given up" },
}
judge.names = { "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9" }

--- Did the end of a connection show to its peer?  One that vanished does to a peer that sends, and to no other.
local function is_visible(sending)
  if not sending.ended or sending.ending == "stall" then return false end
  return sending.ending ~= "vanish" or sending.after_end
end

--- Did the client get a response that the backend gave to this very request?
local function is_own(reply, sendings)
  for _, sending in ipairs(sendings) do
    if reply.mark ~= nil and reply.mark == sending.mark then return true end
  end
  return false
end

local function was_told_failure(verdict)
  return verdict.name == "refused" or verdict.name == "ghost" or verdict.name == "hung"
end

local function knows_repeatable(f)
  if f.request.key then return true end
  for _, attempt in ipairs(f.attempts) do
    if attempt.why == "known to be repeatable" then return true end
  end
  return false
end

--- Does this sending's response, cut where it is, look like a whole one?  Over plain TCP the end of a close-delimited
-- body by FIN is its end (RFC 9112 6.3); a head that is cut is one in every framing (RFC 9112 8).
local function is_cut_head(sending)
  return sending.answered > 0 and not sending.answered_whole
    and (sending.response_head == 0 or sending.answered < sending.response_head)
end

--- The sending whose response the client was given: by its mark; where the head was cut before that, by elimination.
local function given(f)
  for _, sending in ipairs(f.sendings) do
    if f.reply.mark ~= nil and f.reply.mark == sending.mark then return sending end
    if f.reply.mark == nil and is_cut_head(sending) then return sending end
  end
end

--- A stale 408 (Request Timeout) that crossed the request on a used connection: the server has processed nothing, and
-- the request may be repeated whatever its method (RFC 9110 15.5.9).
local function met_stale_408(f, sending)
  return f.says_408 and sending.ended and sending.request > 1
end

--- How often was the request sent again, without a 408 that permits it?
local function n_repeats(f)
  local n = 0
  for i = 1, #f.sendings - 1 do
    if not met_stale_408(f, f.sendings[i]) then n = n + 1 end
  end
  return n
end

-- One function a rule: f is what is known of a request.  Returns "broken"; "advice" (broken, but only advised against
-- here); "permitted"; "unknown"; or nil (kept).
-- f.verdict.unseen: to a connection that was gone something may have been sent, and nothing here could see it; so there
-- may have been more sendings than f.sendings has.
local tests = {}

function tests.R1(f)
  if not was_told_failure(f.verdict) then return nil end
  if f.is_after_all then return "broken" end
  local last = f.sendings[#f.sendings]
  if f.verdict.name == "hung" then return last and is_visible(last) and "broken" or "unknown" end
  return nil
end

function tests.R2(f)
  if f.request.idempotent then return nil end
  local n = n_repeats(f)
  if n == 0 or n == 1 and knows_repeatable(f) then return f.verdict.unseen and "unknown" or nil end
  return f.is_client and "advice" or "broken"
end

function tests.R3(f)
  local only = f.sendings[1]
  if not f.request.idempotent or #f.sendings ~= 1 or not is_visible(only) then return nil end
  if not was_told_failure(f.verdict) or only.answered > 0 or is_own(f.reply, f.sendings) then return nil end
  return f.verdict.unseen and "unknown" or "broken"
end

function tests.R4(f)
  if #f.sendings > 2 then return "broken" end
  return f.verdict.unseen and #f.sendings == 2 and "unknown" or nil
end

--- Was the request sent again although the client holds part of an earlier response?
local function is_repeated_after_passing(f)
  for i = 1, #f.sendings - 1 do
    if f.reply.mark ~= nil and f.reply.mark == f.sendings[i].mark then return true end
  end
  return false
end

local function is_cut_but_complete(f)
  local sending = f.verdict.name == "garbled" and given(f)
  if not sending then return nil end
  local by_fin = sending.ending == "fin" or sending.ending == "half" or sending.ending == "plain"
  if sending.until_close and not is_cut_head(sending) and sending.ended and by_fin then return "unknown" end
  return "broken"
end

function tests.R5(f)
  return is_repeated_after_passing(f) and "broken" or is_cut_but_complete(f)
end

function tests.R6(f)
  return not f.request.idempotent and n_repeats(f) == 1 and knows_repeatable(f) and "permitted" or nil
end

function tests.R7(f)
  if #f.sendings > 0 or not was_told_failure(f.verdict) or not f.may_go_elsewhere then return nil end
  return f.verdict.unseen and "unknown" or "broken"
end

function tests.R8(f)
  if f.verdict.name == "phantom" then return "broken" end
  if f.verdict.name ~= "garbled" or given(f) then return nil end
  if f.says_408 and f.reply.status == 408 then
    -- On a connection that carried nothing before, it is an answer.
    return not f.rode_fresh and "advice" or nil
  end
  return "broken"
end

function tests.R9(f)
  if not f.refused_early then return nil end
  return f.reply.status ~= 413 and "broken" or nil
end

--- Did the first attempt ride a connection of its own, where it was to ride a used one?
local function rode_fresh(cell, facts)
  local order = cell.order
  if cell.connection.uses == 0 or order.name == "settled" or order.name == "close-first"
    or order.held == "choosing" then
    return false
  end
  local attempt, sending = facts.attempts[1], facts.sendings[1]
  if attempt then return not attempt.reused end
  return sending ~= nil and sending.request == 1
end

-- The cell's own request.
local function victim(cell, f, kind)
  local order = cell.order.name
  return {
    request = cell.request, sendings = f.sendings, reply = f.reply, verdict = f.verdict, attempts = f.attempts,
    is_client = kind == "client",
    is_after_all = order == "settled",
    may_go_elsewhere = cell.second.name == "none",
    says_408 = cell.ending.status == 408, rode_fresh = rode_fresh(cell, f),
    refused_early = cell.ending.status == 413 and f.verdict.reached,
  }
end

--- Did it ride a connection of which nobody could know that it had ended?
local function rode_blindly(sendings)
  for _, sending in ipairs(sendings) do
    if sending.ended and axes.tells_nobody(sending.ending) then return true end
  end
  return false
end

-- The client's next request: the backend is in good health, unless all connections fail.
local function next_one(cell, f, kind)
  local healthy = cell.second.name ~= "all"
  return {
    request = { idempotent = false }, sendings = f.next_sendings, reply = f.next_reply,
    verdict = f.next_verdict, attempts = {}, is_client = kind == "client",
    is_after_all = healthy and not rode_blindly(f.next_sendings),
    may_go_elsewhere = healthy,
  }
end

local function findings(f)
  local found = {}
  for _, name in ipairs(judge.names) do found[name] = tests[name](f) end
  return found
end

--- Judge a cell: its own request, and the client's next one, where there is any.
-- @param kind  of system: "ours", "proxy" or "client"
-- @return for each of the two: rule name → "broken", "advice", "permitted" or "unknown"; absent rules were kept
function judge.findings(cell, facts, kind)
  return findings(victim(cell, facts, kind)), facts.next_verdict and findings(next_one(cell, facts, kind)) or {}
end

--- Is it one that a rule was not kept?
function judge.is_broken(finding)
  return finding == "broken" or finding == "advice"
end

--- How much a finding weighs: "violation", "advice" or "permitted"; nil: nothing that is known.
function judge.weight(name, finding)
  if finding == "broken" then return judge.rules[name].weight end
  return finding ~= "unknown" and finding or nil
end

--- Was the race that the cell asks for the one that took place?  Nil where it was; else what came instead.
function judge.missed(cell, facts)
  local order, decided = cell.order, facts.verdict.order
  if rode_fresh(cell, facts) then return "the request rode a fresh connection" end
  if order.held then
    if facts.n_held == 0 then
      return order.attempt > 1 and "there was no second attempt" or "nobody came to that checkpoint"
    end
    -- Neither a session, nor a connection that becomes idle, stands for the request on the connection that ends.
    local stands = order.machine == "upstream" and order.held ~= "idle"
    return stands and decided ~= "held" and "decided as " .. decided or nil
  end
  if order.name == "close-first" or order.name == "request-first" then
    return facts.n_ended == 0 and "no connection was idle" or nil
  end
  if decided ~= order.name then return "decided as " .. decided end
  return order.name ~= "settled" and not facts.verdict.reached and "the request rode another connection" or nil
end

return judge
