--- What a script leaves behind is told: a lab that is open, an actor that is held, a loop without an end.
local race = require "closerace"
local shell = require "shell"

local closerace = shell.program "closerace"

local function run(script, options)
  local path = shell.write(shell.folder() .. "/a.lua", script)
  return shell.run(("%s run %s %s"):format(closerace, options or "", path))
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

local function told(result, ...)
  assert.equal(1, result.status, result.stdout .. result.stderr)
  assert.truthy(result.stdout:find "^FAIL  a ", result.stdout)
  for _, part in ipairs { ... } do has(result.stdout, part) end
end

local LEFT_OPEN = 'a.lua:2: this lab was never closed: write "local lab <close> = race.lab()", or call lab:close()'

describe("a lab that a script leaves open", function()
  after_each(shell.clean)

  it("is told, with the place where it was made", function()
    told(run [[local race = require "closerace"
      local lab = race.lab()
      lab:client { to = lab:backend() }:request()]], LEFT_OPEN)
  end)

  it("is told, too, where it is garbage by then, or a global", function()
    told(run [[local race = require "closerace"
      do local lab = race.lab() end
      collectgarbage() collectgarbage()]], LEFT_OPEN)
    told(run [[local race = require "closerace"
      lab = race.lab()]], LEFT_OPEN)
  end)

  it("is told of each that was left", function()
    local result = run [[local race = require "closerace"
      local a = race.lab()
      local b <close> = race.lab()
      local c = race.lab()]]
    told(result, LEFT_OPEN, "a.lua:4: this lab was never closed")
    assert.is_nil(result.stdout:find("a.lua:3:", 1, true))
  end)

  it("is asked what it would have said: a fault that never fired", function()
    told(run [[local race = require "closerace"
      local lab = race.lab()
      lab:backend { faults = { { on = "executed", close = "rst" } } }]],
      LEFT_OPEN, "fault 1 of backend 1 never fired")
  end)

  it("hides no other failure, and is not there for the next script", function()
    local result = run [[local race = require "closerace"
      local lab = race.lab()
      error "the account is empty"]]
    told(result, "the account is empty")
    assert.is_nil(result.stdout:find("never closed", 1, true))
    local one = shell.write(shell.folder() .. "/one.lua", "lab = require 'closerace'.lab() error 'x'")
    local two = shell.write(shell.folder() .. "/two.lua", "print 'fine'")
    result = shell.run(("%s run %s %s"):format(closerace, one, two))
    has(result.stdout, "1 passed, 1 failed")
  end)

  it("that is closed by hand is not told", function()
    local result = run [[local race = require "closerace"
      local lab = race.lab()
      lab:close()]]
    assert.equal(0, result.status, result.stdout)
  end)
end)

describe("an actor that is held and never released", function()
  local function hold(lab, release)
    local proxy = lab:proxy { to = lab:backend() }
    proxy:hold "sending"
    lab:client { to = proxy }:start { path = "/pay", id = "p1" }
    proxy:wait "sending"
    if release then proxy:release "sending" end
  end

  it("is told when the lab closes, by its checkpoint and the request's id", function()
    local good, err = pcall(function()
      local lab <close> = race.lab()
      hold(lab)
    end)
    assert.is_false(good)
    has(err, "proxy 1 still holds the request 'p1' at upstream.sending: nobody released it (proxy:release)")
    assert.is_true((pcall(function()
      local lab <close> = race.lab()
      hold(lab, true)
    end)))
  end)

  it("hides no other error", function()
    local good, err = pcall(function()
      local lab <close> = race.lab()
      hold(lab)
      error "the account is empty"
    end)
    assert.is_false(good)
    has(err, "the account is empty")
  end)

  it("is nothing where nobody stands there: a hold that was never met, an actor that is gone", function()
    local lab = race.lab()
    local proxy = lab:proxy { to = lab:backend() }
    proxy:hold "sending"
    lab:close()
    lab = race.lab()
    hold(lab)
    lab:reset()
    lab:close()
  end)
end)

describe("a script that does not end", function()
  after_each(shell.clean)

  for what, loop in pairs {
    ["a loop"] = "while true do end",
    ["a loop that only looks"] = "while not exchange.done do end",
    ["a loop that catches its errors"] = "while true do pcall(function() while true do end end) end",
    ["a loop in a task"] = "lab:task(function() while true do end end):wait()",
  } do
    it(("is ended and told with its line: %s"):format(what), function()
      told(run(([[local race = require "closerace"
        local lab <close> = race.lab { deadline_ms = 1000000 }
        local exchange = lab:client { to = lab:backend() }:start {}
        %s]]):format(loop), "--limit-s 1"),
        "a.lua:4: an endless loop? 1 s of processor time went by, and nothing happened in a lab (--limit-s)")
    end)
  end

  for what, loop in pairs {
    ["a coroutine of its own"] = "coroutine.wrap(function() while true do end end)()",
    ["a C function"] = "(('a'):rep(40)):find(('a*'):rep(40) .. 'b')",
  } do
    it(("is ended with the whole run where nothing else helps: %s"):format(what), function()
      local result = run("local x = " .. loop, "--limit-s 1")
      assert.equal(1, result.status)
      has(result.stderr, "closerace run: a script takes no end, and cannot be interrupted (--limit-s)")
    end)
  end

  it("may go on as long as something happens in its labs", function()
    local result = run([[local race = require "closerace"
      local lab <close> = race.lab { deadline_ms = 1000000 }
      local client = lab:client { to = lab:backend() }
      local start = os.clock()
      while os.clock() - start < 1.6 do
        for _ = 1, 1000000 do end
        client:request()
        lab:reset()
      end]], "--limit-s 1")
    assert.equal(0, result.status, result.stdout)
  end)

  it("may compute as long as --limit-s allows; 0 is no limit", function()
    local script = "local start = os.clock() while os.clock() - start < 1.5 do end"
    assert.equal(0, run(script, "--limit-s 20").status)
    assert.equal(0, run(script, "--limit-s 0").status)
    assert.equal(1, run(script, "--limit-s 1").status)
    for _, bad in ipairs { "x", "-1", "1.5", "''" } do
      local result = run(script, "--limit-s " .. bad)
      assert.equal(2, result.status)
      has(result.stderr, "--limit-s: expected a whole number from 0, got '")
    end
  end)

  it("of one script is not counted for the next", function()
    local path = shell.write(shell.folder() .. "/b.lua", "local s = os.clock() while os.clock() - s < 0.6 do end")
    assert.equal(0, shell.run(("%s run --limit-s 1 --repeat 3 %s"):format(closerace, path)).status)
  end)
end)
