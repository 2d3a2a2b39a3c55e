--- Text in lines of so many columns.  UTF-8; every character takes one.

local fold = {}

fold.COLUMNS = 80

--- Break a text at its blanks.  A word that is longer than a line stands in one of its own.
-- @param before  what the first line begins with
-- @param indent  how far the others are moved in
-- @param columns  default 80
-- @return its lines, as one text without the last line's end
function fold.text(before, text, indent, columns)
  local lines, line = {}, before
  local width, is_empty = utf8.len(before), true
  for word in text:gmatch "%S+" do
    local size = utf8.len(word) or #word
    if not is_empty and width + 1 + size > (columns or fold.COLUMNS) then
      lines[#lines + 1] = line
      line, width, is_empty = (" "):rep(indent), indent, true
    end
    line = line .. (is_empty and "" or " ") .. word
    width, is_empty = width + size + (is_empty and 0 or 1), false
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

--- An option and what it does, as help shows it.
-- @param at  the column where its text begins
function fold.option(option, text, at)
  local head = "  " .. option
  local room = at - utf8.len(head)
  if room < 1 then return head .. "\n" .. fold.text((" "):rep(at), text, at) end
  return fold.text(head .. (" "):rep(room), text, at)
end

return fold
