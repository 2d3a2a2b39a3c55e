--- The timeline: whose a connection is can be told from its name.
local race = require "closerace"
local shell = require "shell"

local closerace = shell.program "closerace"

--- How often each of these has done that.
local function count(trace, what)
  local counts = {}
  for _, entry in ipairs(trace) do
    local name = ("%s %d"):format(entry.who, entry.n)
    if entry.what == what then counts[name] = (counts[name] or 0) + 1 end
  end
  return counts
end

describe("a name in the timeline", function()
  it("is one backend's alone", function()
    local lab <close> = race.lab()
    for _, backend in ipairs { lab:backend(), lab:backend(), lab:backend { name = "shop" } } do
      lab:client { to = backend }:request()
    end
    assert.same({ ["conn 1"] = 1, ["backend 2, conn 1"] = 1, ["shop, conn 1"] = 1 }, count(lab:trace(), "accepted"))
    lab:reset()
    assert.same({}, count(lab:trace(), "accepted"))
  end)

  it("is one proxy's alone", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    for _ = 1, 2 do lab:client { to = lab:proxy { to = backend } }:request() end
    local names = {}
    for _, entry in ipairs(lab:trace()) do names[entry.who] = true end
    assert.same({ client = true, conn = true, session = true, upstream = true, ["proxy 2, session"] = true,
      ["proxy 2, upstream"] = true }, names)
  end)

  it("is short, and printable", function()
    local lab <close> = race.lab()
    for name, why in pairs {
      [("x"):rep(17)] = "name: expected 1 to 16 printable characters, got '" .. ("x"):rep(17) .. "'",
      [""] = "name: expected 1 to 16 printable characters, got ''", ["a\nb"] = "name: expected 1 to 16 printable",
    } do
      local good, err = pcall(lab.backend, lab, { name = name })
      assert.is_false(good)
      assert.truthy(err:find(why, 1, true), err)
    end
    assert.is_true((pcall(lab.backend, lab, { name = ("x"):rep(16) })))
  end)

  it("is the gate's own, where closerace trial plays a client command", function()
    for _, system in ipairs { "--client-cmd 'curl -s -o /dev/null $WARM $GATE $URL'", "--sut curl" } do
      local result = shell.run(("%s trial --all get/reused/arrival/rst/crossing/none/cl %s"):format(closerace, system))
      assert.truthy(result.stdout:find "ms  gate     conn 1      accepted", result.stdout)
      assert.equal(1, select(2, result.stdout:gsub("backend  conn 1      accepted", "")))
      assert.equal(1, select(2, result.stdout:gsub("backend  conn 1      closed", "")))
    end
  end)
end)
