--- JSON Lines: a row a line, as it comes.

local row = require "closerace.matrix.row"

local JsonLines = {}
JsonLines.__index = JsonLines

--- @param options.but  a field that is left out
function JsonLines.new(write, _, options)
  return setmetatable({ write = write, but = options and options.but }, JsonLines)
end

function JsonLines:row(r)
  self.write(row.encode(r, self.but) .. "\n")
end

function JsonLines:finish() end

return JsonLines
