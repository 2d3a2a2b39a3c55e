--- A baseline: a row a line, as JSON Lines does it, in the order of the cells, whatever order they were played in, and
-- without the time that they took: of equal results, equal files.

local row = require "closerace.matrix.row"

local Baseline = {}
Baseline.__index = Baseline

function Baseline.new(write)
  return setmetatable({ write = write, rows = {} }, Baseline)
end

local function write_rows(self)
  table.sort(self.rows, function(a, b) return a.n < b.n end)
  for _, r in ipairs(self.rows) do self.write(r.line) end
  self.rows = {}
end

function Baseline:row(r)
  if r.system ~= self.system then write_rows(self) end
  self.system = r.system
  table.insert(self.rows, { n = r.n, line = row.encode(r, "ms") .. "\n" })
end

function Baseline:finish() write_rows(self) end

return Baseline
