--- Natural races: nobody decides who wins.  A backend closes an idle connection a moment after its answer, as a server
--- with a short keep-alive timeout does, while the client goes on with its next request; what comes of it is counted.
-- What is counted is a series: trials with one system, one request and one timeout.  Counting is pure; the trials are
-- at the end.

local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local stages = require "closerace.matrix.stage"
local told = require "closerace.told"

local natural = {}

--- The verdicts as a row tells them: the worst last.
natural.verdicts = {}
for _, verdict in ipairs(core.words().verdicts) do table.insert(natural.verdicts, 1, verdict.word) end

-- ------------------------------------------------------------------------ statistics --

-- Of the normal distribution: 95 % lie between -Z and Z.
local Z = 1.959963984540054

--- The Wilson score interval, 95 %, of a rate that was seen as n of so many.  It holds for few trials, and for rates
--- near 0, where the textbook's p ± z·sqrt(p(1-p)/n) says "exactly 0".
-- E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", J. Am. Stat. Assoc. 22 (1927)
-- 209-212; recommended by R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872 (method 3).
-- @return the lower and the upper limit, from 0 to 1
function natural.wilson(n, of)
  if of == 0 then return 0.0, 1.0 end
  local rate, share = n / of, Z * Z / of
  local middle = (rate + share / 2) / (1 + share)
  local half = Z * math.sqrt(rate * (1 - rate) / of + share / (4 * of)) / (1 + share)
  -- The limits of "none" and "all" are 0 and 1; the arithmetic misses them by a rounding error.
  return n == 0 and 0.0 or math.max(0.0, middle - half), n == of and 1.0 or math.min(1.0, middle + half)
end

--- A source of numbers from 0 to 1 (exclusive) that a seed decides alone, on every machine; math.random is the user's.
-- SplitMix64: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
function natural.chance(seed)
  local state = seed
  return function()
    state = state + 0x9e3779b97f4a7c15
    local z = state
    z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ~ (z >> 27)) * 0x94d049bb133111eb
    z = z ~ (z >> 31)
    return (z >> 11) * 2.0 ^ -53
  end
end

-- -------------------------------------------------------------------------- counting --

--- The fields of a row, in the order in which they are written; docs/natural.md says what they mean.
natural.fields = {
  "system", "request", "close_after_ms", "seed", "trials", "void", "raced", "crossed", "unseen", "failed",
  "failed_rate", "failed_low", "failed_high", "sendings", "executed", "met_twice", "verdicts", "told", "ms",
}

local Series = {}
Series.__index = Series

--- Begin to count.
-- @param what  system, request and close_after_ms, as a row names them; seed
function natural.series(what)
  local self = setmetatable({
    system = what.system, request = what.request, close_after_ms = what.close_after_ms, seed = what.seed,
    trials = 0, void = 0, raced = 0, crossed = 0, unseen = 0, failed = 0, sendings = 0, executed = 0, met_twice = 0,
    verdicts = {}, told = {}, ms = 0.0,
  }, Series)
  for _, word in ipairs(natural.verdicts) do self.verdicts[word] = 0 end
  return self
end

--- Did the client not get what it had asked for?  A request that was executed twice failed only where the client was
--- told so.
local function has_failed(facts)
  if facts.verdict == "twice" then return not facts.is_success end
  return facts.verdict ~= "clean"
end

--- Count a trial.
-- @param facts  verdict, told: its words; is_success: the client was told so; raced, crossed, unseen: true or false;
--               sendings, executed: how many of them
function Series:add(facts)
  local function count(name, n) self[name] = self[name] + (n == true and 1 or n or 0) end
  count("trials", 1)
  count("raced", facts.raced)
  count("crossed", facts.crossed)
  count("unseen", facts.unseen)
  count("failed", has_failed(facts))
  count("sendings", facts.sendings)
  count("executed", facts.executed)
  count("met_twice", facts.sendings > 1)
  self.verdicts[facts.verdict] = self.verdicts[facts.verdict] + 1
  self.told[facts.told] = (self.told[facts.told] or 0) + 1
end

--- What was counted so far, as data.
function Series:row()
  local r = {}
  for _, name in ipairs(natural.fields) do r[name] = self[name] end
  r.failed_rate = self.trials > 0 and self.failed / self.trials or 0.0
  r.failed_low, r.failed_high = natural.wilson(self.failed, self.trials)
  return r
end

-- ------------------------------------------------------------------------------ JSON --

