-- Write Lua modules as a C table: lua embed.lua lua/closerace/FILE.lua ... >modules.c
local paths = arg
print '#include "lua/modules.h"'

for i, path in ipairs(paths) do
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  print(("\nstatic const unsigned char text_%d[] = {"):format(i))
  for line in text:gmatch "[^\n]*\n?" do
    print((line:gsub(".", function(c) return c:byte() .. "," end):gsub("\n", "10,")))
  end
  print "0 };"
end

print "\nconst struct module modules[] = {"
for i, path in ipairs(paths) do
  local name = path:match("lua/(.*)%.lua$"):gsub("/", "."):gsub("%.init$", "")
  print(('\t{ "%s", text_%d, sizeof text_%d - 1 },'):format(name, i, i))
end
print "\t{ NULL, NULL, 0 }\n};"
