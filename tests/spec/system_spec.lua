--- Systems by their names: what a driver is, which words choose one, and what a command line must have.
local command_system = require "closerace.command.system"
local drivers = require "closerace.sut"
local shape = require "closerace.sut.shape"
local shell = require "shell"
local systems = require "closerace.system"

local function has(text, part)
  if not tostring(text):find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

--- A driver of one's own: one variant, two settings.
local OWN = [[return {
  title = "Own", program = "own", package = "own", argv = { "$PROGRAM", "$LISTEN", "$BACKEND", "${colour}", "${size}" },
  settings = {
    { name = "colour", help = "of it", values = { "red", { "blue", "#00f" } } },
    { name = "size", help = "of it", values = { "1", "2", "3" } },
  },
  variants = { { name = "large", size = "3" }, { name = "wild", size = "2", colour = "blue" } },
}]]

--- The path of a file with that text.
local function driver_file(text)
  return shell.write(shell.folder() .. "/own.lua", text)
end

--- What is wrong with that choice.
local function refusal(text)
  local chosen, why = drivers.choose(text)
  assert.is_nil(chosen)
  return why
end

--- Names of the systems that --sut LIST chooses; or nil and why.
local function chosen_by(list)
  local all, why = command_system.chosen { sut = list, proxy = {} }
  if not all then return nil, why end
  local names = {}
  for i, one in ipairs(all) do names[i] = one.name end
  return names
end

describe("a system's name", function()
  local own
  before_each(function() own = driver_file(OWN) end)
  after_each(shell.clean)

  it("alone has every setting as it is by default", function()
    local chosen = drivers.choose(own)
    assert.equal(own, chosen.name)
    assert.same({ colour = "red", size = "1" }, chosen.texts)
  end)

  it("with a variant has the variant's settings, and the others as they are by default", function()
    local chosen = drivers.choose(own .. ":large")
    assert.equal(own .. ":size=3", chosen.name)
    assert.same({ colour = "red", size = "3" }, chosen.texts)
  end)

  it("with a setting has the text that stands for its word", function()
    local chosen = drivers.choose(own .. ":colour=blue")
    assert.equal(own .. ":colour=blue", chosen.name)
    assert.same({ colour = "#00f", size = "1" }, chosen.texts)
  end)

  it("may have a variant and settings, and what comes later is what holds", function()
    assert.same({ colour = "#00f", size = "3" }, drivers.choose(own .. ":wild:size=3").texts)
    assert.same({ colour = "#00f", size = "2" }, drivers.choose(own .. ":size=3:wild").texts)
    assert.same({ colour = "#00f", size = "3" }, drivers.choose(own .. ":wild:large").texts)
    assert.same({ colour = "red", size = "2" }, drivers.choose(own .. ":wild:colour=red").texts)
  end)

  it("is one for each choice of settings, whichever way they were chosen", function()
    local canonical = own .. ":colour=blue:size=2"
    for _, more in ipairs { ":wild", ":colour=blue:size=2", ":size=2:colour=blue", ":large:wild", ":wild:size=2" } do
      assert.equal(canonical, drivers.choose(own .. more).name)
    end
    assert.equal(own, drivers.choose(own .. ":wild:colour=red:size=1").name)
    assert.equal("haproxy:retry-on=conn-and-empty", drivers.choose("haproxy:empty").name)
  end)

  it("chooses the same when it is read again", function()
    for _, name in ipairs(drivers.names) do
      for _, variant in ipairs(drivers.all_variants(name)) do
        local chosen = drivers.choose(variant)
        local again = drivers.choose(chosen.name)
        assert.equal(chosen.name, again.name)
        assert.same(chosen.texts, again.texts)
      end
    end
  end)

  it("that nobody knows is told with those that are known", function()
    local why = refusal "nosuch"
    has(why, "'nosuch' is unknown; allowed: haproxy, perlbal, ")
    for _, name in ipairs(drivers.names) do has(why, name) end
    has(why, "or a driver's file")
  end)

  it("with a part that nobody knows is told with the variants, settings and words that there are", function()
    local allowed = "allowed: large, wild, colour=red|blue, size=1|2|3"
    for part, said in pairs {
      huge = "huge", ["size=4"] = "size=4", ["weight=1"] = "weight=1", ["size="] = "size=", size = "size",
      ["large=1"] = "large=1", ["colour=#00f"] = "colour=#00f", [""] = "",
    } do
      assert.equal(("%s: '%s' is unknown; %s"):format(own, said, allowed), refusal(own .. ":" .. part))
    end
  end)

  it("of a driver without any settings takes nothing behind it", function()
    local bare = driver_file [[return { program = "own", argv = { "own" } }]]
    assert.equal(bare .. ": 'x' is unknown; allowed: nothing", refusal(bare .. ":x"))
    assert.same({ bare }, drivers.all_variants(bare))
  end)

  it("with :all stands for the driver alone and with each variant", function()
    assert.same({ own, own .. ":large", own .. ":wild" }, drivers.all_variants(own))
    assert.same({ own, own .. ":size=3", own .. ":colour=blue:size=2" }, chosen_by { own .. ":all" })
    local names, why = chosen_by { "nosuch:all" }
    assert.is_nil(names)
    has(why, "--sut: 'nosuch' is unknown")
  end)

  it("is played once, however often it is chosen", function()
    assert.same({ own .. ":colour=blue:size=2", own, own .. ":size=3" },
      chosen_by { own .. ":wild", own .. ":all", own .. ":colour=blue:size=2" })
  end)

  it("is refused in a list, too, and names what is wrong", function()
    local names, why = chosen_by { "haproxy", own .. ":huge" }
    assert.is_nil(names)
    has(why, "--sut: " .. own .. ": 'huge' is unknown")
  end)
end)

