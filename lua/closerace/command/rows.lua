--- Rows from files of JSON Lines.

local row = require "closerace.matrix.row"

local rows = {}

--- Walk over the rows of a file.  Raises a sentence that names the file and the line.
function rows.read(path)
  local file, why
  if path == "-" then file = io.stdin else file, why = io.open(path) end
  if not file then error(why, 0) end
  local n = 0
  return function()
    local line, wrong = file:read "l"
    if wrong then error(("%s: %s"):format(path, wrong), 0) end
    if line == nil then
      if file ~= io.stdin then file:close() end
      return nil
    end
    n = n + 1
    local r
    r, wrong = row.decode(line)
    if not r then error(("%s:%d: %s"):format(path, n, wrong), 0) end
    return r
  end
end

return rows
