--- TAP 13: a test point a cell.  What was not played, or was another race, is skipped with its reason.

local judge = require "closerace.matrix.judge"

local Tap = {}
Tap.__index = Tap

function Tap.new(write, matrix)
  write(("TAP version 13\n1..%d\n"):format(matrix.n))
  return setmetatable({ write = write, matrix = matrix, n = 0 }, Tap)
end

local function quoted(text)
  return '"' .. tostring(text):gsub('[\\"]', "\\%0"):gsub("\n", " ") .. '"'
end

function Tap:row(r)
  self.n = self.n + 1
  local failed = self.matrix.is_failure(r)
  local directive = ""
  if not failed and (r.state == "skipped" or r.state == "not reached") then
    directive = (" # SKIP %s"):format(r.state == "skipped" and r.why or "not reached: " .. r.why)
  end
  self.write(("%s %d - %s%s\n"):format(failed and "not ok" or "ok", self.n, r.cell, directive))
  if not failed then return end
  local lines = { "  ---" }
  if r.rule then
    lines[#lines + 1] = "  rule: " .. quoted(("%s, %s (%s)"):format(
      r.rule, judge.rules[r.rule].says, judge.rules[r.rule].source))
  end
  for _, name in ipairs { "state", "verdict", "told", "executed", "attempts", "reason", "why" } do
    if r[name] ~= nil then lines[#lines + 1] = ("  %s: %s"):format(name, quoted(r[name])) end
  end
  lines[#lines + 1] = "  replay: " .. quoted(self.matrix.replay(r))
  lines[#lines + 1] = "  ...\n"
  self.write(table.concat(lines, "\n"))
end

function Tap:finish(summary)
  if summary.interrupted then self.write "Bail out! interrupted\n" end
end

return Tap
