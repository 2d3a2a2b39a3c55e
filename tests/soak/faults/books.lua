--- What was counted in a soak, and how it looks as text.

local core = require "closerace.core"
local plan = require "faults.plan"

local Books = {}
Books.__index = Books

function Books.new()
  local self = {
    n_requests = 0, n_rounds = 0, n_labs = 0, n_faulty = 0, n_behind = 0, n_aborted = 0, n_played_again = 0,
    n_sendings = 0, n_in_window = 0, digest = 0,
    verdicts = {}, methods = {}, fired = {}, actions = { ["retry"] = 0, ["elsewhere"] = 0, ["give up"] = 0 },
  }
  for _, point in ipairs(plan.points) do
    self.fired[point] = {}
    for _, ending in ipairs(plan.endings) do self.fired[point][ending] = 0 end
  end
  return setmetatable(self, Books)
end

-- ------------------------------------------------------------------------- counting --

local function count(map, key)
  map[key] = (map[key] or 0) + 1
end

local function add_request(self, one)
  local method, name = one.request.method, one.verdict.name
  if not self.verdicts[method] then
    self.verdicts[method] = {}
    self.methods[#self.methods + 1] = method
  end
  count(self.verdicts[method], name)
  if one.verdict.reached then self.n_faulty = self.n_faulty + 1 end
  if one.behind then self.n_behind = self.n_behind + 1 end
  if one.aborted then self.n_aborted = self.n_aborted + 1 end
end

-- The first that the ledger says of a connection's end; what came afterwards repeats it.
local function ends_in(ledger)
  local ends = {}
  for _, sending in ipairs(ledger) do
    if sending.ended and not sending.by_hand and not ends[sending.conn] then ends[sending.conn] = sending end
  end
  return ends
end

-- An idle connection, or one that was just accepted, ends without a request that could tell of it: there its fault
-- does, which names the connection.
local function add_aimed(self, stage, played, ends)
  local told = {}
  for _, fault in ipairs(played.aimed) do
    local conn, sending = fault.conn, ends[fault.conn]
    local is_end = sending and sending.ended_on == fault.on or not sending and stage:ended(conn, fault.request or 0)
    if is_end and not told[conn] then
      told[conn] = true
      count(self.fired[fault.on], fault.close)
    end
  end
end

local function add_ends(self, stage, played)
  local ends = ends_in(played.ledger)
  for _, sending in pairs(ends) do              -- a sum: in any order
    if sending.ended_on ~= "idle" and sending.ended_on ~= "accept" then
      count(self.fired[sending.ended_on], sending.ending)
    end
  end
  add_aimed(self, stage, played, ends)
end

local function add_digest(self, text)
  local digest = self.digest
  text = text .. "       "
  for i = 1, #text - 7, 8 do
    digest = (digest ~ ("<i8"):unpack(text, i)) * 0x100000001b3
    digest = digest ~ (digest >> 32)
  end
  self.digest = digest
end

--- Enter a round that was played, and what came of it in words.
function Books:add(stage, played, text)
  self.n_rounds = self.n_rounds + 1
  self.n_requests = self.n_requests + #played
  self.n_sendings = self.n_sendings + #played.ledger
  self.n_in_window = self.n_in_window + played.n_in_window
  for _, one in ipairs(played) do add_request(self, one) end
  for _, attempt in ipairs(played.attempts) do
    if attempt.failed then count(self.actions, attempt.action) end
  end
  add_ends(self, stage, played)
  add_digest(self, text)
end

--- Pairs of point and ending that never fired.
function Books:never_fired()
  local pairs_left = {}
  for _, point in ipairs(plan.points) do
    for _, ending in ipairs(plan.endings) do
      if self.fired[point][ending] == 0 then pairs_left[#pairs_left + 1] = point .. " × " .. ending end
    end
  end
  return pairs_left
end

-- --------------------------------------------------------------------------- as text --

local function row(title, cells)
  local parts = { ("%-14s"):format(title) }
  for _, cell in ipairs(cells) do parts[#parts + 1] = ("%9s"):format(cell) end
  return table.concat(parts)
end

local function grid(title, names, columns, value)
  local lines = { row(title, columns) }
  for _, name in ipairs(names) do
    local cells = {}
    for i, column in ipairs(columns) do cells[i] = value(name, column) end
    lines[#lines + 1] = row(name, cells)
  end
  return table.concat(lines, "\n")
end

local function verdict_words()
  local words = {}
  for i, verdict in ipairs(core.words().verdicts) do words[i] = verdict.word end
  return words
end

function Books:__tostring()
  table.sort(self.methods)
  local a = self.actions
  return table.concat({
    ("%d requests in %d rounds of %d labs, %d sendings, %d met a fault, %d pipelined behind another, %d left alone by "
      .. "their client"):format(self.n_requests, self.n_rounds, self.n_labs, self.n_sendings, self.n_faulty,
      self.n_behind, self.n_aborted),
    ("failed attempts: %d sent again, %d went to another connection, %d given up"):format(
      a["retry"], a["elsewhere"], a["give up"]),
    ("%d requests stood before their first byte while idle connections ended"):format(self.n_in_window),
    ("%d rounds played again, with the same outcome; digest %016x"):format(self.n_played_again, self.digest),
    "",
    grid("verdicts", self.methods, verdict_words(), function(method, name) return self.verdicts[method][name] or 0 end),
    "garbled: only the close tells the end of such a response, and a FIN came early; hung: no timeout was set",
    "",
    grid("faults fired", plan.points, plan.endings, function(point, ending) return self.fired[point][ending] end),
  }, "\n")
end

return Books