describe("a driver in a file of one's own", function()
  after_each(shell.clean)

  it("is found by its path, or by its end .lua", function()
    local path = driver_file(OWN)
    assert.equal("Own", drivers.find(path).title)
    assert.equal("own", systems.driven(path).driver.program)
    local driver, why = drivers.find "nosuch.lua"
    assert.is_nil(driver)
    has(why, "nosuch.lua")
  end)

  it("that is not there, is told so", function()
    has(refusal "/no/such/driver", "cannot open /no/such/driver")
  end)

  it("that is no Lua, is told with its line", function()
    local path = driver_file "return {\n  program = = 1\n}"
    has(refusal(path), path .. ":2: ")
  end)

  it("that is compiled, is not run", function()
    local path = driver_file(string.dump(load "return { program = 'own', argv = {} }"))
    has(refusal(path), "attempt to load a binary chunk")
  end)

  it("that raises, is told what it said", function()
    local path = driver_file "error 'not today'"
    has(refusal(path), "not today")
  end)

  it("that returns no driver, is told what one has", function()
    for _, text in ipairs {
      "", "return nil", "return 5", "return 'own'", "return {}", "return { program = 'own' }",
      "return { argv = { 'own' } }",
    } do
      local path = driver_file(text)
      assert.equal(path .. ": it is no driver: it returns no table with program and argv", refusal(path))
    end
  end)

  local settings = [[settings = { { name = "post", values = { "again", { "once", "x" } } } }]]
  local word = "expected a word without blanks, commas, colons and equals signs, got "
  for fields, said in pairs {
    ["program = 1"] = "program: expected a text, got 1",
    ["argv = 'own'"] = "argv: expected a list of texts, got 'own'",
    ["argv = { 'own', 5 }"] = "argv[2]: expected a text, got 5",
    ["argv = { 'own', level = 'x' }"] = "argv: expected a list of texts, and nothing by a name",
    ["env = { [2] = 'A=1' }"] = "env: expected a list of texts, and nothing by a name",
    ["varants = {}"] = "'varants' is unknown; allowed: argv, config, env, files, kind, package, patience_ms, program, "
      .. "settings, slow, title, trap, unique, variants, version",
    ["[1] = 'x'"] = "'1' is unknown; allowed: argv, ",
    ["kind = 'server'"] = "kind: expected proxy, client, command, got 'server'",
    ["config = {}"] = "config: expected a text, got a table",
    ["files = 'x'"] = "files: expected name = text, got 'x'",
    ["files = { 'x' }"] = "files: expected name = text, got 1",
    ["files = { a = 1 }"] = "files['a']: expected a text, got 1",
    ["patience_ms = 0"] = "patience_ms: expected a whole number from 1, got 0",
    ["patience_ms = 1.5"] = "patience_ms: expected a whole number from 1, got 1.5",
    ["slow = 1"] = "slow: expected true or false, got 1",
    ["version = {}"] = "version.args is missing",
    ["version = { args = {}, pattern = '%' }"] = "version.pattern: expected a pattern of Lua, got '%'",
    ["version = { args = {}, pattern = 'v', from = 'x' }"] =
      "version: 'from' is unknown; allowed: args, pattern, program",
    ["settings = 5"] = "settings: expected a list of settings, got 5",
    ["settings = { 'post' }"] = "settings[1]: expected a table, got 'post'",
    ["settings = { {} }"] = "settings[1].name is missing",
    ["settings = { { name = 'post' } }"] = "settings[1].values is missing",
    ["settings = { { name = 'a b', values = { 'x' } } }"] =
      "settings[1].name: expected letters, digits, - and _, but not 'name', got 'a b'",
    ["settings = { { name = 'name', values = { 'x' } } }"] =
      "settings[1].name: expected letters, digits, - and _, but not 'name', got 'name'",
    ["settings = { { name = 'post', values = {} } }"] = "settings[1].values: expected at least one word",
    ["settings = { { name = 'post', values = 'on' } }"] = "settings[1].values: expected a list of words, got 'on'",
    ["settings = { { name = 'post', values = { 'a=b' } } }"] = "settings[1].values[1]: " .. word .. "'a=b'",
    ["settings = { { name = 'post', values = { { 'a:b', '' } } } }"] = "settings[1].values[1][1]: " .. word .. "'a:b'",
    ["settings = { { name = 'post', values = { { 'a' } } } }"] =
      "settings[1].values[1]: expected a word, or { word, text }, got a table",
    ["settings = { { name = 'post', values = { { 'a', 1 } } } }"] = "settings[1].values[1][2]: expected a text, got 1",
    ["settings = { { name = 'post', values = { 'a', { 'a', 'x' } } } }"] = "settings[1].values: 'a' is there twice",
    ["settings = { { name = 'post', values = { 'a' } }, { name = 'post', values = { 'a' } } }"] =
      "settings: 'post' is there twice",
    ["variants = {}, settings = { { name = 'post', vals = {} } }"] =
      "settings[1]: 'vals' is unknown; allowed: help, name, values",
    [settings .. ", variants = { 'once' }"] = "variants[1]: expected a table, got 'once'",
    [settings .. ", variants = { {} }"] = "variants[1].name: " .. word .. "nil",
    [settings .. ", variants = { { name = 'all' } }"] = "variants[1].name: 'all' stands for all of them",
    [settings .. ", variants = { { name = 'o' }, { name = 'o' } }"] = "variants: 'o' is there twice",
    [settings .. ", variants = { { name = 'o', pots = 'once' } }"] =
      "variants[1]: the setting 'pots' is unknown; allowed: post",
    [settings .. ", variants = { { name = 'o', post = 'never' } }"] =
      "variants[1].post: 'never' is unknown; allowed: again, once",
    [settings .. ", variants = { { name = 'o', post = 1 } }"] =
      "variants[1].post: '1' is unknown; allowed: again, once",
    ["kind = 'command'"] = "answer is missing",
    ["victim = {}"] = "'victim' is unknown; allowed: argv, ",
    ["kind = 'command', files = {}"] = "'files' is unknown; allowed: answer, argv, between, each, env, heads, ",
    ["kind = 'command', requests = { gett = {} }"] = "requests: 'gett' is unknown; allowed: get, ",
    ["kind = 'command', requests = { get = 'x' }"] = "requests['get']: expected a list of texts, got 'x'",
  } do
    it(("with the field %s, is told what it may be"):format(fields), function()
      local base = "program = 'own', argv = { 'own' }, "
      local path = driver_file(("return { %s%s }"):format(base, fields))
      local why = refusal(path)
      assert.equal(("%s: %s"):format(path, said), why:sub(1, #path + 2 + #said))
      if not said:find "allowed: .*, $" then assert.equal(#path + 2 + #said, #why) end
    end)
  end

  it("whose program is not installed, lacks it, and says where it comes from", function()
    local path = driver_file(OWN)
    assert.equal("own is not installed (Debian: own)", systems.driven(path).lacks)
    assert.equal("own is not installed",
      systems.driven(driver_file "return { program = 'own', argv = { 'own' } }").lacks)
  end)
end)

-- ----------------------------------------------------------------- those that closerace brings --

-- What a driver of closerace has beside what each driver needs.
local needed = { "title", "package", "version", "kind", "patience_ms", "trap" }

--- Every text in it, wherever it is.
local function texts_in(value, list)
  list = list or {}
  if type(value) == "string" then list[#list + 1] = value end
  if type(value) == "table" then
    for _, one in pairs(value) do texts_in(one, list) end
  end
  return list
end

--- All that is given to the program.
local function texts_of(driver)
  return table.concat(texts_in {
    driver.argv, driver.config, driver.files, driver.env, driver.each, driver.between, driver.victim, driver.requests,
  }, "\n")
end

for _, name in ipairs(drivers.names) do
  describe("the driver " .. name, function()
    local driver = drivers.find(name)

    it("is one, and has what closerace shows of it", function()
      assert.is_nil(shape.fault(driver))
      for _, field in ipairs(needed) do assert.is_not_nil(driver[field], field) end
      -- One capture: what is shown.
      assert.equal(1, select(2, driver.version.pattern:gsub("%b()", "")))
    end)

    it("tells its program what to say to whom", function()
      local texts = texts_of(driver)
      if driver.kind == "command" then
        assert.is_nil(texts:find "%$LISTEN")
      else
        assert.truthy(texts:find "%$LISTEN", "nobody tells the program where to listen")
        assert.truthy(texts:find "%$BACKEND", "nobody tells the program where to send requests")
      end
    end)

    it("reads its configuration, where it has any", function()
      if not driver.config then return end
      local texts = table.concat(texts_in { driver.argv, driver.files, driver.env }, "\n")
      assert.truthy(texts:find "%$CONFIG" or texts:find "%$DIR", "nobody tells the program where its configuration is")
    end)

    it("has settings with help and a choice", function()
      for _, setting in ipairs(driver.settings or {}) do
        assert.truthy(#setting.help > 0)
        assert.is_true(#setting.values > 1, setting.name .. " leaves no choice")
      end
    end)

    it("has no two variants that are the same, nor one that is the default", function()
      local known = {}
      for _, variant in ipairs(drivers.all_variants(name)) do
        local full = drivers.choose(variant).name
        assert.is_nil(known[full], variant)
        known[full] = variant
      end
    end)

    it("uses every setting, and no ${setting} that it has not", function()
      local used, known = {}, {}
      for word in texts_of(driver):gmatch "%${([%w_-]+)}" do used[word] = true end
      for _, setting in ipairs(driver.settings or {}) do known[setting.name] = true end
      assert.same(known, used)
    end)
  end)
end

describe("--proxy-cmd", function()
  it("says where the program is to listen, and where it is to send requests", function()
    local system, why = systems.command "prog --to $BACKEND"
    assert.is_nil(system)
    has(why, "$LISTEN (or $LISTEN_PORT, $LISTEN_FD) is missing")
    system, why = systems.command "prog --listen $LISTEN"
    assert.is_nil(system)
    has(why, "$BACKEND (or $BACKEND_PORT) is missing")
  end)

  it("may say it in each of the ways", function()
    for _, listen in ipairs { "$LISTEN", "$LISTEN_PORT", "$LISTEN_FD" } do
      for _, backend in ipairs { "$BACKEND", "$BACKEND_PORT" } do
        local system = systems.command(("prog %s %s"):format(listen, backend))
        assert.equal("proxy", system.kind)
        assert.equal(("'prog %s %s'"):format(listen, backend), system.name)
      end
    end
  end)

  it("excludes --sut and the options of our own proxy", function()
    local cmd = "prog $LISTEN $BACKEND"
    for _, chosen in ipairs {
      { proxy_cmd = cmd, sut = { "haproxy" }, proxy = {} }, { proxy_cmd = cmd, proxy = { retry = "always" } },
      { sut = { "haproxy" }, proxy = { retry = "always" } },
    } do
      local list, why = command_system.chosen(chosen)
      assert.is_nil(list)
      has(why, "exclude one another")
    end
  end)
end)

describe("the command that plays a cell again", function()
  local function replay(name)
    return command_system.replay { cell = "CELL", system = name, request = "get" }
  end

  it("names the system as the shell takes it", function()
    assert.equal("closerace trial CELL --sut haproxy:retries=0", replay "haproxy:retries=0")
    assert.equal("closerace trial CELL --sut '/my drivers/own.lua:size=2'", replay "/my drivers/own.lua:size=2")
    local one = systems.command "prog 'a b' $LISTEN $BACKEND"
    assert.equal([[closerace trial CELL --proxy-cmd 'prog '\''a b'\'' $LISTEN $BACKEND']], replay(one.name))
  end)
end)
