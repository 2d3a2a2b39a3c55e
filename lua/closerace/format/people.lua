--- For people: the violations first, then a table of close points, endings and second faults by requests, then the
-- sums; all in so many columns.

local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local count_of = require "closerace.count"
local fold = require "closerace.fold"
local judge = require "closerace.matrix.judge"
local paint = require "closerace.paint"

local People = {}
People.__index = People

-- So many commands are shown of each rule that was broken; a report of hundreds is read by nobody.
local MAX_SHOWN = 3

function People.new(write, matrix, columns)
  return setmetatable({
    write = write, matrix = matrix, width = columns, lines = {}, columns = {}, at = {}, seconds = {}, broken = {},
    trouble = {}, missed = {}, verdicts = {},
  }, People)
end

--- The worst first, as they are judged.
local rank = {}
for i, verdict in ipairs(core.words().verdicts) do rank[verdict.word] = i end

-- A verdict without it is certain; how often the request was sent is not.
local UNSEEN = "not judged in full: without CAP_NET_RAW it cannot be seen what is sent to a connection that is gone"

local HOLLOW = "nothing is proven, for in no cell did the race take place"

-- The command that gives the rights which a run lacked.
local CURE = [[
             what is lacking can be given:
             sudo setcap cap_net_admin,cap_net_raw+ep "$(command -v closerace)"
]]

local function place(axis, name)
  return axes[axis][name] and axes[axis][name].place or 1000
end

local function count(map, key)
  map[key] = (map[key] or 0) + 1
end

-- ------------------------------------------------------------------------- gathering --

local function box_of(self, r)
  local key = ("%s %s %s"):format(r.point, r.ending, r.second)
  local line = self.at[key]
  if not line then
    line = { point = r.point, ending = r.ending, second = r.second, boxes = {} }
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
  self.seconds[r.second] = true
  if r.verdict then count(self.verdicts, r.verdict) end
  if r.state == "not reached" then
    box.is_missed = true
  elseif r.verdict then
    count(box.verdicts, r.verdict)
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
    self.trouble[r.state] = self.trouble[r.state] or {}
    table.insert(self.trouble[r.state], r)
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

