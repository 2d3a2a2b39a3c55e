--- What `make install` leaves is used from outside the tree: by busted, and by the program.
local race = require "closerace"
local shell = require "shell"

local BUILD = shell.build:gsub("/address%-undefined$", "")

local function install(settings)
  local result = shell.run(("cd %s && %s install B=%s %s"):format(
    shell.quoted(shell.checkout), shell.make, shell.quoted(BUILD), settings))
  assert.equal(0, result.status, result.stderr)
  return result.stdout
end

local SPEC = [[
local race = require "closerace"

describe("the account", function()
  it("is not charged by a POST that crossed a close", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { conn = 1, request = 2, on = "arrival", close = "fin" } } }
    local client = lab:client { to = lab:proxy { to = backend } }
    client:request { path = "/warm" }
    client:request { method = "POST", path = "/pay", id = "p1", body = "amount=10" }
    assert.verdict("EXPECTED", lab, "p1")
    assert.reached(lab, "p1")
  end)
end)
]]

describe("make install", function()
  local prefix, modules, said

  setup(function()
    prefix = shell.folder() .. "/prefix"
    said = install("PREFIX=" .. prefix)
    modules = ([[
return { _all = {
  lpath = "%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua",
  cpath = "%s/lib/lua/5.4/?.so",
} }
]]):format(prefix, prefix, prefix)
  end)

  teardown(shell.clean)

  --- A project of two files, run by busted.
  local function project(expected)
    local folder = shell.folder()
    os.execute("mkdir " .. folder .. "/spec")
    shell.write(folder .. "/.busted", modules)
    shell.write(folder .. "/spec/account_spec.lua", (SPEC:gsub("EXPECTED", expected)))
    return shell.run(("cd %s && busted --lua=lua5.4 --output=TAP"):format(folder))
  end

  it("gives busted the module and its assertions", function()
    local result = project "refused"
    assert.equal(0, result.status, result.stdout .. result.stderr)
    assert.truthy(result.stdout:find("ok 1 - the account is not charged by a POST that crossed a close", 1, true))
  end)

  it("a verdict that was not expected fails there, with the timeline", function()
    local result = project "clean"
    assert.equal(1, result.status)
    assert.truthy(result.stdout:find("spec/account_spec.lua:10: Expected the verdict", 1, true), result.stdout)
    assert.truthy(result.stdout:find("refused", 1, true))
    assert.truthy(result.stdout:find "POST /pay HTTP/1%.1")
  end)

  it("gives a program that runs a script", function()
    local script = shell.write(shell.folder() .. "/a.lua", [[
      local race = require "closerace"
      local lab <close> = race.lab()
      lab:client { to = lab:backend() }:request { id = "a1" }
      assert(lab:verdict("a1").name == "clean")
    ]])
    local result = shell.run(("cd / && %s/bin/closerace run %s"):format(prefix, script))
    assert.equal(0, result.status, result.stdout)
    assert.truthy(result.stdout:find "^ok ")
  end)

  it("says where Lua finds it: what it says can be typed", function()
    local exports = {}
    for line in said:gmatch "[^\n]+" do exports[#exports + 1] = line:match "^  (export .*)$" end
    local load = "lua5.4 -e 'print(require(\"closerace\").version, package.searchpath(\"closerace\", package.path))'"
    local result = shell.run(("cd / && env -u LUA_PATH -u LUA_CPATH sh -c %s"):format(
      shell.quoted(table.concat(exports, "\n") .. "\n" .. load)))
    assert.equal(("%s\t%s/share/lua/5.4/closerace/init.lua\n"):format(race.version, prefix), result.stdout)
  end)

  it("gives programs that find each other", function()
    local result = shell.run(("cd / && %s/bin/closerace proxy --version"):format(prefix))
    assert.equal("closerace-proxy " .. race.version .. "\n", result.stdout)
  end)

  it("puts all of it, and nothing else, under DESTDIR", function()
    local destination = shell.folder()
    install("PREFIX=/usr DESTDIR=" .. destination)
    local find = "cd %s && find . -type f | sort"
    assert.equal(shell.run(find:format(prefix)).stdout, shell.run(find:format(destination .. "/usr")).stdout)
    assert.same({ "usr" }, shell.names(destination))
    assert.same({ "closerace", "closerace-backend", "closerace-proxy" }, shell.names(destination .. "/usr/bin"))
  end)
end)
