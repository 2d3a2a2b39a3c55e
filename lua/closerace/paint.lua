--- Colour for people: nothing of it where the output does not go to a terminal, or NO_COLOR is set.

local core = require "closerace.core"
local fold = require "closerace.fold"

local paint = {}

paint.is_terminal = core.is_terminal() and os.getenv "TERM" ~= "dumb"

--- How many columns a line may take: $COLUMNS, or as the terminal has them, or 80.
paint.columns = math.tointeger(tonumber(os.getenv "COLUMNS")) or core.columns() or fold.COLUMNS
if paint.columns < 40 then paint.columns = 40 end

local codes = { green = "\27[32m", red = "\27[31m", yellow = "\27[33m", bold = "\27[1m", dim = "\27[2m" }
if not paint.is_terminal or (os.getenv "NO_COLOR" or "") ~= "" then codes = {} end

--- The text in that colour; nil: as it is.
function paint.text(text, colour)
  return codes[colour] and codes[colour] .. text .. "\27[0m" or text
end

--- Its characters, padded to so many columns.  UTF-8.
function paint.pad(text, width)
  local n = utf8.len(text) or #text
  return text .. (" "):rep(width - n)
end

return paint
