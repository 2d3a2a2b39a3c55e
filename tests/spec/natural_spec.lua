--- Natural races.  How often one comes about is nature's business; that it is counted right is ours.
local cjson = require "cjson"
local natural = require "closerace.natural"
local race = require "closerace"
local shell = require "shell"

local closerace = shell.program "closerace"

local function run(arguments)
  return shell.run(("%s natural -q %s"):format(closerace, arguments))
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

local function rows_of(text)
  local rows = {}
  for line in text:gmatch "[^\n]+" do rows[#rows + 1] = cjson.decode(line) end
  return rows
end

local function sum(map)
  local n = 0
  for _, value in pairs(map) do n = n + value end
  return n
end

local function series()
  return natural.series { system = "s", request = "get", close_after_ms = 0.5, seed = 1 }
end

--- What a trial comes to, where nothing was special about it but this.
local function facts(more)
  local all = {
    verdict = "clean", told = "200", is_success = true, raced = false, crossed = false, unseen = false, sendings = 1,
    executed = 1,
  }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

describe("the interval of a rate", function()
  it("is Wilson's, as Newcombe's table I has it", function()
    for _, known in ipairs {
      { 81, 263, 0.2553, 0.3662 }, { 15, 148, 0.0624, 0.1605 }, { 0, 20, 0.0000, 0.1611 }, { 1, 29, 0.0061, 0.1718 },
    } do
      local low, high = natural.wilson(known[1], known[2])
      assert.equal(("%.4f %.4f"):format(known[3], known[4]), ("%.4f %.4f"):format(low, high))
    end
  end)

  it("ends at 0 and 1 exactly, and says nothing where nothing was tried", function()
    assert.equal(0.0, (natural.wilson(0, 1000)))
    assert.equal(1.0, (select(2, natural.wilson(1000, 1000))))
    assert.same({ 0.0, 1.0 }, { natural.wilson(0, 0) })
  end)
end)

describe("chance", function()
  it("is decided by its seed alone, as SplitMix64 has it", function()
    -- The first outputs for the seed 1234567 that its authors' C gives; a number is the upper 53 bits.
    local chance = natural.chance(1234567)
    for _, output in ipairs { 6457827717110365317, 3203168211198807973 } do
      assert.equal((output >> 11) * 2.0 ^ -53, chance())
    end
  end)
end)

describe("a series", function()
  it("counts trials by verdict and by what the client was told", function()
    local s = series()
    s:add(facts())
    s:add(facts { verdict = "refused", told = "502", is_success = false, executed = 0, raced = true, crossed = true })
    s:add(facts { raced = true, unseen = true })
    local r = s:row()
    assert.same({ 3, 2, 1, 1 }, { r.trials, r.raced, r.crossed, r.unseen })
    assert.same({ 2, 1, 3 }, { r.verdicts.clean, r.verdicts.refused, sum(r.verdicts) })
    assert.same({ ["200"] = 2, ["502"] = 1 }, r.told)
    assert.same({ 3, 2, 0 }, { r.sendings, r.executed, r.met_twice })
  end)

  it("counts as failed whatever did not give the client its answer", function()
    local s = series()
    for _, verdict in ipairs { "refused", "ghost", "garbled", "hung", "phantom" } do
      s:add(facts { verdict = verdict, is_success = verdict == "phantom" })
    end
    s:add(facts { verdict = "twice", sendings = 2, executed = 2 })
    s:add(facts { verdict = "twice", sendings = 2, executed = 2, is_success = false })
    s:add(facts())
    local r = s:row()
    assert.same({ 8, 6, 0.75, 2 }, { r.trials, r.failed, r.failed_rate, r.met_twice })
    assert.same({ r.failed_low, r.failed_high }, { natural.wilson(6, 8) })
  end)

  it("is a line of JSON that any reader takes, whatever its system is called", function()
    local s = series()
    s.system = "'sh -c \"x\" \\\n'"
    s:add(facts())
    local r = cjson.decode(natural.encode(s:row()))
    for _, name in ipairs(natural.fields) do assert.is_not_nil(r[name], name) end
    assert.equal(s.system, r.system)
    assert.same({ ["200"] = 1 }, r.told)
    assert.equal(8, #natural.verdicts)
    for _, name in ipairs(natural.verdicts) do assert.equal(name == "clean" and 1 or 0, r.verdicts[name]) end
  end)
end)

--- What holds of every row, whatever happened.
local function check(r, trials)
  assert.equal(trials, r.trials)
  assert.equal(trials, sum(r.verdicts))
  assert.equal(trials, sum(r.told))
  -- An idle connection is closed before any of a request was read: it is never executed there.
  assert.equal(r.executed, r.verdicts.clean + r.verdicts.ghost + 2 * r.verdicts.twice)
  assert.same({ 0, 0, 0 }, { r.verdicts.twice, r.verdicts.garbled, r.verdicts.phantom })
  assert.equal(trials - r.verdicts.clean, r.failed)
  assert.is_true(r.sendings >= r.executed + r.met_twice)
  assert.is_true(r.raced >= r.crossed and r.crossed >= r.met_twice)
  assert.is_true(r.failed_low <= r.failed_rate and r.failed_rate <= r.failed_high)
end

describe("closerace natural", function()
  after_each(shell.clean)

  it("sends no POST twice with our own proxy", function()
    local result = run "--trials 200 --close-after 0.3 --format jsonl"
    assert.equal(0, result.status, result.stderr)
    local rows = rows_of(result.stdout)
    assert.equal(2, #rows)
    for i, request in ipairs { "get", "post-small" } do
      assert.same({ "closerace-proxy", request, 0.3 }, { rows[i].system, rows[i].request, rows[i].close_after_ms })
      check(rows[i], 200)
    end
    assert.equal(0, rows[2].met_twice)
  end)

  it("sends no request twice with a HAProxy that retries nothing", function()
    if not race.has "haproxy" then return pending "haproxy is not installed" end
    local result = run "--sut haproxy:none --trials 200 --close-after 0.3 --format jsonl"
    assert.equal(0, result.status, result.stderr)
    local rows = rows_of(result.stdout)
    assert.equal(2, #rows)
    for _, r in ipairs(rows) do
      check(r, 200)
      assert.equal(0, r.met_twice)
    end
  end)

  it("gives our own proxy its options", function()
    local list = shell.write(shell.folder() .. "/list", "")
    local result = run(("--trials 1 --request get --close-after 1 --reuse never --retry listed --format jsonl "
      .. "--retry-list 'POST /pay' -o %s"):format(list))
    assert.equal(0, result.status, result.stderr)
    assert.equal("", result.stdout)
    local r = rows_of(io.open(list):read "a")[1]
    has(r.system, "closerace-proxy reuse=never retry=listed")
    -- A connection of its own for each request: none that the backend could close under one.
    assert.same({ 0, 0 }, { r.crossed, r.failed })
  end)

  it("says what it does, and shows people a line a series and the seed", function()
    local result = shell.run(closerace .. " natural --trials 3 --close-after 0.2,5 --request get --seed 7")
    assert.equal(0, result.status)
    assert.equal("6 trials against closerace-proxy, seed 7\n", result.stderr)
    assert.truthy(result.stdout:find "^closerace%-proxy\n  request +close after +trials +raced +crossed +failed ")
    assert.truthy(result.stdout:find "\n  get +0%.2 ms +3 ", result.stdout)
    assert.truthy(result.stdout:find "\n  get +5 ms +3 ", result.stdout)
    has(result.stdout, "seed 7; ")
    assert.is_nil(result.stdout:find "\27")
  end)

  it("tells of a system that is not installed, and of one that does not start, and goes on", function()
    local folder = shell.folder()
    local driver = shell.write(folder .. "/none.lua",
      'return { program = "no-such-program", package = "none", argv = { "$PROGRAM" } }')
    local dead = shell.write(folder .. "/dead.lua",
      'return { program = "false", package = "coreutils", argv = { "$PROGRAM", "$LISTEN" } }')
    local alone = run("--sut " .. driver)
    assert.equal(77, alone.status)
    has(alone.stderr, "skipped: no-such-program is not installed (Debian: none)")
    local both = run(("--trials 1 --sut %s,%s"):format(driver, dead))
    assert.equal(1, both.status)
    has(both.stderr, "no-such-program is not installed")
    has(both.stderr, "but it ended")
    assert.equal("", both.stdout)
  end)

  it("has a help, and says what is wrong with an option", function()
    local help = run "--help"
    assert.equal(0, help.status)
    for option in ("trials close-after request seed format output sut proxy-cmd retry"):gmatch "%S+" do
      has(help.stdout, "--" .. option)
    end
    for _, case in ipairs {
      { "--trials 0", "--trials: expected a whole number from 1, got '0'" },
      { "--close-after 0.2,x", "--close-after: expected milliseconds above 0" },
      { "--close-after 0", "--close-after: expected milliseconds above 0" },
      { "--request get,post-expect", "--request: expected one of get, " },
      { "--seed -1", "--seed: expected a whole number from 0" },
      { "--format tap", "--format: expected one of table, jsonl" },
      { "--sut nothing", "--sut: 'nothing' is unknown" },
      { "--sut haproxy --retry never", "exclude one another" },
      { "-o /no/such/file --trials 1", "/no/such/file" },
      { "get", "'get': it takes options only" },
    } do
      local result = run(case[1])
      assert.equal(2, result.status, case[1])
      assert.equal("", result.stdout)
      has(result.stderr, "closerace natural: ")
      has(result.stderr, case[2])
    end
  end)

  it("reports what it has when it is interrupted", function()
    local child = shell.start(closerace .. " natural --trials 100000000 --request get --close-after 0.2,0.5")
    child:read_until "^%d+ trials against "
    child:signal "INT"
    assert.equal(130, child:wait())
    has(child.output, "closerace natural: interrupted\n")
    has(child.output, "; interrupted\n")
  end)
end)
