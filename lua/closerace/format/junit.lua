--- JUnit's XML, as CI servers read it: one suite, a test case a cell.

local judge = require "closerace.matrix.judge"

local Junit = {}
Junit.__index = Junit

function Junit.new(write, matrix)
  return setmetatable({ write = write, matrix = matrix, cases = {}, failures = 0, skipped = 0, ms = 0 }, Junit)
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\n"] = "&#10;" }

local function escaped(text)
  return (tostring(text):gsub("[%c&<>\"]", function(c) return entities[c] or " " end))
end

--- What became of a cell, in a line; nil where nothing did.
local function outcome_of(r)
  if not r.verdict then return nil end
  local next_one = r.next and ("; the next request: %s, told %s, attempts %d"):format(
    r.next, r.next_told, r.next_attempts) or ""
  return ("%s, told %s, executed %d, attempts %d; race %s%s"):format(
    r.verdict, r.told, r.executed, r.attempts, r.decided, next_one)
end

--- What a CI server takes for a failure, or for skipped; "" where it is neither.
local function trouble_of(self, r)
  if self.matrix.is_failure(r) then
    self.failures = self.failures + 1
    local rule = judge.rules[r.rule]
    local message = rule and ("%s: %s (%s)"):format(r.rule, rule.says, rule.source) or r.why
    local outcome = r.verdict and ("%s, told %s, executed %d, attempts %d; "):format(
      r.verdict, r.told, r.executed, r.attempts) or ""
    return ('<failure type="%s" message="%s">%s</failure>'):format(
      escaped(r.rule or r.state), escaped(message), escaped(outcome .. self.matrix.replay(r)))
  elseif r.state == "skipped" or r.state == "not reached" then
    self.skipped = self.skipped + 1
    return ('<skipped message="%s"/>'):format(escaped(r.state .. ": " .. r.why))
  end
  return ""
end

function Junit:row(r)
  local body, outcome = trouble_of(self, r), outcome_of(r)
  if outcome then body = ("%s<system-out>%s</system-out>"):format(body, escaped(outcome)) end
  self.ms = self.ms + (r.ms or 0)
  local open = ('<testcase classname="%s" name="%s" time="%.6f"'):format(
    escaped("closerace." .. r.request), escaped(r.cell), (r.ms or 0) / 1000)
  self.cases[#self.cases + 1] = body ~= "" and ("    %s>%s</testcase>\n"):format(open, body)
    or ("    %s/>\n"):format(open)
end

function Junit:finish()
  local counts = ('tests="%d" failures="%d" errors="0" skipped="%d" time="%.6f"'):format(
    #self.cases, self.failures, self.skipped, self.ms / 1000)
  self.write(('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites %s>\n  <testsuite name="%s" %s>\n'):format(
    counts, escaped(self.matrix.system), counts))
  for _, case in ipairs(self.cases) do self.write(case) end
  self.write "  </testsuite>\n</testsuites>\n"
end

return Junit