--- The commands that play rows again, and what came of each.
local function show_some(self, list, describe)
  for i = 1, math.min(#list, MAX_SHOWN) do
    local command, what = "  " .. self.matrix.replay(list[i]), describe(list[i])
    -- A command is never broken: people copy it.
    if utf8.len(command) + 5 + utf8.len(what) <= self.width then
      self.write(("%s   # %s\n"):format(command, what))
    else
      self.write(("%s\n%s\n"):format(command, fold.text("      # ", what, 8, self.width)))
    end
  end
  if #list > MAX_SHOWN then
    self.write(("  and %d more (--format jsonl tells each)\n"):format(#list - MAX_SHOWN))
  end
  self.write "\n"
end

--- A heading whose first words are coloured.  Here and below, "\1" is a blank at which no line is broken.
local function head_of(self, words, colour, text)
  local line = fold.text(words .. " ", text, 2, self.width):gsub("\1", " ")
  self.write(paint.text(words, colour) .. line:sub(#words + 1) .. "\n")
end

--- Those first that broke the rule themselves, and not by the client's next request.
local function own_first(rows, rule)
  local list, others = {}, {}
  for _, r in ipairs(rows) do table.insert(judge.is_broken(r.rules[rule]) and list or others, r) end
  return table.move(others, 1, #others, #list + 1, list)
end

local function report_rule(self, weight, name, rows)
  local rule = judge.rules[name]
  head_of(self, ("%s %s:"):format(weight, name), weight == "violation" and "red" or "yellow",
    ("%s (%s), %s"):format(rule.says, rule.source, (count_of(#rows, "time"):gsub(" ", "\1"))))
  show_some(self, own_first(rows, name), function(r) return outcome(r, name) end)
end

local function report_broken(self)
  for _, weight in ipairs { "violation", "advice" } do
    for _, name in ipairs(judge.names) do
      local rows = self.broken[weight .. " " .. name]
      if rows then report_rule(self, weight, name, rows) end
    end
  end
  for _, state in ipairs { "varied", "failed" } do
    local rows = self.trouble[state]
    if rows then
      head_of(self, state .. ":", "red", count_of(#rows, "cell"))
      show_some(self, rows, function(r) return r.why end)
    end
  end
end

--- The verdicts in a box, the worst first; "!" and "?" tell a violation and advice.  Where no race took place there is
-- a dash; a "~" where that is so in some of its cells.
local function text_of(box)
  if not box then return "", nil end
  local words = {}
  for word in pairs(box.verdicts) do words[#words + 1] = word end
  table.sort(words, function(a, b) return rank[a] < rank[b] end)
  if #words > 2 then words = { words[1], words[2], "…" } end
  local text = #words > 0 and table.concat(words, " ") or box.state or ""
  if box.is_missed then text = text == "" and "-" or text .. "~" end
  if box.violation then return text .. "!", "red" end
  if box.advice then return text .. "?", "yellow" end
  return text, words[1] == "clean" and "green" or nil
end

-- ------------------------------------------------------------------------- the table --

local function is_same_box(a, b)
  local text, colour = text_of(a)
  local other, other_colour = text_of(b)
  return text == other and colour == other_colour
end

--- Where each second fault comes to the same, one line tells of all; its name says of which.
local function merge_seconds(self)
  local merged, before = {}, nil
  for _, line in ipairs(self.lines) do
    local is_same = before and before.point == line.point and before.ending == line.ending
    for _, request in ipairs(self.columns) do
      is_same = is_same and is_same_box(before.boxes[request], line.boxes[request])
    end
    if is_same then
      before.second = before.second .. " " .. line.second
    else
      before = { point = line.point, ending = line.ending, second = line.second, boxes = line.boxes }
      merged[#merged + 1] = before
    end
  end
  return merged
end

--- The columns as they stand beside one another: each has a title and the request whose boxes it shows.
local function wide_columns(self)
  local list = {}
  for i, request in ipairs(self.columns) do list[i] = { title = request, request = request } end
  return list
end

local function are_same_columns(lines, a, b)
  for _, line in ipairs(lines) do
    if not is_same_box(line.boxes[a], line.boxes[b]) then return false end
  end
  return true
end

--- Requests of which each line tells the same share a column, whose title is a letter.
-- @return the columns, and what the letters stand for; nil where no two are the same
local function shared_columns(self, lines)
  local list = {}
  for _, request in ipairs(self.columns) do
    local found
    for _, column in ipairs(list) do
      found = found or are_same_columns(lines, column.request, request) and column
    end
    if found then
      found.names = found.names .. ", " .. request
    else
      list[#list + 1] = { title = string.char(65 + #list), request = request, names = request }
    end
  end
  return #list < #self.columns and list or nil
end

local function measure(lines, columns)
  for _, column in ipairs(columns) do
    column.width = utf8.len(column.title)
    for _, line in ipairs(lines) do
      column.width = math.max(column.width, utf8.len((text_of(line.boxes[column.request]))))
    end
  end
end

--- Columns that fit beside one another, and the rest behind them in bands of their own.
local function bands_of(self, columns, label_width)
  local bands, room = {}, -1
  for _, column in ipairs(columns) do
    if room < column.width + 2 then
      bands[#bands + 1], room = {}, self.width - label_width
    end
    table.insert(bands[#bands], column)
    room = room - column.width - 2
  end
  return bands
end

--- What stands in front of each line: close point, ending, and second fault where there are several.
local function labels_of(self, lines)
  local names = { "point", "ending", self.n_seconds > 1 and "second" or nil }
  local labels, widths, last = {}, {}, {}
  for i, name in ipairs(names) do
    widths[i] = 0
    for _, line in ipairs(lines) do widths[i] = math.max(widths[i], #line[name]) end
  end
  for n, line in ipairs(lines) do
    local parts, is_told = {}, true
    for i, name in ipairs(names) do
      is_told = is_told and line[name] == last[name]         -- as in the line above
      parts[i] = paint.pad(is_told and "" or line[name], widths[i])
    end
    last, labels[n] = line, table.concat(parts, "  ")
  end
  return labels, labels[1] and #labels[1] or 0
end

local function show_band(self, lines, labels, band)
  local head = (" "):rep(#labels[1])
  for _, column in ipairs(band) do head = head .. "  " .. paint.pad(column.title, column.width) end
  self.write(paint.text((head:gsub(" +$", "")), "bold") .. "\n")
  for i, line in ipairs(lines) do
    local parts = { labels[i] }
    for k, column in ipairs(band) do
      local box, colour = text_of(line.boxes[column.request])
      parts[k + 1] = paint.text(paint.pad(box, column.width), colour)
    end
    self.write((table.concat(parts, "  "):gsub(" +$", "")) .. "\n")
  end
  self.write "\n"
end

local function report_table(self)
  table.sort(self.columns, function(a, b) return place("request", a) < place("request", b) end)
  table.sort(self.lines, function(a, b)
    for _, name in ipairs { "point", "ending", "second" } do
      if a[name] ~= b[name] then return place(name, a[name]) < place(name, b[name]) end
    end
    return false
  end)
  local lines, columns = merge_seconds(self), wide_columns(self)
  if #lines == 0 then return end
  local labels, label_width = labels_of(self, lines)
  measure(lines, columns)
  local bands = bands_of(self, columns, label_width)
  local shared = #bands > 1 and shared_columns(self, lines)
  if shared then
    measure(lines, shared)
    for _, column in ipairs(shared) do
      self.write(fold.text(column.title .. "  ", column.names, 3, self.width) .. "\n")
    end
    self.write "\n"
    bands = bands_of(self, shared, label_width)
  end
  for _, band in ipairs(bands) do show_band(self, lines, labels, band) end
end

-- -------------------------------------------------------------------------- the sums --

local function sorted_keys(map, order)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, order)
  return keys
end

local function several(n, one, many)
  return ("%s %s"):format(n == 0 and "no" or n, n == 1 and one or many)
end

--- How many cells came to what.
local function report_counts(self, summary)
  local function say(title, text)
    self.write(fold.text(("%-12s "):format(title), text, 13, self.width) .. "\n")
  end
  local verdicts = sorted_keys(self.verdicts, function(a, b) return rank[a] > rank[b] end)
  for i, word in ipairs(verdicts) do verdicts[i] = ("%s %d"):format(word, self.verdicts[word]) end
  if verdicts[1] then say("verdicts", table.concat(verdicts, ", ")) end
  for _, why in ipairs(sorted_keys(self.missed)) do say(tostring(self.missed[why]), why) end
  if self.lacks_rights then self.write(CURE) end
  if (summary.left_out or 0) > 0 then
    say("left out", ("%s that cannot be (closerace matrix --rules)%s"):format(
      count_of(summary.left_out, "combination"), summary.full and "" or "; all others than the chosen values (--full)"))
  end
end

function People:finish(summary)
  self.n_seconds = 0
  for _ in pairs(self.seconds) do self.n_seconds = self.n_seconds + 1 end
  report_broken(self)
  report_table(self)
  report_counts(self, summary)
  local verdict = summary.is_hollow and HOLLOW or ("%s, %s"):format(
    several(summary.violations, "violation", "violations"), several(summary.advice, "advice", "advice"))
  for _, trouble in ipairs { "varied", "failed" } do
    if summary[trouble] > 0 then verdict = ("%s, %d %s"):format(verdict, summary[trouble], trouble) end
  end
  local is_red = summary.is_hollow or summary.violations + summary.varied + summary.failed > 0
  local colour = is_red and "red"
    or summary.advice > 0 and "yellow" or "green"
  local line = fold.text("", ("%s of %s played%s against %s: %s; %.1f\1s"):format(
    summary.played, count_of(summary.n, "cell"), summary.interrupted and ", then interrupted," or "",
    self.matrix.system, verdict, summary.ms / 1000), 2, self.width):gsub("\1", " ")
  local from, to = line:find(verdict, 1, true)              -- not where it is broken
  if from then line = line:sub(1, from - 1) .. paint.text(verdict, colour) .. line:sub(to + 1) end
  self.write(line .. "\n")
end

return People