local function encode_string(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function encode_counts(counts, names)
  local parts = {}
  for i, name in ipairs(names) do parts[i] = ("%s:%d"):format(encode_string(name), counts[name]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- What the client was told, the most frequent first.
function natural.told_of(r)
  local words = {}
  for word in pairs(r.told) do words[#words + 1] = word end
  table.sort(words, function(a, b)
    if r.told[a] ~= r.told[b] then return r.told[a] > r.told[b] end
    return a < b
  end)
  return words
end

--- One line of JSON, without its line end.
function natural.encode(r)
  local parts = {}
  for i, name in ipairs(natural.fields) do
    local value, text = r[name], tostring(r[name])
    if name == "verdicts" then
      text = encode_counts(value, natural.verdicts)
    elseif name == "told" then
      text = encode_counts(value, natural.told_of(r))
    elseif type(value) == "string" then
      text = encode_string(value)
    elseif math.type(value) == "float" then
      text = ("%.6g"):format(value)
    end
    parts[i] = encode_string(name) .. ":" .. text
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- ------------------------------------------------------------------------ the trials --

local Trials = {}
Trials.__index = Trials

--- Start a system, and what stands around it.
-- On one processor the system would never cross anything either: whom we wake goes on at once, and we wait until it has
-- done.  So one is ours, and the system has the others.
-- @param system  see closerace.system; it is no part of the lab, which has one thread: there nothing can cross anything
function natural.open(system)
  assert(not system.is_ours, "our own proxy has to be a process of its own")
  core.pin(1, "others")
  local good, stage = pcall(stages.open, { system = system, is_free = true })
  core.pin(1)
  if not good then error(stage, 0) end
  return setmetatable({ system = system, stage = stage }, Trials)
end

function Trials:close()
  self.stage:close()
end
Trials.__close = Trials.close

local RESPONSE = axes.response.cl

--- Why there are no trials with that request; nil where there are.
function Trials:lacks(request)
  local _, why = self.stage:measures(request, RESPONSE)
  return why
end

--- The lab makes one pass: what has come is read and answered.
-- Moments are fractions of a millisecond here, and the lab's timers know only whole ones (so does the loop below them,
-- which waits by epoll).  So nobody waits: the trial makes passes without a pause, looks at the clock after each, and
-- ends the connection by hand.  It is what a server does whose timer comes true: first it reads what has come, and then
-- it closes what is still idle.
local function pass(stage)
  stage.lab:advance(0)
  return core.now_ms()
end

--- The first request of a trial.
-- @return when the backend had answered it, and on which connection; nil where the client got no answer to it
local function warm(stage)
  local wire = stage:warming()
  local exchange, answered_at = stage.warm_client:start(wire), nil
  while not exchange.done do
    local now = pass(stage)
    local sending = not answered_at and stage.backend:ledger(wire.id)[1]
    if sending and sending.answered_whole then answered_at = now end
  end
  if not exchange:wait().complete then return nil end
  return answered_at or core.now_ms(), stage.backend:conn { carried = wire.id }
end

--- The server's idle timeout: it closes a connection on which no byte of a further request was read.
-- @return true where it did
local function time_out(conn, n_requests)
  if not conn.idle or conn.requests ~= n_requests then return false end
  conn:close "plain"
  return true
end

local function facts_of(stage, id, raced)
  local verdict, sendings, unseen = stage.lab:verdict(id), 0, false
  for _, sending in ipairs(stage.backend:ledger()) do
    if sending.unseen then
      unseen = true
    elseif sending.id == id or sending.id == "" and sending.path ~= "*" then
      -- Too little may have come to tell whose it was.  What a proxy asks for itself (OPTIONS *) is nobody's.
      sendings = sendings + 1
    end
  end
  return {
    verdict = verdict.name, told = told(verdict.told), raced = raced, crossed = verdict.reached, unseen = unseen,
    is_success = verdict.told.complete and verdict.told.status < 400, sendings = sendings, executed = verdict.executed,
  }
end

--- One trial.
-- @param close_after_ms  from the backend's answer to the close
-- @param wait_ms         from the answer at the client to its next request
-- @return facts for Series:add(); nil where there was no answer to the request before
function Trials:play(request, close_after_ms, wait_ms)
  local stage = self.stage
  stage:clear()
  local answered_at, conn = warm(stage)
  if not answered_at then return nil end
  local close_at, go_at = answered_at + close_after_ms, core.now_ms() + wait_ms
  local n_requests, wire = conn.requests, stage:wire(request, RESPONSE)
  local victim, is_over, raced = nil, false, false
  repeat
    local now = pass(stage)
    if not is_over and now >= close_at and not (victim and victim.done) then
      is_over, raced = true, time_out(conn, n_requests)
    end
    if not victim and now >= go_at then victim = stage.warm_client:start(wire) end
  until victim and (is_over or victim.done)
  victim:wait()
  stage:settle()                        -- the program may still have something to do
  local facts = facts_of(stage, wire.id, raced)
  stage:check()
  return facts
end

--- Play the trials of a series.
-- @param series    counts them
-- @param n         so many
-- @param progress  a function, called after each
function Trials:run(series, n, progress)
  local request, after_ms = axes.request[series.request], series.close_after_ms
  local chance, start = natural.chance(series.seed), core.now_ms()
  while series.trials < n do
    -- At once, or up to twice as long as the server waits: so that the one's moment crosses the other's.
    local facts = self:play(request, after_ms, chance() * 2 * after_ms)
    series.ms = core.now_ms() - start
    if facts then
      series:add(facts)
      progress()
    else
      series.void = series.void + 1
      if series.void > n then error(("%s answers no request any more"):format(self.system.name), 0) end
    end
  end
end

return natural
