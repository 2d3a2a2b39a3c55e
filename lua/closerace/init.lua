--- closerace: HTTP keep-alive close races, on demand.
-- The manual of everything below is docs/lua.md.

local core = require "closerace.core"

local race = {
  lab = core.lab,
  now_ms = core.now_ms,
  words = core.words,
  version = core.version,
  tally = require "closerace.tally",
}

--- Every close race there is, against one system: see docs/matrix.md.
function race.matrix(options)
  local good, result = pcall(require("closerace.matrix").new, options)
  if not good then error(result, 2) end
  return result
end

local Skip = {}
Skip.__index = Skip
function Skip:__tostring() return "skipped: " .. self.reason end

local lacks = { vanish = core.cannot_vanish, witness = core.cannot_witness }

--- Is something here that a script needs?  A program's name; "vanish"; "witness", who sees what is sent to a connection
-- that is gone.
-- @return the program's path (or true); or nil and the reason
function race.has(name)
  if lacks[name] then
    local why = lacks[name]()
    if why then return nil, why end
    return true
  end
  local path = core.find_program(name)
  if path then return path end
  return nil, name .. " is not installed"
end

--- The same, but a script without it is skipped, with the reason.
function race.need(name)
  local found, why = race.has(name)
  if not found then error(setmetatable({ reason = why }, Skip), 2) end
  return found
end

--- The reason, where an error value means that a script was skipped.
function race.skip_reason(err)
  return getmetatable(err) == Skip and err.reason or nil
end

if package.loaded["luassert"] then require "closerace.assert" end

return race
