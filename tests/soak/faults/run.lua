--- Play rounds until so many requests were sent; stop at the first that a proxy may not do.

local Stage = require "faults.stage"
local Books = require "faults.books"
local judge = require "faults.judge"
local plan = require "faults.plan"
local told_text = require "closerace.told"

local run = {}

-- ------------------------------------------------------------------------- in words --

--- What became of a request, in words: the same ones in every run with the same seed.
function run.outcome(one)
  local v = one.verdict
  return ("%s %-7s %-7s told %s, executed %d, attempts %d on %d, %s%s, %d ms"):format(v.id, one.request.method, v.name,
    told_text(v.told), v.executed, v.attempts, v.connections, v.order, v.reached and ", reached" or "", v.ms)
end

function run.outcomes(played)
  local lines = {}
  for i, one in ipairs(played) do lines[i] = run.outcome(one) end
  return table.concat(lines, "\n")
end

local function value_text(value)
  return type(value) == "string" and ("%q"):format(value):gsub("\\\n", "\\n"):gsub("\r", "\\r") or tostring(value)
end

local function sorted_text(map)
  local names, parts = {}, {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = name .. "=" .. value_text(map[name]) end
  return table.concat(parts, " ")
end

--- A request of the plan, and the faults that wait for it.
function run.request_text(request)
  local body = request.wire.chunked and "chunked" or request.wire.body and "length"
    or request.wire.open and "in steps" or "none"
  local lines = { ("%s %s%s, body: %s, %d B, client %d%s"):format(request.method, request.path,
    request.bytes and " HTTP/1.0" or "", body, request.body_size, request.client,
    request.aborted and ", who leaves" or "") }
  for _, fault in ipairs(request.faults) do lines[#lines + 1] = "    fault " .. sorted_text(fault) end
  return table.concat(lines, "\n")
end

local function lab_text(lab)
  return ("%d clients; proxy %s; backend %s"):format(lab.n_clients, sorted_text(lab.proxy), sorted_text(lab.backend))
end

-- --------------------------------------------------------------------------- playing --

local Run = {}
Run.__index = Run

--- @param options.seed      all that is drawn depends on it
-- @param options.requests  so many at least, in whole rounds
-- @param options.retry     the proxy's policy
-- @param options.again     one round in so many is played again on a lab of its own: it must come out the same
-- @param options.progress  called with the books behind each lab
function run.new(options)
  return setmetatable({
    seed = options.seed, requests = options.requests, retry = options.retry or "idempotent",
    again = options.again or 50, progress = options.progress or function() end, books = Books.new(), round = 0,
  }, Run)
end

-- A lab that nothing has happened in.
local function play_alone(self, n, timeline)
  local lab = plan.lab(self.seed, plan.lab_of(n))
  local stage = Stage.open(lab, self.retry, timeline)
  return stage:play(plan.round(self.seed, n, lab)), stage, lab
end

local function failure(self, n, one, trouble)
  return { seed = self.seed, round = n, retry = self.retry, trouble = trouble,
    text = one and ("%s\n%s"):format(run.outcome(one), run.request_text(one.request)) or "" }
end

local function differing_line(text, other)
  local rest = other:gmatch "[^\n]+"
  for line in text:gmatch "[^\n]+" do
    local now = rest()
    if line ~= now then return ("first: %s\nthen:  %s"):format(line, now) end
  end
end

local function play_again(self, n, text)
  local played, stage = play_alone(self, n)
  stage:close()
  self.books.n_played_again = self.books.n_played_again + 1
  local other = run.outcomes(played)
  if other == text then return nil end
  local failed = failure(self, n, nil, "played again, it came out differently")
  failed.text = differing_line(text, other)
  return failed
end

-- What must not be; and does it come out like that again?  If not, look for what differed: nothing may.
local function troubled(self, n, one, trouble, text)
  local failed, again = failure(self, n, one, trouble), play_again(self, n, text)
  failed.text = ("%s\n%s"):format(failed.text,
    again and again.trouble .. "\n" .. again.text or "played again, it comes out the same")
  return failed
end

local function play_round(self, stage, lab)
  local n = self.round
  local played = stage:play(plan.round(self.seed, n, lab))
  local text = run.outcomes(played)
  for _, one in ipairs(played) do
    local trouble = judge.trouble(one, lab)
    if trouble then return troubled(self, n, one, trouble, text) end
  end
  self.books:add(stage, played, text)
  return n % self.again == 0 and play_again(self, n, text) or nil
end

local function play_lab(self)
  local lab = plan.lab(self.seed, plan.lab_of(self.round + 1))
  local stage <close> = Stage.open(lab, self.retry)
  self.books.n_labs = self.books.n_labs + 1
  for _ = 1, plan.ROUNDS_PER_LAB do
    if self.books.n_requests >= self.requests then return nil end
    self.round = self.round + 1
    local failed = play_round(self, stage, lab)
    if failed then return failed end
  end
end

--- Play on to the end.
-- @return nil, or what went wrong: round, trouble, text
function Run:play()
  repeat
    local failed = play_lab(self)
    if failed then return failed end
    self.progress(self.books)
  until self.books.n_requests >= self.requests
end

--- Play one round alone.
-- @return its outcomes; a text: what was played, and how it went; and the first trouble, if any
function Run:replay(n)
  local played, stage, lab = play_alone(self, n, true)
  local first
  local lines = { ("seed %d, round %d, retry %s: %s"):format(self.seed, n, self.retry, lab_text(lab)),
    tostring(stage:trace()) }
  for _, one in ipairs(played) do
    local trouble = judge.trouble(one, lab)
    first = first or trouble
    lines[#lines + 1] = run.outcome(one) .. (one.behind and ", behind another" or "")
      .. (trouble and "  <-- " .. trouble or "")
    lines[#lines + 1] = "    " .. run.request_text(one.request)
  end
  stage:close()
  return run.outcomes(played), table.concat(lines, "\n"), first
end

return run
