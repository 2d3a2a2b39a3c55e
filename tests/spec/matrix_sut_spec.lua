--- The matrix against programs that are installed, HAProxy and Perlbal first of all, and some that are not well.
--
-- tests/spec/baselines/ is what was saved with the versions below.  To renew it, for each SYSTEM and FILE of these and
-- with WANTED as it stands there:
--   build/closerace matrix --sut SYSTEM WANTED --save tests/spec/baselines/FILE
-- and look at what `git diff` shows: each changed line is a program that behaves otherwise, or a tool that says so.
local race = require "closerace"
local row = require "closerace.matrix.row"
local shell = require "shell"
local stages = require "closerace.matrix.stage"
local systems = require "closerace.system"

local closerace = shell.program "closerace"

-- No `vanish`: most of its cells wait for the program's own timeouts, which on a busy machine go by too soon.
local WANTED = "--request get,post-small --ending fin,rst,half,408+fin --second none --response cl"
local baselines = {
  { system = "haproxy:empty", version = "2.6.12", file = "haproxy.jsonl" },
  { system = "perlbal", version = "1.80", file = "perlbal.jsonl" },
}

-- A few cells that no system here takes any time for.
local FEW = "--request get,post-small --connection reused --point idle,response_byte --ending rst"
  .. " --order settled,caused --second none --response cl"

local function matrix(arguments, environment)
  return shell.run(("%s %s matrix -q %s"):format(environment or "", closerace, arguments))
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

