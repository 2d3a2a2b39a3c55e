--- Who may include what, from the dependency files that the compiler wrote.
--
--   lua5.4 tests/layers.lua OBJDIR     from the checkout
--
-- Such a file names everything that a source opened, directly or not: a public header that drags
-- a private one along is caught too.

local PUBLIC = {}
for folder, names in pairs {
  proxy = { "proxy", "options", "place", "retry", "retry_list", "clock" },
  backend = { "backend", "options", "endpoint", "fault", "ledger", "clock" },
} do
  for _, name in ipairs(names) do PUBLIC[("%s/%s.h"):format(folder, name)] = true end
end

--- layer → the folders all of whose headers it may open, and those whose PUBLIC ones
local LAYERS = {
  proxy   = { folders = { "proxy" }, public = {} },
  backend = { folders = { "backend" }, public = {} },
  harness = { folders = { "harness" }, public = { "proxy", "backend" } },
  lua     = { folders = { "lua", "harness" }, public = { "proxy", "backend" } },
  -- What makes a program of the library.
  ["proxy/program"] = { folders = { "proxy/program" }, public = { "proxy" } },
}

--- sources that belong to another layer than their folder's
local ELSEWHERE = { ["proxy/main.c"] = "proxy/program" }

--- libraries' headers → the layers that may open them
local LIBRARIES = {
  ["lua.h"] = { lua = true }, ["lauxlib.h"] = { lua = true }, ["lualib.h"] = { lua = true },
  ["microhttpd.h"] = { backend = true },
  ["llhttp.h"] = { backend = true },
  ["http.h"] = { ["proxy/program"] = true },            -- libevent's
}

local function sorted(list)
  table.sort(list)
  return list
end

local function files_of(folder, ending)
  local names = {}
  local pipe = assert(io.popen(("ls '%s' 2>/dev/null"):format(folder)))
  for name in pipe:lines() do
    if name:sub(-#ending) == ending then names[#names + 1] = name:sub(1, -#ending - 1) end
  end
  pipe:close()
  return sorted(names)
end

--- "./a/../b/c.h" → "b/c.h"; the compiler leaves such detours in.
local function straight(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." and #parts > 0 and parts[#parts] ~= ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return (path:sub(1, 1) == "/" and "/" or "") .. table.concat(parts, "/")
end

--- The files that a dependency file's first rule names: "TARGET: SOURCE HEADER … \".
local function opened_by(path)
  local file = assert(io.open(path))
  local rule = file:read("a"):gsub("\\\n", " "):match "^[^:\n]*:([^\n]*)"
  file:close()
  local names, seen = {}, {}
  for name in (rule or ""):gmatch "%S+" do
    name = straight(name)
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  return names
end

local function has(list, wanted)
  for _, one in ipairs(list) do
    if one == wanted then return true end
  end
  return false
end

local function may_open(layer, name)
  local rule, folder = LAYERS[layer], name:match "^(.*)/"
  return has(rule.folders, folder) or PUBLIC[name] and has(rule.public, folder)
end

local function is_forbidden(layer, name)
  local library = name:sub(1, 1) == "/" and LIBRARIES[name:match "[^/]+$"]
  if library then return not library[layer] end
  local folder = name:match "^([^/]+)/"
  return name:sub(1, 1) ~= "/" and folder ~= nil and not may_open(layer, name)
end

local function check(objects)
  local wrong, n = {}, 0
  for layer in pairs(LAYERS) do
    local sources = files_of(layer, ".c")
    if #sources == 0 then wrong[#wrong + 1] = layer .. ": no source here" end
    for _, stem in ipairs(sources) do
      local source, dependencies = ("%s/%s.c"):format(layer, stem), ("%s/%s/%s.d"):format(objects, layer, stem)
      local file = io.open(dependencies)
      local opened = file and file:close() and opened_by(dependencies) or {}
      if opened[1] ~= source then
        wrong[#wrong + 1] = ("%s: %s does not tell what it includes"):format(source, dependencies)
      end
      local own = ELSEWHERE[source] or layer
      for _, name in ipairs(opened) do
        if name ~= source and is_forbidden(own, name) then
          wrong[#wrong + 1] = ("%s: includes %s, which %s must not"):format(source, name, own)
        end
      end
      n = n + 1
    end
  end
  return sorted(wrong), n
end

local objects = arg[1]
if not objects then
  io.stderr:write "usage: lua5.4 tests/layers.lua OBJDIR\n"
  os.exit(2)
end
local wrong, n = check(objects)
if #wrong > 0 then
  io.stderr:write("layers: ", table.concat(wrong, "\nlayers: "), "\n")
  os.exit(1)
end
print(("layers: %d files ok"):format(n))
