--- Where rows go: one or several formats, each to a file or to stdout, and the sums of it all.

local Baseline = require "closerace.command.baseline"
local core = require "closerace.core"
local fold = require "closerace.fold"
local formats = require "closerace.format"
local paint = require "closerace.paint"

local Outputs = {}
Outputs.__index = Outputs

local function writer(self, file, name)
  return function(text)
    local good, why = file:write(text)
    if good then return end
    if file ~= io.stdout then error(("%s: %s"):format(name, why), 0) end
    self.is_gone = true                         -- whoever read it (`| head`) has seen what they wanted
  end
end

local function open_file(path)
  local file, why = io.open(path, "w")
  if not file then error(why, 0) end
  return file
end

--- Open what is to be written.
-- @param list     of { format =, path = (nil: stdout) }
-- @param save     a file for a baseline, or nil; it is replaced only by a complete one
-- @param context  what formats need: n, system, replay(row), is_failure(row), is_share: of several
function Outputs.open(list, save, context)
  local self = setmetatable({ formats = {}, files = {}, context = context, save = save }, Outputs)
  self.sums = {
    n = context.n, played = 0, violations = 0, advice = 0, varied = 0, failed = 0,
    skipped = 0, rows = 0, missed = 0,
  }
  for _, output in ipairs(list) do
    local file = output.path and open_file(output.path) or io.stdout
    if output.path then table.insert(self.files, file) end
    local columns = output.path and fold.COLUMNS or paint.columns
    table.insert(self.formats, formats[output.format].new(writer(self, file, output.path), context, columns))
  end
  if save then
    -- What is no file (/dev/stdout, a pipe) is written to, and not replaced.
    self.unsaved = core.is_special(save) and save or save .. ".part"
    local file = open_file(self.unsaved)
    table.insert(self.files, file)
    self.baseline = Baseline.new(writer(self, file, self.unsaved))
    table.insert(self.formats, self.baseline)
  end
  return self
end

--- Report a row.
-- @return false where nobody reads any more
function Outputs:row(r)
  local sums = self.sums
  sums.rows = sums.rows + 1
  if r.verdict then sums.played = sums.played + 1 end
  if r.violation then sums.violations = sums.violations + 1 end
  if r.advice then sums.advice = sums.advice + 1 end
  for _, state in ipairs { "varied", "failed", "skipped" } do
    if r.state == state then sums[state] = sums[state] + 1 end
  end
  if r.state == "not reached" then sums.missed = sums.missed + 1 end
  for _, format in ipairs(self.formats) do format:row(r) end
  return not self.is_gone
end

--- Report the end.
-- @param more  what the sums are completed with: ms, interrupted, left_out, full
function Outputs:finish(more)
  for name, value in pairs(more) do self.sums[name] = value end
  self.sums.is_hollow = self:is_hollow()
  for _, format in ipairs(self.formats) do format:finish(self.sums) end
  for _, file in ipairs(self.files) do
    local good, why = file:close()
    if not good then error("the output cannot be written: " .. why, 0) end
  end
  self.files = {}
  if self.unsaved and self.sums.rows == self.sums.n then
    if self.unsaved ~= self.save then
      self.baseline:put_in_place(self.unsaved)
      assert(os.rename(self.unsaved, self.save))
    end
    self.unsaved = nil
  end
end

--- Close what is open; a baseline that is not complete is none.
function Outputs:__close()
  for _, file in ipairs(self.files) do file:close() end
  if self.unsaved and self.unsaved ~= self.save then os.remove(self.unsaved) end
end

--- Was something played, and is nothing proven by it?  A share may have no race of those that all shares have.
function Outputs:is_hollow()
  local sums = self.sums
  return not self.context.is_share and sums.missed > 0 and sums.missed + sums.skipped == sums.rows
end

--- The exit status that the sums stand for.
function Outputs:status(strict)
  local sums = self.sums
  if sums.interrupted then return 130 end
  if sums.violations + sums.varied + sums.failed > 0 or strict and sums.advice > 0 or self:is_hollow() then
    return 1
  end
  return sums.n > 0 and sums.skipped == sums.n and 77 or 0
end

--- Is a row a failure, in the formats that know only that?
function Outputs.failure_test(strict)
  return function(r)
    return r.violation or r.state == "varied" or r.state == "failed" or strict and r.advice or false
  end
end

--- Say of the pair of a format and a file that is made last; a pair that has that already is complete, and another one
-- is begun.
function Outputs.pair(list, name, value)
  if #list == 0 or list[#list][name] or (list[#list].format and list[#list].path) then list[#list + 1] = {} end
  list[#list][name] = value
end

--- Options that say where rows go, for arguments.parse.  A format and a file that stand beside one another belong
-- together, whichever comes first.
function Outputs.options(list)
  return {
    { name = "format", value = table.concat(formats.names, "|"),
      read = require("closerace.command.arguments").word(formats.names),
      set = function(word) Outputs.pair(list, "format", word) end },
    { name = "output", short = "o", value = "FILE", set = function(path) Outputs.pair(list, "path", path) end },
  }
end

-- What help says of them.
Outputs.HELP = [[
  --format FORMAT    table, compare, jsonl, tap or junit; may be repeated
  -o, --output FILE  where the --format beside it goes; without one, a table.
                     What has no file goes to stdout; where nothing does, a
                     table does]]

--- People get a table where nothing else goes to stdout; two formats cannot both go there.
-- @return true, or nil and a sentence
function Outputs.settle(list)
  local n = 0
  for _, output in ipairs(list) do
    output.format = output.format or "table"
    n = n + (output.path and 0 or 1)
  end
  if n == 0 then list[#list + 1] = { format = "table" } end
  if n > 1 then return nil, "only one --format can go to stdout; give the others a file with -o" end
  return true
end

return Outputs
