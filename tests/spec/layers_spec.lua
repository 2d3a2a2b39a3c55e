--- Nobody includes what is not theirs: includes are planted in a copy of the checkout, and `make layers` must see them.
local shell = require "shell"

local copy

local function slurp(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function make_layers()
  return shell.run(("cd %s && %s layers"):format(copy, shell.make))
end

--- Put a line at the end of a file, see what `make layers` says, and take it away again.
local function with(file, line)
  local path = copy .. "/" .. file
  local text = slurp(path)
  shell.write(path, text .. line .. "\n")
  local result = make_layers()
  shell.write(path, text)
  return result
end

describe("make layers", function()
  setup(function()
    copy = shell.folder()
    -- With the objects there, so that only what a test changes is compiled; those of another place know other paths.
    local result = shell.run(([[
      cd %s && cp -a Makefile proxy backend harness lua tests %s && mkdir %s/build
      case %s in "$PWD"/build*) cp -a build/obj %s/build/obj ;; esac
    ]]):format(shell.quoted(shell.checkout), copy, copy, shell.quoted(shell.build), copy))
    assert.equal(0, result.status, result.stderr)
  end)

  teardown(shell.clean)

  it("passes the checkout as it is, in one line", function()
    local result = make_layers()
    assert.equal(0, result.status, result.stderr)
    assert.truthy(result.stdout:find "layers: %d+ files ok\n$")
  end)

  for _, planted in ipairs {
    { "proxy/retry.c",     '"backend/clock.h"',                   "backend/clock.h" },
    { "proxy/retry.c",     '"harness/reply.h"',                   "harness/reply.h" },
    { "proxy/retry.c",     "<microhttpd.h>",                      "/usr/include/microhttpd.h" },
    { "proxy/retry.c",     '"proxy/program/line.h"',              "proxy/program/line.h" },
    { "proxy/retry.c",     "<event2/http.h>",                     "/usr/include/event2/http.h" },
    { "proxy/main.c",      '"proxy/actor.h"',                     "proxy/actor.h", "proxy/program" },
    { "proxy/program/line.c", '"proxy/head.h"',                   "proxy/head.h", "proxy/program" },
    { "proxy/program/line.c", '"backend/clock.h"',                "backend/clock.h", "proxy/program" },
    { "harness/reply.c",   '"proxy/program/line.h"',              "proxy/program/line.h" },
    { "backend/clock.c",   '"proxy/clock.h"',                     "proxy/clock.h" },
    { "backend/clock.c",   '"lua/modules.h"',                     "lua/modules.h" },
    { "backend/clock.c",   "<lua5.4/lualib.h>",                   "/usr/include/lua5.4/lualib.h" },
    { "harness/reply.c",   '"proxy/head.h"',                      "proxy/head.h" },
    { "harness/reply.c",   '"harness/../backend/say.h"',          "backend/say.h" },
    { "harness/reply.c",   '"lua/modules.h"',                     "lua/modules.h" },
    { "harness/reply.c",   '"/usr/share/include/llhttp/llhttp.h"', "/usr/share/include/llhttp/llhttp.h" },
    { "lua/verdicts.c",    '"proxy/pool.h"',                      "proxy/pool.h" },
    { "lua/verdicts.c",    '"tests/unit/check.h"',                "tests/unit/check.h" },
    { "lua/main.c",        "<microhttpd.h>",                      "/usr/include/microhttpd.h" },
  } do
    local file, include, opened, layer = table.unpack(planted)
    it(("sees that %s includes %s"):format(file, include), function()
      local result = with(file, "#include " .. include)
      assert.equal(2, result.status)            -- make's own
      local sentence = ("layers: %s: includes %s, which %s must not"):format(file, opened, layer or file:match "^%a+")
      assert.truthy(result.stderr:find(sentence, 1, true), result.stderr .. "\nwithout: " .. sentence)
    end)
  end

  it("sees a private header that a public one drags along", function()
    local result = with("backend/options.h", '#include "backend/say.h"')
    assert.equal(2, result.status)
    for _, layer in ipairs { "harness", "lua" } do
      local sentence = layer .. "/[%w_]+%.c: includes backend/say%.h, which " .. layer .. " must not"
      assert.truthy(result.stderr:find(sentence), result.stderr)
    end
    assert.falsy(result.stderr:find "backend/[%w_]+%.c: includes")
  end)

  it("proves nothing, and says so, where the compiler's word is missing", function()
    assert.equal(0, make_layers().status)
    os.remove(copy .. "/build/obj/proxy/retry.d")
    local result = make_layers()
    assert.equal(2, result.status)
    assert.truthy(result.stderr:find("proxy/retry.c: build/obj/proxy/retry.d does not tell", 1, true), result.stderr)
  end)
end)
