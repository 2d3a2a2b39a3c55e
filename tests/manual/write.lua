--- Write into proxy/README.md what the code itself says: its state diagrams, the tables of retry.c, the options.
--
--   lua5.4 tests/manual/write.lua BUILD [check]
--
-- What stands between "<!-- begin NAME" and "<!-- end NAME" is replaced.  With check, nothing is written: exit status
-- 1 and the sections' names, where they differ.

local FILE = "proxy/README.md"
local build, only_check = arg[1], arg[2] == "check"

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

local sections = {
  session = function() return picture "proxy/session.c" end,
  upstream = function() return picture "proxy/upstream.c" end,
  retry = function() return output_of(build .. "/manual/tables") end,
  options = function() return "```\n" .. output_of(build .. "/closerace-proxy --help") .. "```\n" end,
}

local old, stale = slurp(FILE), {}
local n = 0
local new = old:gsub("(<!%-%- begin (%a+)[^\n]*\n)(.-)(<!%-%- end (%a+))", function(head, name, text, tail, last)
  assert(sections[name] and name == last, "a section without its end: " .. name)
  n = n + 1
  local now = sections[name]()
  if now ~= text then stale[#stale + 1] = name end
  return head .. now .. tail
end)
assert(n == 4, FILE .. " has lost a section")
if only_check then
  if #stale > 0 then
    print(("%s: not what the code says: %s; `make manual` writes it"):format(FILE, table.concat(stale, ", ")))
    os.exit(1)
  end
elseif new ~= old then
  local file <close> = assert(io.open(FILE, "w"))
  assert(file:write(new))
end