local function slurp(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

--- Rows from JSON Lines: a list; and those of each system, by cell.
local function rows_of(text)
  local list, by_system = {}, {}
  for line in text:gmatch "[^\n]+" do
    local r = assert(row.decode(line))
    by_system[r.system] = by_system[r.system] or {}
    assert.is_nil(by_system[r.system][r.cell], r.cell)
    by_system[r.system][r.cell], list[#list + 1] = r, r
  end
  return list, by_system
end

--- Those of these rows for which it is true; there must be some.
local function rows_where(rows, is_wanted)
  local list = {}
  for _, r in pairs(rows) do
    if is_wanted(r) then list[#list + 1] = r end
  end
  assert.is_true(#list > 0, "there is no such cell")
  return list
end

local function count(map)
  local n = 0
  for _ in pairs(map) do n = n + 1 end
  return n
end

--- The lines of a text that have a part.
local function lines_with(text, part)
  local lines = {}
  for line in text:gmatch "[^\n]+\n" do
    if line:find(part, 1, true) then lines[#lines + 1] = line end
  end
  return table.concat(lines)
end

--- What each cell came to, without the time it took.
local function without_ms(text)
  return (text:gsub('"ms":[%d.]+', '"ms":0'):gsub('"ms":null', '"ms":0'))
end

--- Why none of these can be tested here; nil where all can.
local function lack(...)
  for _, name in ipairs { ... } do
    local can, why = race.has(name)
    if not can then return why end
  end
end

--- A proxy of tests/spec/programs, as a --proxy-cmd; the shell that runs closerace takes it as a word.
local function proxy_cmd(how, before)
  return shell.quoted(("%sperl %s/tests/spec/programs/proxy.pl %s $LISTEN $BACKEND"):format(
    before or "", shell.checkout, how))
end

local function driver_file(folder, name, program, argv)
  return shell.write(("%s/%s.lua"):format(folder, name),
    ("return { program = %q, package = 'nowhere', argv = { %s } }"):format(program, argv))
end

-- ------------------------------------------------------------------------------ two at a time --

describe("HAProxy and Perlbal", function()
  local folder, result, rows, of, names, saved
  lazy_setup(function()
    if lack("haproxy", "perlbal") then return end
    folder = shell.folder()
    result = matrix(("--sut haproxy:empty,perlbal %s --format jsonl -o %s/rows --save %s/saved"):format(
      WANTED, folder, folder))
    rows, of = rows_of(slurp(folder .. "/rows"))
    saved = slurp(folder .. "/saved")
    names = { "haproxy:retry-on=conn-and-empty", "perlbal" }
  end)
  lazy_teardown(shell.clean)

  --- `it`, where they are there.
  local function it_can(sentence, test)
    local why = lack("haproxy", "perlbal")
    if why then pending(sentence .. " (" .. why .. ")") else it(sentence, test) end
  end

  it_can("give their rows one after the other, with the same cells", function()
    assert.equal(1, result.status, result.stderr)
    local seen = {}
    for i, r in ipairs(rows) do
      assert.equal(i == 1 and names[1] or rows[i - 1].system ~= r.system and names[2] or rows[i - 1].system, r.system)
      seen[#seen + 1] = r.system ~= (rows[i - 1] or {}).system and r.system or nil
      assert.equal(#rows // 2, r.of)
    end
    assert.same(names, seen)
    for cell in pairs(of[names[1]]) do assert.is_table(of[names[2]][cell], cell) end
    assert.equal(count(of[names[1]]), count(of[names[2]]))
  end)

  for _, one in ipairs(baselines) do
    it_can(("do what they did: %s, as in %s"):format(one.system, one.file), function()
      local version = systems.version(systems.driven(one.system))
      if version ~= one.version then
        return pending(("it is %s here, and the baseline is of %s"):format(tostring(version), one.version))
      end
      local path = "tests/spec/baselines/" .. one.file
      local diff = shell.run(("%s diff %s %s/saved"):format(closerace, path, folder))
      assert.equal(0, diff.status, diff.stdout)
      has(diff.stdout, ("0 worse, 0 better, 0 avoided, 0 changed otherwise, 0 gone, %d new, %d the same"):format(
        #rows // 2, #rows // 2))
      local name = systems.driven(one.system).name
      assert.equal(slurp(path), lines_with(saved, ('"system":"%s"'):format(name)))
    end)
  end

  it_can("are told a reason for each cell whose race did not take place", function()
    for _, r in ipairs(rows) do
      assert.truthy(r.state == "ok" or r.state == "advice" or r.state == "broken" or r.state == "not reached", r.state)
    end
    for _, r in ipairs(rows_where(rows, function(r) return r.state == "not reached" end)) do
      assert.truthy(r.why and #r.why > 0, r.cell)
    end
  end)

  it_can("see an orderly end before the next request", function()
    for _, r in ipairs(rows_where(rows, function(r) return r.order == "settled" and r.ending == "fin" end)) do
      assert.equal("clean, 1 executed, next clean", ("%s, %d executed, next %s"):format(r.verdict, r.executed, r.next))
    end
  end)

  it_can("differ, and diff and merge keep them apart", function()
    local text = slurp(folder .. "/rows")
    -- One row of Perlbal gets worse; HAProxy has the same cell.
    local cell = rows_where(of.perlbal, function(r) return r.state == "ok" and r.verdict == "clean" end)[1].cell
    local changed = {}
    for line in text:gmatch "[^\n]+" do
      local r = row.decode(line)
      if r.system == "perlbal" and r.cell == cell then r.verdict = "hung" end
      changed[#changed + 1] = row.encode(r)
    end
    shell.write(folder .. "/changed", table.concat(changed, "\n") .. "\n")
    local diff = shell.run(("%s diff %s/rows %s/changed"):format(closerace, folder, folder))
    assert.equal(1, diff.status)
    has(diff.stdout, ("worse    perlbal: %s\n         clean, "):format(cell))
    has(diff.stdout, ("1 worse, 0 better, 0 avoided, 0 changed otherwise, 0 gone, 0 new, %d the same\n"):format(
      #rows - 1))

    shell.write(folder .. "/alone", lines_with(text, '"system":"perlbal"'))
    diff = shell.run(("%s diff -q %s/rows %s/alone"):format(closerace, folder, folder))
    assert.equal(1, diff.status)
    has(diff.stdout, ("0 changed otherwise, %d gone, 0 new, %d the same"):format(#rows // 2, #rows // 2))
    assert.equal(0, shell.run(("%s diff -q --common %s/rows %s/alone"):format(closerace, folder, folder)).status)

    local merged = shell.run(("%s merge --format jsonl %s/changed %s/rows"):format(closerace, folder, folder))
    local varied = lines_with(merged.stdout, '"state":"varied"')
    assert.equal(1, merged.status)
    has(varied, cell)
    has(varied, '"system":"perlbal"')
    assert.equal(1, select(2, varied:gsub("\n", "")))
  end)

  it_can("are put together again from shares, and one that is missing is told", function()
    for i = 1, 2 do
      matrix(("--sut haproxy,perlbal %s --shard %d/2 --format jsonl -o %s/share%d"):format(FEW, i, folder, i))
    end
    local whole = matrix(("--sut haproxy,perlbal %s --format jsonl"):format(FEW)).stdout
    -- The order of the files is not that of the cells.
    local merged = shell.run(("%s merge --format jsonl %s/share2 %s/share1"):format(closerace, folder, folder))
    assert.equal(without_ms(whole), without_ms(merged.stdout))
    assert.equal("", merged.stderr)
    local n = #rows_of(whole)
    merged = shell.run(("%s merge %s/share2"):format(closerace, folder))
    assert.equal(1, merged.status)
    has(merged.stderr, ("%d of %d cells are missing"):format(n // 2, n))
    has(merged.stdout, "cells played against haproxy, perlbal: ")
  end)
end)

-- ------------------------------------------------------------------- whatever the version --

describe("a POST", function()
  local of
  local why = lack("haproxy", "nginx")
  lazy_setup(function()
    if why then return end
    of = select(2, rows_of(matrix("--sut haproxy:none,haproxy:always,haproxy:always-all-errors,nginx:two-non-idempotent"
      .. " --request post-small --point idle,arrival,request_byte,request_end,executed,response_byte --ending fin,rst"
      .. " --second none --response cl --format jsonl").stdout))
  end)

  local function it_can(sentence, test)
    if why then pending(sentence .. " (" .. why .. ")") else it(sentence, test) end
  end

  it_can("is never met twice behind an HAProxy that repeats nothing", function()
    local rows = assert(of["haproxy:retry-on=none"])
    assert.is_true(count(rows) > 50)
    for cell, r in pairs(rows) do
      assert.is_true(r.attempts <= 1, cell)
      assert.is_true(r.next_attempts <= 1, cell)
      assert.is_nil(r.rules.R2, cell)
      assert.is_nil(r.next_rules.R2, cell)
    end
  end)

  for name, system in pairs {
    ["an HAProxy that repeats whatever it can"] = "haproxy:http-reuse=always:retry-on=all-retryable-errors",
    ["an nginx that is told to repeat what is not idempotent"] = "nginx:next-upstream=non_idempotent:servers=two",
  } do
    it_can(("is met, and run, twice behind %s, which breaks R2"):format(name), function()
      local rows = assert(of[system])
      for _, r in ipairs(rows_where(rows, function(r) return r.point == "executed" end)) do
        assert.same({ verdict = "twice", attempts = 2, told = "200", rule = "R2", state = "broken" },
          { verdict = r.verdict, attempts = r.attempts, told = r.told, rule = r.rule, state = r.state }, r.cell)
      end
      -- What never ran is met twice, too; and nothing is that ended before the request came.
      for _, r in ipairs(rows_where(rows, function(r) return r.point == "arrival" end)) do
        assert.equal("clean 2 R2", ("%s %d %s"):format(r.verdict, r.attempts, r.rule), r.cell)
      end
      for _, r in ipairs(rows_where(rows, function(r) return r.order == "settled" end)) do
        assert.equal("clean 1 nil", ("%s %d %s"):format(r.verdict, r.attempts, tostring(r.rule)), r.cell)
      end
    end)
  end

  it_can("that was lost is told to HAProxy's client by 502 on its first request, by a close on a later one", function()
    for cell, r in pairs(of["haproxy:http-reuse=always"]) do
      if r.order == "crossing" then
        assert.equal("ok, refused " .. (r.client == "first" and "502" or "closed"),
          ("%s, %s %s"):format(r.state, r.verdict, r.told), cell)
      end
    end
    for _, client in ipairs { "first", "later" } do
      for _, connection in ipairs { "fresh", "reused" } do
        rows_where(of["haproxy:http-reuse=always"], function(r)
          return r.order == "crossing" and r.client == client and r.connection == connection
        end)
      end
    end
  end)
end)

describe("a program that does not do the same every time", function()
  local ONE = " --request get --point idle --ending fin --second none --client later --format jsonl --order "

  it("has cells that are undecided, where nothing but the order of two things decides", function()
    local result = matrix("--proxy-cmd " .. proxy_cmd "fickle" .. ONE .. "close-first")
    local r = rows_of(result.stdout)[1]
    assert.equal("undecided", r.state)
    assert.equal("4 times clean, told 200, attempts 1; 4 times refused, told 503, attempts 0", r.why)
    assert.equal(0, result.status)
  end)

  it("has varied, with --repeat, where it should not", function()
    local result = matrix("--repeat 3 --proxy-cmd " .. proxy_cmd "fickle" .. ONE .. "settled")
    local r = rows_of(result.stdout)[1]
    assert.equal("varied", r.state)
    has(r.why, "at first: verdict refused, told 503")
    has(r.why, "; the 2. time: verdict clean, told 200")
    assert.equal(1, result.status)
  end)
end)

describe("however often, and by however many processes, they are played,", function()
  local function are_certain(rows)
    for _, r in ipairs(rows) do
      assert.truthy(r.state ~= "varied" and r.state ~= "undecided" and r.state ~= "failed",
        ("%s: %s: %s"):format(r.system, r.cell, r.why))
    end
  end

  local CELLS = "--sut haproxy,perlbal --request get,post-small --point idle,response_byte,response_head,response_end"
    .. " --ending rst --second none --response cl --format jsonl"

  it("HAProxy's and Perlbal's cells come to the same", function()
    local why = lack("haproxy", "perlbal")
    if why then return pending(why) end
    local many = matrix(CELLS .. " --repeat 3").stdout
    local rows = rows_of(many)
    assert.is_true(#rows > 80)
    are_certain(rows)
    assert.equal(without_ms(many), without_ms(matrix(CELLS .. " -j 2").stdout))
  end)

  it("the cells of a program that connects in advance, and looks at no idle connection, come to the same", function()
    local why = lack "perlbal"
    if why then return pending(why) end
    local cells = "--sut perlbal:verify-ahead --request get --point idle,response_end"
      .. " --ending plain,vanish --second none --response cl --format jsonl"
    local one = matrix(cells).stdout
    local rows = rows_of(one)
    assert.is_true(#rows > 15)
    are_certain(rows)
    assert.equal(without_ms(one), without_ms(matrix(cells .. " -j 2").stdout))
  end)
end)

describe("a program whose own question is not answered", function()
  it("is started anew behind that cell, and behind no other", function()
    local why = lack "perlbal"
    if why then return pending(why) end
    local wanted = race.matrix {
      sut = "perlbal:verify", request = "get", connection = "fresh", point = "accept", ending = "fin,stall",
      second = "none", response = "cl", client = "first",
    }
    local stage <close> = stages.open { system = wanted.system }
    local found, pid = {}, stage.target.pid
    for _, cell in wanted.plan:cells() do
      stage:play(cell)
      found[#found + 1] = ("%s %s"):format(cell.ending.name, stage.target.pid == pid and "same" or "another")
      pid = stage.target.pid
    end
    local _, first = wanted.plan:cells()()
    stage:play(first)
    assert.same({ "fin same", "stall same" }, found)
    assert.are_not.equal(pid, stage.target.pid)
  end)
end)

describe("a program that has a cell in hand still, on which its stage gave up,", function()
  local function told_of(cells)
    local rows = rows_of(matrix("--proxy-cmd " .. proxy_cmd "late" .. " --connection reused --ending fin --second none"
      .. " --response cl --client later --point idle --format jsonl " .. cells).stdout)
    local told = {}
    for _, r in ipairs(rows) do
      if r.order == "close-first" then told[#told + 1] = ("%s %s %s"):format(r.request, r.state, r.told) end
    end
    table.sort(told)
    return told
  end

  it("is not the one for what only the order of two things decides", function()
    assert.same({ "get not reached 200" }, told_of "--request get --order settled,close-first")
  end)

  it("is started anew where it was", function()
    assert.same({ "get not reached 200", "post-small not reached 200" },
      told_of "--request get,post-small --order close-first")
  end)
end)

-- -------------------------------------------------------------------------------- trouble --

describe("a program that is not well", function()
  after_each(shell.clean)

  --- Nothing can be played with it: it is told so, in these words, and nothing else is written.
  local function is_told(command, words, status)
    local result = matrix("--request get --format jsonl --proxy-cmd " .. command)
    assert.equal("", result.stdout)
    has(result.stderr, words)
    has(result.stderr, "closerace matrix: '")
    assert.equal(status or 1, result.status)
  end

  it("and ends at once, is told with what it said", function()
    is_told(shell.quoted "false $LISTEN $BACKEND", "but it ended; it said: nothing")
    is_told(shell.quoted [[sh -c 'echo "no cow at $0" >&2; exit 3' $LISTEN $BACKEND]],
      "but it ended; it said: no cow at 127.0.0.1:")
  end)

  it("and is not there, is told so", function()
    is_told(shell.quoted "/no/such/program $LISTEN $BACKEND", "/no/such/program: not found", 2)
  end)

  it("and never listens, is told so as soon as it rests", function()
    is_told(shell.quoted [[sh -c 'echo I will not; sleep 100000; :' $LISTEN $BACKEND]],
      "but it waits and does not listen there; it said: I will not")
  end)

  it("and never answers, is told so", function()
    is_told(proxy_cmd "mute", "answers GET /warm with timeout")
  end)

  it("and never comes to rest, is told so", function()
    is_told(proxy_cmd "busy", "is busy and does not come to rest")
  end)

  it("and answers everything with an error of its own, is told so", function()
    is_told(proxy_cmd "error", "$LISTEN $BACKEND' answers GET /warm with 500")
  end)

  -- Its races: at the first two points a POST gets no answer, and it dies; at the last one it lives.
  local MORTAL = " --request get,post-small --connection fresh --client first --second none --response cl"
    .. " --point request_end,executed,response_end --ending "

  it("and dies of a race, fails that cell in its own words, and is started again for the others", function()
    local result = matrix("--format jsonl --proxy-cmd " .. proxy_cmd "mortal" .. MORTAL .. "fin")
    assert.equal(1, result.status)
    local found = {}
    for _, r in ipairs(rows_of(result.stdout)) do
      found[#found + 1] = ("%s %s %s"):format(r.request, r.point, r.verdict or r.state)
      if r.state == "failed" then
        has(r.why, "ended by itself (exit ")
        has(r.why, "it said: a POST without an answer is my end")
      end
    end
    assert.same({
      "get request_end refused", "get executed ghost", "get response_end clean",
      "post-small request_end failed", "post-small executed failed", "post-small response_end clean",
    }, found)
  end)

  it("and dies again and again, is started again each time; its other cells are played", function()
    local folder = shell.folder()
    local counted = ("sh -c 'echo >>%s/starts; exec \"$@\"' sh "):format(folder)
    local result = matrix(("--format jsonl --proxy-cmd %s%sfin,rst,half,plain"):format(
      proxy_cmd("mortal", counted), MORTAL))
    assert.equal(1, result.status)
    local rows = rows_of(result.stdout)
    assert.equal(rows[1].of, #rows)
    local n_failed = 0
    for _, r in ipairs(rows) do
      local kills = r.request == "post-small" and r.point ~= "response_end"
      assert.equal(kills, r.state == "failed", r.cell)
      n_failed = n_failed + (kills and 1 or 0)
    end
    -- One start for the plan, one for the first cell, and one behind each death.
    assert.equal(2 + n_failed, #slurp(folder .. "/starts"))
  end)

  it("and does not start again, is given up after three times; its rows are all there", function()
    local folder = shell.folder()
    local once = ("sh -c 'echo >>%s/starts; [ $(wc -l <%s/starts) -lt 3 ] || { echo no more; exit 1; }; "
      .. "exec \"$@\"' sh "):format(folder, folder)
    local result = matrix(("--format jsonl --proxy-cmd %s%sfin,rst,half,plain"):format(
      proxy_cmd("mortal", once), MORTAL))
    assert.equal(1, result.status)
    local rows = rows_of(result.stdout)
    assert.equal(rows[1].of, #rows)
    assert.equal("failed", rows[#rows].state)
    has(rows[#rows].why, "no more")
    -- It starts for the plan and for the first cells; then it dies, and three times it does not.
    assert.equal(2 + 3, #slurp(folder .. "/starts"))
  end)
end)

describe("beside others, a program", function()
  local folder
  before_each(function() folder = shell.folder() end)
  after_each(shell.clean)

  it("that cannot start is told, and the others are played", function()
    local why = lack "haproxy"
    if why then return pending(why) end
    local bad = driver_file(folder, "bad", "sh", [["sh", "-c", "echo no cow; exit 3", "$LISTEN", "$BACKEND"]])
    for _, list in ipairs { bad .. ",haproxy", "haproxy," .. bad } do
      local result = matrix(("--sut %s %s --format jsonl"):format(list, FEW))
      assert.equal(1, result.status)
      has(result.stderr, "closerace matrix: " .. bad .. ": ")
      has(result.stderr, "it said: no cow")
      local rows = rows_of(result.stdout)
      assert.equal(rows[1].of, #rows)
      for _, r in ipairs(rows) do assert.equal("haproxy", r.system) end
    end
  end)

  it("that is not installed is skipped with the reason, and the others are played", function()
    local why = lack "haproxy"
    if why then return pending(why) end
    local absent = driver_file(folder, "absent", "no-such-program", [["$PROGRAM", "$LISTEN", "$BACKEND"]])
    local result = matrix(("--sut %s,haproxy %s --format jsonl"):format(absent, FEW))
    assert.equal(0, result.status, result.stdout)
    assert.equal(("closerace matrix: %s: skipped: no-such-program is not installed (Debian: nowhere)\n"):format(absent),
      result.stderr)
    assert.is_true(#rows_of(result.stdout) > 0)
  end)

  it("that is not installed is all there is to say, where there is no other", function()
    local absent = driver_file(folder, "absent", "no-such-program", [["$PROGRAM", "$LISTEN", "$BACKEND"]])
    local result = matrix(("--sut %s,%s %s"):format(absent, absent, FEW))
    assert.equal(77, result.status)
    assert.equal("", result.stdout)
    local trial = shell.run(("%s trial get/fresh/arrival/fin/crossing/none/cl --sut %s"):format(closerace, absent))
    assert.equal(77, trial.status)
    has(trial.stderr, "skipped: no-such-program is not installed")
  end)

  it("that refuses a request without any fault is not asked again, with its own answer as the reason", function()
    local why = lack "perlbal"
    if why then return pending(why) end
    local result = matrix("--sut perlbal --request post-chunked --connection fresh --point arrival --ending fin,rst"
      .. " --client first --second none --format jsonl")
    assert.equal(77, result.status)
    for _, r in ipairs(rows_of(result.stdout)) do
      assert.equal("skipped", r.state)
      assert.equal("without any fault, perlbal answers the request post-chunked (cl) with 400", r.why)
    end
  end)
end)

-- ------------------------------------------------------------------------------ what is left --

describe("of closerace, its workers and programs", function()
  local folder
  before_each(function() folder = shell.folder() end)
  after_each(shell.clean)

  --- The processes that were started with this folder for temporary files.
  local function processes()
    local found = shell.run(("grep -lzsxF TMPDIR=%s /proc/[0-9]*/environ"):format(folder))
    local pids = {}
    for pid in found.stdout:gmatch "/proc/(%d+)/" do pids[#pids + 1] = pid end
    return pids
  end

  local function nothing_is_left()
    assert.same({}, processes())
    assert.same({}, shell.names(folder))
  end

  --- Wait for the end of each of these; a pidfd tells it.
  local WAIT = [[perl -e 'for (@ARGV) { my $fd = syscall(434, $_ + 0, 0); next if $fd < 0; ]]
    .. [[vec(my $set = "", $fd, 1) = 1; select($set, undef, undef, 60) or die "$_ does not end\n" }' ]]

  --- Start a long run in that folder, and wait for its first row.  It goes on as long as nobody reads on.
  local function in_mid_run(arguments)
    local process = shell.start(("env TMPDIR=%s %s matrix -q --format jsonl %s"):format(folder, closerace, arguments))
    process:read_until '"cell"'
    -- closerace, its workers, wardens and programs, each with a folder.
    assert.is_true(#processes() > 3)
    assert.is_true(#shell.names(folder) > 0)
    return process
  end

  it("nothing is left when all went well", function()
    local why = lack("haproxy", "perlbal")
    if why then return pending(why) end
    assert.equal(0, matrix("-j 2 --sut haproxy,perlbal --request get --point idle --ending fin --order settled",
      "TMPDIR=" .. folder).status)
    nothing_is_left()
  end)

  it("nothing is left when a program did not start, never listened, or died", function()
    for _, command in ipairs {
      shell.quoted "false $LISTEN $BACKEND", proxy_cmd "error", proxy_cmd "mortal",
      shell.quoted [[sh -c 'setsid sleep 100000 & sleep 100000; :' $LISTEN $BACKEND]],
    } do
      assert.equal(1, matrix("--request post-small --connection fresh --point executed --ending fin --client first"
        .. " --second none --proxy-cmd " .. command, "TMPDIR=" .. folder).status)
      nothing_is_left()
    end
  end)

  it("nothing is left after Ctrl-C, which ends it with 130", function()
    local why = lack "haproxy"
    if why then return pending(why) end
    for _, how in ipairs { "-j 1 --sut haproxy", "-j 2 --sut haproxy", "--proxy-cmd " .. proxy_cmd "relay" } do
      local process = in_mid_run(how)
      process:signal "INT"
      assert.equal(130, process:wait(), process.output)
      has(process.output, "closerace matrix: interrupted\n")
      nothing_is_left()
    end
  end)

  it("nothing is left after Ctrl-C while a program starts", function()
    local elsewhere = shell.folder()
    assert(os.execute(("mkfifo %s/started"):format(elsewhere)))
    local command = ("sh -c 'echo >%s/started; exec sleep 100000' $LISTEN $BACKEND"):format(elsewhere)
    local process = shell.start(("env TMPDIR=%s %s matrix --proxy-cmd %s"):format(
      folder, closerace, shell.quoted(command)))
    assert(io.open(elsewhere .. "/started")):close()      -- waits until it is opened there, too
    process:signal "INT"
    assert.equal(130, process:wait())
    assert.equal("closerace matrix: interrupted\n", process.output)
    nothing_is_left()
  end)

  it("nothing is left after SIGKILL, as soon as those have ended who see to that", function()
    local why = lack "haproxy"
    if why then return pending(why) end
    local process = in_mid_run "-j 2 --sut haproxy"
    process:signal "KILL"
    local pids = processes()
    while #pids > 0 do
      local waited = shell.run(WAIT .. table.concat(pids, " "))
      assert.equal("", waited.stderr)
      pids = processes()
    end
    assert.equal(128 + 9, process:wait())
    nothing_is_left()
  end)
end)

-- -------------------------------------------------------------------------------- for people --

describe("for people,", function()
  local why = lack("haproxy", "perlbal")

  local function it_can(sentence, test)
    if why then pending(sentence .. " (" .. why .. ")") else it(sentence, test) end
  end

  it_can("--compare has a line a cell and a column a system; --differences leaves out what is alike", function()
    -- HAProxy tells the client of a lost request, Perlbal forgets it.
    local cells = "--sut haproxy,perlbal --request get,post-small --connection reused --point idle,arrival --ending rst"
      .. " --order settled,crossing --second none --response cl --client later"
    local all = matrix(cells .. " --compare")
    assert.equal(1, all.status)
    assert.truthy(all.stdout:find "^A  haproxy\nB  perlbal\n\ncell +A +B\n", all.stdout)
    assert.truthy(all.stdout:find "\nget/reused/idle/rst/settled/none/cl +clean +clean\n", all.stdout)
    assert.truthy(all.stdout:find "\nget/reused/arrival/rst/crossing/none/cl +refused closed%? +hung!\n", all.stdout)
    assert.truthy(all.stdout:find "\npost%-small/reused/arrival/rst/crossing/none/cl +refused closed +hung!\n")
    assert.truthy(all.stdout:find "\n4 of 4 cells; 2 violations, 2 advice; [%d.]+ s\n$", all.stdout)
    assert.is_nil(all.stdout:find "\27")

    local some = matrix(cells .. " --compare --differences").stdout
    local expected = {}
    for line in all.stdout:gmatch "[^\n]*\n" do
      if not line:find "/settled/" then expected[#expected + 1] = line end
    end
    local function comparable(text) return text:gsub(" +", " "):gsub("\n%d of [^\n]*\n$", "\n") end
    assert.equal(comparable(table.concat(expected)), comparable(some))
    has(some, "2 of 4 cells differ; 2 violations, 2 advice; ")
  end)

  it_can("one cell is shown by trial, from the client to the backend, with the row of the matrix", function()
    local cell = "post-small/reused/executed/rst/caused/none/cl"
    local trial = shell.run(("%s trial --sut haproxy:empty %s"):format(closerace, cell))
    assert.equal(1, trial.status)
    assert.truthy(trial.stdout:find("^" .. cell:gsub("%p", "%%%0") .. "\n"), trial.stdout)
    for _, part in ipairs {
      " ms  client   client 1", " ms  backend  conn 1      ended", "R2       violation: ",
      "verdict  twice: executed 2, 2 attempts on 2 connections, the client was told 200",
    } do
      has(trial.stdout, part)
    end
    local as_row = shell.run(("%s trial --json --sut haproxy:empty %s"):format(closerace, cell)).stdout
    local rows = rows_of(matrix("--sut haproxy:empty --request post-small --connection reused --point executed"
      .. " --ending rst --second none --response cl --client later --format jsonl").stdout)
    local one = rows_of(as_row)[1]
    assert.equal(1, #rows)
    for _, name in ipairs(row.fields) do
      if name ~= "ms" and name ~= "n" and name ~= "of" then assert.same(rows[1][name], one[name], name) end
    end
  end)

  it_can("the commands that play a cell again do so as they stand there, in a shell", function()
    finally(shell.clean)
    local folder = shell.folder() .. "/my drivers"
    assert(os.execute("mkdir " .. shell.quoted(folder)))
    local own = shell.write(folder .. "/own.lua", 'return require "closerace.sut.haproxy"')
    local PATH = ("PATH=%s:$PATH; "):format(shell.quoted(shell.build))
    for how, with in pairs {
      ["--sut haproxy:empty"] = "--sut haproxy:retry-on=conn-and-empty",
      ["--sut " .. shell.quoted(own .. ":empty")] = "--sut " .. shell.quoted(own .. ":retry-on=conn-and-empty"),
      ["--proxy-cmd " .. proxy_cmd("relay", "env A='b c' ")] = "--proxy-cmd " .. proxy_cmd("relay", "env A='b c' "),
    } do
      local result = matrix(how .. " --strict --request get,post-small --connection fresh --client first"
        .. " --point request_end,executed --ending fin --second none --response cl")
      assert.equal(1, result.status, result.stderr)
      local n = 0
      for command, outcome in result.stdout:gmatch "\n  (closerace trial [^\n]-)%s+# ([^\n]+)" do
        n = n + 1
        assert.equal(with, command:match "^closerace trial %S+ (.*)$")
        local trial = shell.run(PATH .. command)
        assert.equal("", trial.stderr)
        local verdict, told = outcome:match "^(%w+), told (%w+), "
        has(trial.stdout, "verdict  " .. verdict .. ": ")
        has(trial.stdout:gsub("\n +", " "), "the client was told " .. told .. "\n")
      end
      assert.equal(2, n, result.stdout)
    end
  end)
end)
