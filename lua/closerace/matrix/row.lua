--- A row: what came of one cell, as it is reported, saved, compared and merged.

local judge = require "closerace.matrix.judge"
local told = require "closerace.told"

local row = {}

--- The fields of a row, in the order in which they are written.
--   cell          its id
--   n, of         which cell of how many
--   request … client   the values of its axes; at: the byte offset, as a number
--   state         ok; broken (a violation), advice; "not reached" (another race took place); varied; undecided (it
--                 varied, and was not expected not to); failed (it could not be played to its end), skipped
--   verdict, told, executed, attempts, connections, reached   see docs/lua.md
--   decided       what decided the race, from the backend's point of view
--   next          the verdict of the client's next request; next_told, next_attempts; a client command makes none
--   violation, advice   true or false
--   rule          the first rule that was broken, or permitted it
--   rules         every rule that was not simply kept: broken, advice (broken, but only advised against here),
--                 permitted, unknown; next_rules: by the next request
--   unseen        true: without CAP_NET_RAW it could not be seen whether more was sent to a connection that was gone
--   reason        why the proxy did what it did with failed attempts; it has to be our own.  Or the last words of a
--                 client command that failed
--   why           of the states not reached, varied, undecided, failed and skipped
--   system        the system under test
--   ms            real time it took
row.fields = {
  "cell", "n", "of", "request", "connection", "point", "at", "ending", "order", "second", "response", "client", "state",
  "verdict", "told", "executed", "attempts", "connections", "reached", "decided", "next", "next_told",
  "next_attempts", "violation", "advice", "rule", "rules", "next_rules", "unseen", "reason", "why", "system", "ms",
}

local integers = { "n", "of", "at", "executed", "attempts", "connections", "next_attempts" }

-- Made in one go: a table that grows field by field is copied again and again.
local function new(cell, n, system, state, why)
  return {
    cell = cell.id, n = n, of = nil, request = cell.request.name, connection = cell.connection.name,
    point = cell.point.name, at = nil, ending = cell.ending.name, order = cell.order.name, second = cell.second.name,
    response = cell.response.name, client = cell.client.name, state = state, verdict = nil, told = nil, executed = nil,
    attempts = nil, connections = nil, reached = nil, decided = nil, next = nil, next_told = nil, next_attempts = nil,
    violation = false, advice = false, rule = nil, rules = nil, next_rules = nil, unseen = false, reason = nil,
    why = why,
    system = system, ms = nil,
  }
end

--- A cell that was not played, or not to its end.
-- @param state  "skipped", "failed" or "undecided"
function row.unplayed(cell, n, system, state, why)
  local r = new(cell, n, system, state, why)
  r.rules, r.next_rules = {}, {}
  return r
end

--- The reasons of the failed attempts, each once.
local function reasons(attempts)
  local text, seen = nil, nil
  for _, attempt in ipairs(attempts) do
    local why = attempt.failed and attempt.why
    if why and not text then
      text, seen = why, { [why] = true }
    elseif why and not seen[why] then
      text, seen[why] = text .. "; " .. why, true
    end
  end
  return text
end

-- What weighs most is told first.
local weights = { violation = 3, advice = 2, permitted = 1 }

local function judge_row(r, rules, next_rules)
  local most = 0
  r.rules, r.next_rules = rules, next_rules
  if next(rules) == nil and next(next_rules) == nil then return end
  for _, name in ipairs(judge.names) do
    for _, finding in pairs { rules[name] or "unknown", next_rules[name] or "unknown" } do
      local weight = judge.weight(name, finding)
      if weight and weight ~= "permitted" then r[weight] = true end
      if weight and weights[weight] > most then most, r.rule = weights[weight], name end
    end
  end
end

--- @param facts  of a stage
function row.played(cell, n, system, facts)
  local r, verdict = new(cell, n, system), facts.verdict
  r.at = facts.at
  r.verdict, r.told = verdict.name, told(verdict.told)
  r.executed, r.attempts, r.connections = verdict.executed, #facts.sendings, verdict.connections
  r.reached, r.decided = verdict.reached, verdict.order
  if facts.next_verdict then
    r.next, r.next_told = facts.next_verdict.name, told(facts.next_verdict.told)
    r.next_attempts = #facts.next_sendings
  end
  r.reason = facts.reason or reasons(facts.attempts)
  r.unseen = verdict.unseen
  judge_row(r, judge.findings(cell, facts, facts.kind))
  r.why = judge.missed(cell, facts)
  r.state = r.violation and "broken" or r.why and "not reached" or r.advice and "advice" or "ok"
  return r
end

local outcome = {
  "verdict", "told", "executed", "attempts", "connections", "reached", "decided", "next", "next_told",
  "next_attempts", "violation", "advice", "rule",
}

--- Did two plays of a cell come to the same?
function row.are_same(a, b)
  for _, name in ipairs(outcome) do
    if a[name] ~= b[name] then return false end
  end
  return true
end

--- What must be the same whenever the cell is played, in words.
function row.signature(r)
  local parts = {}
  for i, name in ipairs(outcome) do parts[i] = ("%s %s"):format(name, tostring(r[name])) end
  return table.concat(parts, ", ")
end

-- ----------------------------------------------------------------------------- JSON --

-- Debian's lua-cjson; asked for when it is first needed.
local function cjson()
  local good, module = pcall(require, "cjson")
  if not good then error("JSON needs the Lua module cjson (Debian: lua-cjson)", 0) end
  return module
end

local function encode_rules(rules)
  if next(rules) == nil then return "{}" end
  local parts = {}
  for _, name in ipairs(judge.names) do
    if rules[name] then parts[#parts + 1] = ('"%s":"%s"'):format(name, rules[name]) end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_string(text)
  if not text:find "[^%w %-_/@#:+;,.()]" then return '"' .. text .. '"' end      -- as most are
  return (cjson().encode(text):gsub("\\/", "/"))
end

-- Words and small numbers come again and again, and there are not many of them.
local known = setmetatable({}, { __index = function(self, value)
  local text = type(value) == "string" and encode_string(value) or tostring(value)
  self[value] = text
  return text
end })

local encoders = {
  cell = encode_string,                   -- no two are alike
  n = tostring,
  at = tostring,
  why = encode_string,
  rules = encode_rules,
  next_rules = encode_rules,
  ms = function(ms) return ("%.3f"):format(ms) end,
}

local keys = {}
for i, name in ipairs(row.fields) do keys[i] = '"' .. name .. '":' end

--- One line of JSON, without its line end.
-- @param but  the name of a field to leave out
function row.encode(r, but)
  local parts, n = {}, 0
  for i, name in ipairs(row.fields) do
    if name ~= but then
      local value, encode = r[name], encoders[name]
      parts[n + 1] = n == 0 and "{" or ","
      parts[n + 2] = keys[i]
      parts[n + 3] = value == nil and "null" or encode and encode(value) or known[value]
      n = n + 3
    end
  end
  parts[n + 1] = "}"
  return table.concat(parts)
end

--- The row of a line; nil and a sentence where it is none.
function row.decode(line)
  local json = cjson()
  local good, r = pcall(json.decode, line)
  if not good then return nil, "it is no JSON" end
  if type(r) ~= "table" or type(r.cell) ~= "string" or type(r.state) ~= "string" then
    return nil, "it is no row of the matrix: it has no cell or no state"
  end
  for name, value in pairs(r) do
    if value == json.null then r[name] = nil end
  end
  for _, name in ipairs(integers) do r[name] = math.tointeger(r[name]) end
  r.rules, r.next_rules, r.unseen = r.rules or {}, r.next_rules or {}, r.unseen or false
  return r
end

return row
