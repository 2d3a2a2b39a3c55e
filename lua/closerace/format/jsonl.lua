--- JSON Lines: a row a line, as it comes.

local row = require "closerace.matrix.row"

local JsonLines = {}
JsonLines.__index = JsonLines

function JsonLines.new(write)
  return setmetatable({ write = write }, JsonLines)
end

function JsonLines:row(r)
  self.write(row.encode(r) .. "\n")
end

function JsonLines:finish() end

return JsonLines
