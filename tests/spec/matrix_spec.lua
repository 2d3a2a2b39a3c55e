--- The matrix against our own proxy: what the rules demand of it, cell by cell.
local race = require "closerace"
local axes = require "closerace.matrix.axes"
local row = require "closerace.matrix.row"

local can_vanish = race.has "vanish"

--- All rows by their cells.
local function play(options)
  options.jobs = options.jobs or 2
  local rows, list = {}, {}
  for r in race.matrix(options):rows() do
    rows[r.cell] = r
    list[#list + 1] = r
  end
  return rows, list
end

local default = play {}

local function is_idempotent(r) return axes.request[r.request].idempotent == true end

--- May it be sent again when it was lost?  Behind a 408 that crossed it, it was not received, whatever its method.
local function is_repeatable(r) return is_idempotent(r) or r.ending == "408+fin" end

-- ----------------------------------------------------------- what the rules say of a cell --

--- Does the first attempt fail in a way that shows, after some of the request was sent and before a byte of a final
-- response came?  From the words of DESIGN's tables alone.
local function loses_first_attempt(r)
  if r.point:find "^response_" or r.ending == "413+plain" then return false end         -- a final response had begun
  if r.ending == "stall" then return false end                                          -- nobody is told
  if r.ending == "vanish" and r.point ~= "idle" then return false end                   -- nobody is, who sends no more
  if r.order == "settled" then return false end                                         -- seen before, so avoided
  if r.order == "held:reading#1" or r.order == "held:idle#1" then return false end      -- the response is there
  if r.order == "held:sending#1" and r.ending == "rst" then
    -- The send itself meets the reset, and not a byte has left (R7): unless some bytes went out before it.
    if r.point == "idle" then return false end
    if r.point == "accept" then return r.second == "same" end                           -- the second one is not held
  end
  return true
end

--- A 408 that crossed the request permits its repeat, whatever the method (RFC 9110 15.5.9).
local function meets_stale_408(r) return r.ending == "408+fin" and r.attempts > 1 end

--- Is a request sent twice that must not be, where a policy repeats everything?  The cell's own; or the next one, where
-- it rides a connection that vanished behind a whole response.
local function pays_twice(r)
  if r.point == "response_end" and r.ending == "vanish" then return true end
  return not is_repeatable(r) and loses_first_attempt(r)
end

describe("the matrix of the default policy", function()
  it("plays thousands of cells, each of which took place", function()
    local n = 0
    for cell, r in pairs(default) do
      n = n + 1
      assert.truthy(r.state == "ok" or r.state == "skipped" and not can_vanish, cell .. " " .. r.state)
    end
    assert.is_true(n > 3000, n)
  end)

  it("shows no violation and no advice", function()
    for cell, r in pairs(default) do
      assert.is_false(r.violation, cell)
      assert.is_false(r.advice, cell)
    end
  end)

  it("sends a POST that was lost once, and what may be repeated twice", function()
    for cell, r in pairs(default) do
      if r.state ~= "skipped" and loses_first_attempt(r) then
        assert.equal(is_repeatable(r) and 2 or 1, r.attempts, cell)
      end
    end
  end)

  it("tells the client so where nothing else can be done", function()
    for cell, r in pairs(default) do
      if r.state ~= "skipped" and loses_first_attempt(r) and not is_repeatable(r) then
        assert.equal("502", r.told, cell)
        assert.truthy(r.verdict == "refused" or r.verdict == "ghost", cell)
      end
    end
  end)

  it("answers the next request, unless its connection vanished or stalled unseen", function()
    for cell, r in pairs(default) do
      local unseen = r.point == "response_end" and (r.ending == "vanish" or r.ending == "stall")
      if r.state ~= "skipped" and not unseen then assert.equal("clean", r.next, cell) end
    end
  end)
end)

describe("--retry always", function()
  local always = play { proxy = { retry = "always" } }

  it("differs from the default in the cells where the rules say so, and in no other", function()
    local n = 0
    for cell, r in pairs(always) do
      if r.state ~= "skipped" then
        local differs = not row.are_same(r, default[cell])
        assert.equal(pays_twice(r), differs, cell)
        n = n + (differs and 1 or 0)
      end
    end
    assert.is_true(n > 500, n)
  end)

  it("breaks R2 in these, by a second sending, and no other rule anywhere", function()
    for cell, r in pairs(always) do
      if r.state ~= "skipped" then
        local own, behind = r.rules.R2 == "broken", r.next_rules.R2 == "broken"
        assert.equal(pays_twice(r) and not meets_stale_408(r), own or behind, cell)
        assert.equal(own or behind, r.violation, cell)
        if own then assert.is_true(r.attempts > 1, cell) end
        if behind then assert.is_true(r.next_attempts > 1, cell) end
        r.rules.R2, r.next_rules.R2 = nil, nil
        for _, rules in ipairs { r.rules, r.next_rules } do
          -- What could not be seen leaves a rule unknown; nothing else does here.
          for _, finding in pairs(rules) do assert.is_true(r.unseen and finding == "unknown", cell) end
        end
      end
    end
  end)

  it("says in the proxy's own words why", function()
    for cell, r in pairs(always) do
      if r.rules.R2 == "broken" then assert.truthy(r.reason:find("retry policy is always", 1, true), cell) end
    end
  end)
end)

describe("--retry never", function()
  it("is advised to repeat what is idempotent and was lost, and nothing else", function()
    local never = play { proxy = { retry = "never" }, second = "none" }
    for cell, r in pairs(never) do
      if r.state ~= "skipped" then
        local is_lost = is_idempotent(r) and loses_first_attempt(r)
        assert.is_false(r.violation, cell)
        if r.unseen and is_lost then
          assert.is_true(r.advice or r.rules.R3 == "unknown", cell)
        else
          assert.equal(is_lost, r.advice, cell)
        end
        if r.advice then assert.equal("R3", r.rule, cell) end
      end
    end
  end)
end)

describe("--retry listed", function()
  it("may repeat a request with a key once, which is reported", function()
    local listed = play { proxy = { retry = "listed" }, request = { "post-key", "post-small" }, second = "none" }
    for cell, r in pairs(listed) do
      if r.state ~= "skipped" then
        local repeated = r.request == "post-key" and loses_first_attempt(r)
        assert.equal(repeated and not meets_stale_408(r) and "permitted" or nil, r.rules.R6, cell)
        assert.is_false(r.violation, cell)
      end
    end
  end)
end)

describe("whatever way a request takes,", function()
  for name, proxy in pairs {
    ["asked connections"] = { verify = "options" },
    ["asked spare connections"] = { verify = "options", spares = 2 },
    ["connections opened ahead"] = { spares = 2 },
    ["connections that nobody looked at"] = { verify = "none" },
    ["fresh connections for what is unsafe"] = { probe_unsafe = "fresh" },
    ["bodies that wait for a 100"] = { probe_unsafe = "expect" },
    ["clients that are not kept"] = { persist_client = "false" },
  } do
    it("no cell shows a violation or advice: " .. name, function()
      local n, n_held = 0, 0
      for cell, r in pairs(play { proxy = proxy, shard = "1/7" }) do
        n = n + 1
        if cell:find("held:verifying", 1, true) and r.state == "ok" then n_held = n_held + 1 end
        assert.is_false(r.violation or r.advice, cell)
      end
      assert.is_true(n > 600, n)
      if name == "asked connections" then assert.is_true(n_held > 0) end
    end)
  end
end)

describe("--reuse never", function()
  it("misses every race on a reused connection, and says so", function()
    local rows = play { proxy = { reuse = "never" }, request = "get", connection = "reused", point = "arrival",
                        ending = "rst", second = "none" }
    for cell, r in pairs(rows) do
      assert.is_false(r.violation or r.advice, cell)
      assert.equal("the request rode a fresh connection", r.why, cell)
      assert.equal("not reached", r.state, cell)
    end
  end)
end)

describe("a matrix", function()
  it("gives the same rows in the same order, however many work at it", function()
    local options = { request = { "get", "post-small" }, ending = { "fin", "rst" } }
    local expected
    for _, jobs in ipairs { 1, 2, 3 } do
      options.jobs = jobs
      local lines = {}
      for r in race.matrix(options):rows() do lines[#lines + 1] = row.encode(r, "ms") end
      expected = expected or lines
      assert.same(expected, lines)
    end
    assert.is_true(#expected > 100)
  end)

  it("has shares that are the whole, row by row", function()
    local options = { request = "put", ending = "rst", jobs = 1 }
    local whole, n = {}, 0
    for r in race.matrix(options):rows() do whole[r.n] = row.encode(r, "ms") end
    for share = 1, 3 do
      options.shard = share .. "/3"
      for r in race.matrix(options):rows() do
        assert.equal(whole[r.n], row.encode(r, "ms"))
        n = n + 1
      end
    end
    assert.equal(#whole, n)
  end)

  it("samples its full self without a violation", function()
    local _, list = play { full = true, shard = "5/9001" }
    local n = 0
    for _, r in ipairs(list) do
      assert.is_false(r.violation or r.advice, r.cell)
      if r.state == "not reached" then
        assert.equal("there was no second attempt", r.why, r.cell)
      elseif r.state ~= "skipped" then
        assert.equal("ok", r.state, r.cell)
        n = n + 1
      end
    end
    assert.is_true(n > 300, n)
  end)

  it("does not vary when a cell is played again", function()
    local _, list = play { request = { "get", "post-chunked" }, ending = { "fin", "rst", "half" }, times = 5 }
    for _, r in ipairs(list) do assert.equal("ok", r.state, r.why) end
  end)

  it("finds the orders that are not chosen by default, too", function()
    local rows = play { request = { "get", "post-small" }, connection = "reused", point = "idle",
                        ending = { "fin", "rst", "408+fin" },
                        order = { "close-first", "request-first", "held:choosing#1" } }
    local n = 0
    for cell, r in pairs(rows) do
      assert.equal("clean", r.verdict, cell)            -- the last look finds the end
      n = n + 1
    end
    assert.equal(2 * 3 * 3, n)
  end)

  it("goes on behind a cell that fails, and counts it", function()
    local stages = require "closerace.matrix.stage"
    local open = stages.open
    finally(function() stages.open = open end)
    function stages.open(options)
      local stage = open(options)
      function stage:play(cell)
        if cell.ending.name == "rst" then error("nothing can happen", 0) end
        return getmetatable(self).play(self, cell)
      end
      return stage
    end
    local states = {}
    for r in race.matrix({ request = "get", connection = "reused", point = "arrival", ending = "fin,rst,half",
                           order = "crossing", second = "none" }):rows() do
      states[r.ending] = r.state .. (r.why and ": " .. r.why or "")
    end
    assert.same({ fin = "ok", rst = "failed: nothing can happen", half = "ok" }, states)
  end)

  it("leaves no process behind, and says what killed a worker", function()
    local worker = require("closerace.core").worker(function() os.execute "kill -9 $PPID" end)
    assert.is_nil(worker:read())
    assert.same({ "signal", 9 }, { worker:status() })
    local failed = require("closerace.core").worker(function() error("no stage", 0) end)
    assert.equal("!no stage", failed:read())
    assert.is_nil(failed:read())
    assert.same({ "exit", 1 }, { failed:status() })
  end)
end)

describe("a row", function()
  local _, list = play { request = "get", connection = "reused", point = "request_byte", ending = "rst",
                         second = "none", order = "caused" }

  it("is the same when it was written and read", function()
    for _, r in ipairs(list) do
      r.ms = nil
      assert.same(r, row.decode(row.encode(r)))
    end
  end)

  it("tells its offset as a number", function()
    assert.same({ 1, list[2].at, list[2].at * 2 + (list[3].at + 1) % 2 - 1 }, { list[1].at, list[2].at, list[3].at })
  end)

  it("is refused where it is none", function()
    for line, why in pairs { ["{"] = "no JSON", ["[1]"] = "no row", ["{}"] = "no row", ["3"] = "no row" } do
      local r, wrong = row.decode(line)
      assert.is_nil(r)
      assert.truthy(wrong:find(why, 1, true), wrong)
    end
  end)
end)
