--- Write into proxy/README.md and docs/systems.md what the code itself says: state diagrams, the tables of retry.c,
--- options, and what the drivers know of their programs.
--
--   lua5.4 tests/manual/write.lua BUILD [check]
--
-- What stands between "<!-- begin NAME" and "<!-- end NAME" is replaced.  With check, nothing is written: exit status
-- 1 and the sections' names, where they differ.

local build, only_check = arg[1], arg[2] == "check"

package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = build .. "/lib/?.so;" .. package.cpath
local drivers = require "closerace.sut"

local function slurp(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command)
  return text
end

--- The picture in the first comment of a source file.
local function picture(path)
  local comment = slurp(path):match "/%*.-\n %*\n(.-)%*/"
  return "```\n" .. comment:gsub("^ %* ?", ""):gsub("\n %* ?", "\n"):gsub("%s+$", "\n") .. "```\n"
end

local function traps()
  local lines = { "| program | |", "|---|---|" }
  for _, name in ipairs(drivers.names) do
    lines[#lines + 1] = ("| %s | %s |"):format(name, assert(drivers.find(name).trap, name))
  end
  return table.concat(lines, "\n") .. "\n"
end

--- file → section → its text
local files = {
  ["proxy/README.md"] = {
    session = function() return picture "proxy/session.c" end,
    upstream = function() return picture "proxy/upstream.c" end,
    retry = function() return output_of(build .. "/manual/tables") end,
    options = function() return "```\n" .. output_of(build .. "/closerace-proxy --help") .. "```\n" end,
  },
  ["docs/systems.md"] = { traps = traps },
}

--- Bring a file up to date, or only look.
-- @return whether it is
local function update(path, sections)
  local old, stale, missing = slurp(path), {}, {}
  for name in pairs(sections) do missing[name] = true end
  local new = old:gsub("(<!%-%- begin (%a+)[^\n]*\n)(.-)(<!%-%- end (%a+))", function(head, name, text, tail, last)
    assert(sections[name] and name == last, "a section without its end: " .. name)
    missing[name] = nil
    local now = sections[name]()
    if now ~= text then stale[#stale + 1] = name end
    return head .. now .. tail
  end)
  assert(not next(missing), path .. " has lost a section")
  if only_check and #stale > 0 then
    print(("%s: not what the code says: %s; `make manual` writes it"):format(path, table.concat(stale, ", ")))
  elseif new ~= old then
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(new))
  end
  return #stale == 0
end

local is_current = true
for path, sections in pairs(files) do is_current = update(path, sections) and is_current end
os.exit(is_current or not only_check)
