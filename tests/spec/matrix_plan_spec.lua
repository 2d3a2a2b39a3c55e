--- Which cells there are, how they are called, and that none is lost or played twice.
local race = require "closerace"
local axes = require "closerace.matrix.axes"
local impossible = require "closerace.matrix.impossible"
local planning = require "closerace.matrix.plan"

--- Without a system under test: every request has 100 bytes, every response 300.
local function plan(options)
  options.size = function(_, _, kind) return kind == "request" and 100 or 300 end
  return planning.new(options)
end

local function set(...)
  local names = {}
  for _, name in ipairs { ... } do names[name] = true end
  return names
end

local one_race = {
  client = set "later",
  request = set "get", connection = set "reused", point = set "request_byte", ending = set "rst",
  order = set "caused", second = set "none", response = set "cl",
}

local function ids(a_plan, first, step)
  local list = {}
  for _, cell in a_plan:cells(first, step) do list[#list + 1] = cell.id end
  return list
end

local function with(changes)
  local wanted = {}
  for axis, names in pairs(one_race) do wanted[axis] = changes[axis] or names end
  return wanted
end

--- Every value of every axis, and few of the offsets.
local full = plan { full = true, stride = 1000 }

describe("a plan", function()
  it("has the first, the middle and the last byte but one by default", function()
    assert.same({
      "get/reused/request_byte@1/rst/caused/none/cl", "get/reused/request_byte@mid/rst/caused/none/cl",
      "get/reused/request_byte@-1/rst/caused/none/cl",
    }, ids(plan { wanted = one_race }))
    assert.same({ 1, 50, 99 }, { planning.resolve(1, 100), planning.resolve("mid", 100), planning.resolve(-1, 100) })
  end)

  it("has every byte when it is full, thinned by its stride", function()
    local all = ids(plan { wanted = one_race, full = true })
    assert.equal(99, #all)
    assert.equal("get/reused/request_byte@1/rst/caused/none/cl", all[1])
    assert.equal("get/reused/request_byte@99/rst/caused/none/cl", all[99])
    local thin = ids(plan { wanted = one_race, full = true, stride = 40 })
    assert.same({ all[1], all[41], all[81] }, thin)
  end)

  it("takes three offsets of 1 MiB, however full it is", function()
    local huge = { wanted = with { request = set "post-large" }, full = true, size = function() return 1 << 20 end }
    assert.equal(3, planning.new(huge).total)
  end)

  it("counts what it walks over, each cell once, each by a name of its own", function()
    for _, a_plan in ipairs { plan {}, full } do
      local seen, n = {}, 0
      for index, cell in a_plan:cells() do
        n = n + 1
        if n ~= index or seen[cell.id] then error(("%d. cell: %s"):format(index, cell.id)) end
        seen[cell.id] = true
      end
      assert.equal(a_plan.total, n)
    end
  end)

  it("is shared out without loss", function()
    local whole, seen, n = plan {}, {}, 0
    for share = 1, 7 do
      local list = ids(whole, share, 7)
      assert.equal(whole:count(share, 7), #list)
      for _, id in ipairs(list) do
        assert.is_nil(seen[id])
        seen[id] = true
        n = n + 1
      end
    end
    assert.equal(whole.total, n)
    assert.equal(0, whole:count(whole.total + 1, 1))
  end)

  it("has ids that name their cells again", function()
    for _, cell in plan({}):cells() do
      local again = assert(planning.parse(cell.id))
      assert.equal(cell.id, again.id)
      for _, axis in ipairs(axes.names) do assert.equal(cell[axis], again[axis]) end
      assert.equal(cell.at, again.at)
    end
  end)

  it("by default has the chosen values and no others", function()
    local seen = {}
    for _, axis in ipairs(axes.names) do seen[axis] = {} end
    for _, cell in plan({}):cells() do
      for _, axis in ipairs(axes.names) do seen[axis][cell[axis].name] = true end
      if cell.order.held then
        assert.truthy(cell.ending.name == "fin" or cell.ending.name == "rst", cell.id)
        assert.equal("upstream", cell.order.machine, cell.id)
      end
      assert.truthy(cell.response.name == "cl" or cell.point.of_response, cell.id)
    end
    assert.same(set("get", "head", "put", "delete", "post-empty", "post-small", "post-large", "post-chunked"),
      seen.request)
    assert.same(set("fresh", "reused"), seen.connection)
    assert.same(set("none", "same"), seen.second)
    assert.same(set("cl", "chunked"), seen.response)
    assert.same(set(table.unpack(axes.words "point")), seen.point)
    assert.same(set(table.unpack(axes.words "ending")), seen.ending)
  end)

  it("has the large body for an early refusal, and for more where it is asked for", function()
    local function endings(options)
      local names = {}
      for _, cell in plan(options):cells() do
        if cell.request.name == "post-large" then names[cell.ending.name] = true end
      end
      return names
    end
    assert.same(set "413+plain", endings {})
    assert.is_true(endings { wanted = { request = set "post-large" } }.rst)
    assert.is_true(endings { full = true }.rst)
  end)

  it("full has every value of every axis that a rule leaves a place for", function()
    local seen = {}
    for _, axis in ipairs(axes.names) do seen[axis] = {} end
    for _, block in ipairs(full.blocks) do
      for _, axis in ipairs(axes.names) do seen[axis][block[axis].name] = true end
    end
    for _, axis in ipairs(axes.names) do
      for _, value in ipairs(axes[axis]) do
        local nowhere = axis == "order" and value.held and not seen.order[value.name]
        assert.truthy(seen[axis][value.name] or nowhere, value.name)
      end
    end
    -- Where an attempt has a connection to lose, it can be held.
    for _, state in ipairs { "sending", "awaiting", "relaying" } do
      assert.truthy(seen.order[("held:%s#1"):format(state)] and seen.order[("held:%s#2"):format(state)], state)
    end
    for _, state in ipairs { "reading", "idle", "choosing" } do
      assert.truthy(seen.order[("held:%s#1"):format(state)], state)
    end
  end)
end)

describe("a rule of what cannot be", function()
  it("leaves something out, and is counted by its name", function()
    local left_out = full.left_out
    for _, rule in ipairs(impossible.rules) do assert.truthy((left_out[rule.name] or 0) > 0, rule.name) end
    local n = 0
    for _ in pairs(left_out) do n = n + 1 end
    assert.truthy(left_out[impossible.UNASKED] > 0)
    assert.equal(#impossible.rules + 1, n, "two rules have the same name")
  end)

  it("leaves out a checkpoint that the proxy does not come to, and only then", function()
    local wanted = with { order = set "held:verifying#1", point = set "idle" }
    assert.same({}, ids(plan { wanted = wanted }))
    assert.same({ "get/reused/idle/rst/held:verifying#1/none/cl" }, ids(plan { wanted = wanted, verifies = true }))
  end)

  it("is told by the list, the most frequent first", function()
    local list = plan({}):exclusions()
    for i = 2, #list do assert.is_true(list[i - 1].n >= list[i].n) end
  end)
end)

describe("a cell's id", function()
  local wrong = {
    ["get/reused/arrival/rst/crossing/none"] = "has 6 parts",
    ["got/reused/arrival/rst/crossing/none/cl"] = "request: 'got' is unknown; did you mean get? allowed: get, ",
    ["get/reused/arrival/bang/crossing/none/cl"] = "ending: 'bang' is unknown; allowed: fin, rst",
    ["get/reused/arrival@3/rst/crossing/none/cl"] = "arrival: takes no byte offset",
    ["get/reused/request_byte/rst/caused/none/cl"] = "a byte offset is needed",
    ["get/reused/request_byte@0/rst/caused/none/cl"] = "a byte offset is needed",
    ["get/reused/request_byte@x/rst/caused/none/cl"] = "a byte offset is needed",
    ["get/reused/accept/rst/caused/none/cl"] = "there is no such cell: accept needs a fresh connection",
    ["get/reused/arrival/rst/caused/none/cl"] = "there is no such cell: a point is reached in its own orders",
    [""] = "has 1 part",
  }
  for id, sentence in pairs(wrong) do
    it(("'%s' is refused with a reason"):format(id), function()
      local cell, why = planning.parse(id)
      assert.is_nil(cell)
      assert.truthy(why:find(sentence, 1, true), why)
    end)
  end
end)

describe("race.matrix", function()
  it("narrows and widens an axis by names", function()
    local m = race.matrix { request = { "options", "post-key" }, point = "arrival", ending = { "rst" }, second = "none",
                            connection = "reused-many" }
    local seen = {}
    for r in m:rows() do seen[#seen + 1] = r.cell end
    assert.equal(#m, #seen)
    assert.same({
      "options/reused-many/arrival/rst/crossing/none/cl", "options/reused-many/arrival/rst/held:sending#1/none/cl",
      "options/reused-many/arrival/rst/held:awaiting#1/none/cl", "post-key/reused-many/arrival/rst/crossing/none/cl",
      "post-key/reused-many/arrival/rst/held:sending#1/none/cl",
      "post-key/reused-many/arrival/rst/held:awaiting#1/none/cl",
    }, seen)
  end)

  it("knows all and held", function()
    local narrow = { request = "get", point = "arrival", ending = "rst", second = "none", connection = "reused" }
    narrow.order = "held"
    local held = #race.matrix(narrow)
    narrow.order = "all"
    assert.equal(held + 1, #race.matrix(narrow))
    narrow.order, narrow.request = "crossing", "all"
    assert.equal(#axes.request, #race.matrix(narrow))
  end)

  local wrong = {
    { { reqest = "get" }, "unknown option 'reqest'; allowed: request, " },
    { { request = "got" }, "request: 'got' is unknown; did you mean get? allowed: all, get, " },
    { { request = {} }, "request: no name is given" },
    { { request = 3 }, "request: expected a list of names" },
    { { shard = "0/3" }, "shard: expected I/N with I from 1 to N, got '0/3'" },
    { { shard = "4/3" }, "got '4/3'" },
    { { jobs = 0 }, "jobs: expected a whole number from 1, got 0" },
    { { times = 1.5 }, "times: expected a whole number from 1, got 1.5" },
    { { stride = 5 }, "stride: goes with full" },
    { { proxy = "x" }, "proxy: expected a table of options" },
    { { proxy = { retry = "maybe" } }, "retry" },
    { { proxy = { rtry = "never" } }, "unknown option 'rtry'" },
  }
  for _, case in ipairs(wrong) do
    it("refuses what it does not know: " .. case[2], function()
      local good, err = pcall(function() race.matrix(case[1]) end)
      assert.is_false(good)
      assert.truthy(err:find("matrix_plan_spec.lua:%d+: "), err)
      assert.truthy(err:find(case[2], 1, true), err)
    end)
  end
end)
