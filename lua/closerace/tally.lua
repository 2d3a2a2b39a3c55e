--- What came of a sweep: one line for each run of equal verdicts.

local Tally = {}
Tally.__index = Tally

--- Add a result.
-- @param key  what was swept: a byte, an offset, a name
-- @param verdict  anything with a text
function Tally:add(key, verdict)
  local text = tostring(verdict)
  local last = self[#self]
  if last and last.text == text then
    last.to, last.n = key, last.n + 1
  else
    self[#self + 1] = { from = key, to = key, n = 1, text = text, verdict = verdict }
  end
end

--- The number of results added.
function Tally:count()
  local n = 0
  for _, run in ipairs(self) do n = n + run.n end
  return n
end

function Tally:__tostring()
  local lines = {}
  for _, run in ipairs(self) do
    local keys = run.n == 1 and tostring(run.from) or ("%s-%s"):format(run.from, run.to)
    lines[#lines + 1] = ("%s %-9s %s"):format(self.title, keys, run.text)
  end
  return table.concat(lines, "\n")
end

return function(title)
  return setmetatable({ title = title or "" }, Tally)
end
