--- Systems beside one another: a line a cell, a column a system.

local judge = require "closerace.matrix.judge"
local count_of = require "closerace.count"
local fold = require "closerace.fold"
local paint = require "closerace.paint"

local Compare = {}
Compare.__index = Compare

function Compare.new(write, context, columns)
  return setmetatable({
    write = write, width = columns, only_differences = context.differences, systems = {}, cells = {}, boxes = {},
  }, Compare)
end

local function outcome(verdict, told, attempts)
  local text = verdict
  if verdict ~= "clean" and verdict ~= "hung" then text = ("%s %s"):format(text, told) end
  return attempts > 1 and ("%s x%d"):format(text, attempts) or text
end

local function is_broken(findings)
  for _, finding in pairs(findings) do
    if judge.is_broken(finding) then return true end
  end
  return false
end

--- What came of a cell, in a word or three; "!" and "?" tell a violation and advice.
local function text_of(r)
  if not r.verdict or r.state == "varied" then return r.state, nil end
  local text = r.why and "not reached" or outcome(r.verdict, r.told, r.attempts)
  if is_broken(r.next_rules) and not is_broken(r.rules) then
    text = ("%s, then %s"):format(text, outcome(r.next, r.next_told, r.next_attempts))
  end
  if r.violation then return text .. "!", "red" end
  if r.advice then return text .. "?", "yellow" end
  return text, r.verdict == "clean" and not r.why and "green" or nil
end

function Compare:row(r)
  if not self.systems[r.system] then
    self.systems[#self.systems + 1] = r.system
    self.systems[r.system] = #self.systems
  end
  local boxes = self.boxes[r.cell]
  if not boxes then
    boxes = {}
    self.boxes[r.cell] = boxes
    self.cells[#self.cells + 1] = { id = r.cell, n = r.n or 0 }
  end
  local text, colour = text_of(r)
  boxes[self.systems[r.system]] = { text = text, colour = colour }
end

local function differ(boxes, n)
  for i = 2, n do
    if (boxes[i] and boxes[i].text) ~= (boxes[1] and boxes[1].text) then return true end
  end
  return false
end

--- A, B, … Z, A1, B1 …
local function letter(i)
  local round = (i - 1) // 26
  return string.char(65 + (i - 1) % 26) .. (round > 0 and round or "")
end

--- The cells to be shown, in their order, and how wide their ids and each system's boxes are.
local function choose(self)
  local n, shown, id_width, widths = #self.systems, {}, 4, {}
  table.sort(self.cells, function(a, b) return a.n < b.n end)
  for i = 1, n do widths[i] = #letter(i) end
  for _, cell in ipairs(self.cells) do
    local boxes = self.boxes[cell.id]
    if not self.only_differences or differ(boxes, n) then
      shown[#shown + 1] = cell
      id_width = math.max(id_width, #cell.id)
      for i = 1, n do widths[i] = math.max(widths[i], boxes[i] and #boxes[i].text or 0) end
    end
  end
  return shown, id_width, widths
end

--- A line a cell, a column a system.
local function show_wide(self, shown, id_width, widths)
  local head = paint.pad("cell", id_width)
  for i, width in ipairs(widths) do head = head .. "  " .. paint.pad(letter(i), width) end
  self.write(paint.text((head:gsub(" +$", "")), "bold") .. "\n")
  for _, cell in ipairs(shown) do
    local parts = { paint.pad(cell.id, id_width) }
    for i, width in ipairs(widths) do
      local box = self.boxes[cell.id][i] or { text = "" }
      parts[i + 1] = paint.text(paint.pad(box.text, width), box.colour)
    end
    self.write((table.concat(parts, "  "):gsub(" +$", "")) .. "\n")
  end
end

--- A cell's id, and below it what came of it, each with its system's letter.
local function show_narrow(self, shown, widths)
  for _, cell in ipairs(shown) do
    self.write(paint.text(cell.id, "bold") .. "\n")
    local line, room = "", self.width
    for i, width in ipairs(widths) do
      local box = self.boxes[cell.id][i] or { text = "" }
      local size = 2 + #letter(i) + 1 + width
      if room < size and line ~= "" then
        self.write((line:gsub(" +$", "")) .. "\n")
        line, room = "", self.width
      end
      line = ("%s  %s %s"):format(line, letter(i), paint.text(paint.pad(box.text, width), box.colour))
      room = room - size
    end
    self.write((line:gsub(" +$", "")) .. "\n")
  end
end

function Compare:finish(sums)
  local shown, id_width, widths = choose(self)
  local total = id_width
  for _, width in ipairs(widths) do total = total + 2 + width end
  for i, system in ipairs(self.systems) do self.write(("%s  %s\n"):format(letter(i), system)) end
  self.write "\n"
  if total <= self.width then
    show_wide(self, shown, id_width, widths)
  else
    show_narrow(self, shown, widths)
  end
  self.write("\n" .. fold.text("", ("%d of %s%s; %s, %d advice; %.1f s"):format(#shown, count_of(#self.cells, "cell"),
    self.only_differences and " differ" or "", count_of(sums.violations, "violation"), sums.advice, sums.ms / 1000),
    2, self.width) .. "\n")
end

return Compare
