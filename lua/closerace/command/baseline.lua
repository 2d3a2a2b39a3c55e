--- A baseline: a row a line, as JSON Lines does it, in the order of the cells, whatever order they were played in, and
-- without the time that they took: of equal results, equal files.
-- Only rows that come late are kept in memory, of which each took real time; all others may be millions.

local row = require "closerace.matrix.row"

local Baseline = {}
Baseline.__index = Baseline

function Baseline.new(write)
  return setmetatable({ write = write, late = {}, part = 0 }, Baseline)
end

--- Rows come system by system, each a part of the file.
function Baseline:row(r)
  local line = row.encode(r, "ms") .. "\n"
  if r.system ~= self.system then self.system, self.part, self.last = r.system, self.part + 1, 0 end
  if r.n < self.last then
    table.insert(self.late, { part = self.part, n = r.n, line = line })
  else
    self.last = r.n
    self.write(line)
  end
end

function Baseline:finish() end

local function is_before(a, b)
  if a.part ~= b.part then return a.part < b.part end
  return a.n < b.n
end

--- Walk over the lines of a file, and those that came late where they belong.
local function merged(file, late)
  return coroutine.wrap(function()
    local here, i = { part = 0 }, 1
    for line in file:lines "L" do
      local r = assert(row.decode(line))
      here = { system = r.system, part = here.part + (r.system ~= here.system and 1 or 0), n = r.n }
      while late[i] and is_before(late[i], here) do
        coroutine.yield(late[i].line)
        i = i + 1
      end
      coroutine.yield(line)
    end
    for k = i, #late do coroutine.yield(late[k].line) end
  end)
end

--- Put what came late where it belongs.  Needs: the file at path is complete, and closed.
function Baseline:put_in_place(path)
  if #self.late == 0 then return end
  table.sort(self.late, is_before)
  local before <close> = assert(io.open(path))
  assert(os.remove(path))
  local after <close> = assert(io.open(path, "w"))
  for line in merged(before, self.late) do assert(after:write(line)) end
  assert(after:close())
end

return Baseline
