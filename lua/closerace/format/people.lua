--- For people: the violations first, then a table of close points and endings by requests, then the sums.

local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local judge = require "closerace.matrix.judge"
local paint = require "closerace.paint"

local People = {}
People.__index = People

function People.new(write, matrix)
  return setmetatable({
    write = write, matrix = matrix, lines = {}, columns = {}, at = {}, broken = {}, trouble = {}, missed = {},
    verdicts = {},
  }, People)
end

--- The worst first, as they are judged.
local rank = {}
for i, verdict in ipairs(core.words().verdicts) do rank[verdict.word] = i end

-- A verdict without it is certain; how often the request was sent is not.
local UNSEEN = "not judged in full: without CAP_NET_RAW it cannot be seen what is sent to a connection that is gone"

local HOLLOW = "nothing is proven, for in no cell did the race take place"

-- The command that gives the rights which a run lacked.
local CURE = [[what is lacking can be given:  sudo setcap cap_net_admin,cap_net_raw+ep "$(command -v closerace)"]]

local function place(axis, name)
  return axes[axis][name] and axes[axis][name].place or 1000
end

local function count(map, key)
  map[key] = (map[key] or 0) + 1
end

-- ------------------------------------------------------------------------- gathering --

local function box_of(self, r)
  local key = r.point .. "\0" .. r.ending
  local line = self.at[key]
  if not line then
    line = { point = r.point, ending = r.ending, boxes = {} }
    self.at[key] = line
    self.lines[#self.lines + 1] = line
  end
  if not self.columns[r.request] then
    self.columns[r.request] = true
    self.columns[#self.columns + 1] = r.request
  end
  line.boxes[r.request] = line.boxes[r.request] or { verdicts = {} }
  return line.boxes[r.request]
end

function People:row(r)
  local box = box_of(self, r)
  if r.verdict then
    count(box.verdicts, r.verdict)
    count(self.verdicts, r.verdict)
  else
    box.state = r.state
  end
  box.violation = box.violation or r.violation
  box.advice = box.advice or r.advice
  if r.violation or r.advice then
    for _, name in ipairs(judge.names) do
      for _, weight in ipairs { "violation", "advice" } do
        if judge.weight(name, r.rules[name]) == weight or judge.weight(name, r.next_rules[name]) == weight then
          local key = weight .. " " .. name
          self.broken[key] = self.broken[key] or {}
          table.insert(self.broken[key], r)
        end
      end
    end
  end
  if r.unseen then count(self.missed, UNSEEN) end
  self.lacks_rights = self.lacks_rights or r.unseen or r.state == "skipped" and r.why:find("CAP_", 1, true) ~= nil
  if r.state == "varied" or r.state == "failed" then
    box.violation = true
    table.insert(self.trouble, r)
  elseif r.state == "not reached" or r.state == "skipped" then
    count(self.missed, ("%s: %s"):format(r.state, r.why))
  elseif r.state == "undecided" then
    count(self.missed, "undecided: the program decides, and not always in the same way")
  end
end

-- ------------------------------------------------------------------------- reporting --

local function outcome(r, rule)
  if not judge.is_broken(r.rules[rule]) then
    return ("the next request: %s, told %s, attempts %d"):format(r.next, r.next_told, r.next_attempts)
  end
  return ("%s, told %s, attempts %d%s"):format(r.verdict, r.told, r.attempts, r.reason and "; " .. r.reason or "")
end

local function report_rule(self, weight, name, rows)
  local rule = judge.rules[name]
  self.write(("%s %s (%s), %d times\n"):format(
    paint.text(("%s %s:"):format(weight, name), weight == "violation" and "red" or "yellow"), rule.says, rule.source,
    #rows))
  for _, r in ipairs(rows) do
    self.write(("  %s   # %s\n"):format(self.matrix.replay(r), outcome(r, name)))
  end
  self.write "\n"
end

local function report_broken(self)
  for _, weight in ipairs { "violation", "advice" } do
    for _, name in ipairs(judge.names) do
      local rows = self.broken[weight .. " " .. name]
      if rows then report_rule(self, weight, name, rows) end
    end
  end
  for _, r in ipairs(self.trouble) do
    self.write(("%s %s\n  %s\n"):format(paint.text(r.state .. ":", "red"), self.matrix.replay(r), r.why))
  end
end

--- The verdicts in a box, the worst first; "!" and "?" tell a violation and advice.
local function text_of(box)
  if not box then return "", nil end
  local words = {}
  for word in pairs(box.verdicts) do words[#words + 1] = word end
  table.sort(words, function(a, b) return rank[a] < rank[b] end)
  if #words > 2 then words = { words[1], words[2], "…" } end
  local text = #words > 0 and table.concat(words, " ") or box.state or ""
  if box.violation then return text .. "!", "red" end
  if box.advice then return text .. "?", "yellow" end
  return text, words[1] == "clean" and "green" or nil
end

local function report_table(self)
  table.sort(self.columns, function(a, b) return place("request", a) < place("request", b) end)
  table.sort(self.lines, function(a, b)
    if a.point ~= b.point then return place("point", a.point) < place("point", b.point) end
    return place("ending", a.ending) < place("ending", b.ending)
  end)
  local widths = {}
  for i, request in ipairs(self.columns) do
    widths[i] = #request
    for _, line in ipairs(self.lines) do
      widths[i] = math.max(widths[i], utf8.len((text_of(line.boxes[request]))))
    end
  end
  local head = paint.pad("", 24)
  for i, request in ipairs(self.columns) do head = head .. "  " .. paint.pad(request, widths[i]) end
  self.write(paint.text((head:gsub(" +$", "")), "bold") .. "\n")
  local last
  for _, line in ipairs(self.lines) do
    local text = paint.pad(line.point ~= last and line.point or "", 14) .. " " .. paint.pad(line.ending, 9)
    last = line.point
    local parts = {}
    for i, request in ipairs(self.columns) do
      local box, colour = text_of(line.boxes[request])
      parts[i] = paint.text(paint.pad(box, widths[i]), colour)
    end
    self.write((text .. "  " .. table.concat(parts, "  ")):gsub(" +$", "") .. "\n")
  end
  self.write "\n"
end

local function sorted_keys(map, order)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, order)
  return keys
end

local function several(n, one, many)
  return ("%s %s"):format(n == 0 and "no" or n, n == 1 and one or many)
end

function People:finish(summary)
  report_broken(self)
  report_table(self)
  local write = self.write
  local verdicts = sorted_keys(self.verdicts, function(a, b) return rank[a] > rank[b] end)
  for i, word in ipairs(verdicts) do verdicts[i] = ("%s %d"):format(word, self.verdicts[word]) end
  if verdicts[1] then write(("verdicts     %s\n"):format(table.concat(verdicts, ", "))) end
  for _, why in ipairs(sorted_keys(self.missed)) do write(("%-12d %s\n"):format(self.missed[why], why)) end
  if self.lacks_rights then write(("%-12s %s\n"):format("", CURE)) end
  if summary.left_out then
    write(("left out     %d combinations that cannot be (closerace matrix --rules)%s\n"):format(
      summary.left_out, summary.full and "" or "; all others than the chosen values (--full)"))
  end
  local verdict = summary.is_hollow and HOLLOW or ("%s, %s"):format(
    several(summary.violations, "violation", "violations"), several(summary.advice, "advice", "advice"))
  for _, trouble in ipairs { "varied", "failed" } do
    if summary[trouble] > 0 then verdict = ("%s, %d %s"):format(verdict, summary[trouble], trouble) end
  end
  write(("%s of %d cells played%s against %s: %s; %.1f s\n"):format(
    summary.played, summary.n, summary.interrupted and ", then interrupted," or "", self.matrix.system,
    paint.text(verdict, (summary.is_hollow or summary.violations + summary.varied + summary.failed > 0) and "red"
      or summary.advice > 0 and "yellow" or "green"),
    summary.ms / 1000))
end

return People
