--- closerace matrix, trial, diff and merge, as they are typed.
local race = require "closerace"
local row = require "closerace.matrix.row"
local shell = require "shell"

local closerace = shell.program "closerace"

-- Some dozen cells, in every state that our proxy can bring about.
local FEW = "--request get,post-small --connection reused --point arrival,response_byte --ending rst,fin --second none"
local VIOLATED = FEW .. " --retry always"

local function matrix(arguments)
  return shell.run(("%s matrix -q %s"):format(closerace, arguments))
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

local function slurp(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local function rows_of(text)
  local rows = {}
  for line in text:gmatch "[^\n]+" do rows[#rows + 1] = assert(row.decode(line)) end
  return rows
end

--- What a filter makes of a text.
local function filter(text, command)
  local path = shell.write(shell.folder() .. "/input", text)
  return shell.run(("cat %s | %s"):format(path, command))
end

describe("closerace matrix", function()
  after_each(shell.clean)

  it("says how many cells there are before, and as many after", function()
    local result = shell.run(("%s matrix %s"):format(closerace, FEW))
    local n = result.stderr:match "^(%d+) cells against closerace%-proxy\n"
    has(result.stdout, ("%s of %s cells played against closerace-proxy: no violations, no advice"):format(n, n))
    assert.equal(0, result.status)
  end)

  it("shows a table of points and endings by requests, without colour where nobody looks", function()
    local text = matrix(FEW).stdout
    assert.truthy(text:find "\n?%s+get%s+post%-small\n")
    assert.truthy(text:find "\narrival%s+fin%s+clean%s+refused\n", text)
    assert.truthy(text:find "\nresponse_byte%s+fin%s+ghost%s+ghost\n", text)
    assert.is_nil(text:find "\27")
  end)

  it("lists violations first, with the rule and the command that replays each", function()
    local result = matrix(VIOLATED)
    assert.equal(1, result.status)
    has(result.stdout:match "^[^\n]*", "violation R2: a proxy must not repeat by itself")
    local n = 0
    for command in result.stdout:gmatch "\n  closerace (trial [^\n]-)\n      # " do
      n = n + 1
      local trial = shell.run(closerace .. " " .. command)
      assert.equal(1, trial.status)
      has(trial.stdout, "R2       violation: a proxy must not")
    end
    assert.equal(3, n)
    local all = (": %d violations, no advice"):format(n + result.stdout:match "\n  and (%d+) more")
    has(result.stdout:gsub("\n +", " "), all)
    assert.truthy(result.stdout:find "arrival%s+fin%s+clean%s+clean!", result.stdout)
  end)

  it("is failed by advice under --strict only", function()
    local never = FEW .. " --retry never"
    assert.equal(0, matrix(never).status)
    local strict = matrix(never .. " --strict")
    assert.equal(1, strict.status)
    local n = tonumber(strict.stdout:gsub("\n +", " "):match "advice R3: an idempotent request[^\n]*, (%d+) times ")
    has(strict.stdout:gsub("\n +", " "), (": no violations, %d advice; "):format(n))
  end)

  it("writes JSON Lines that jq reads, with every field", function()
    local result = matrix(VIOLATED .. " --format jsonl")
    local fields = "cell, request, connection, point, at, ending, order, second, response, verdict, told, executed, "
      .. "attempts, connections, reached, violation, advice, rule, reason, system, ms"
    for field in fields:gmatch "%w+" do
      assert.equal("true\n", filter(result.stdout, ("jq -s 'map(has(\"%s\")) | all'"):format(field)).stdout, field)
    end
    local twice = filter(result.stdout, "jq -r 'select(.violation) | .rule' | sort | uniq -c")
    assert.truthy(twice.stdout:find "^%s+%d+ R2\n$", twice.stdout)
    local told = filter(result.stdout, "jq -r 'select(.point == \"response_byte\") | .at'")
    assert.equal("", told.stderr)
    for n in told.stdout:gmatch "%S+" do assert.is_true(tonumber(n) >= 1) end
  end)

  it("writes TAP that prove reads, failures and all", function()
    local folder = shell.folder()
    assert.equal(0, matrix(FEW .. " --format tap -o " .. folder .. "/good.tap").status)
    assert.equal(1, matrix(VIOLATED .. " --format tap -o " .. folder .. "/bad.tap").status)
    local good = shell.run("prove --exec cat " .. folder .. "/good.tap")
    assert.equal(0, good.status, good.stdout)
    has(good.stdout, "Result: PASS")
    local bad = shell.run("prove --exec cat " .. folder .. "/bad.tap")
    assert.equal(1, bad.status)
    has(bad.stdout, "Result: FAIL")
    has(slurp(folder .. "/bad.tap"), 'replay: "closerace trial post-small/')
  end)

  it("writes JUnit's XML that keeps to its schema", function()
    local folder = shell.folder()
    matrix(VIOLATED .. " --order all --format junit -o " .. folder .. "/report.xml")
    local check = shell.run(("xmllint --noout --schema tests/junit.xsd %s/report.xml"):format(folder))
    assert.equal(0, check.status, check.stderr)
    local text = slurp(folder .. "/report.xml")
    local _, n_cases = text:gsub("<testcase ", "")
    local _, n_failures = text:gsub("<failure ", "")
    assert.equal(n_cases, tonumber(text:match '<testsuite [^>]*tests="(%d+)"'))
    assert.equal(n_failures, tonumber(text:match '<testsuite [^>]*failures="(%d+)"'))
    assert.is_true(n_failures > 0)
  end)

  it("writes several formats at once; a table where nothing else goes to stdout", function()
    local folder = shell.folder()
    local result = matrix(("%s --format jsonl -o %s/a --format tap -o %s/b --save %s/c"):format(
      FEW, folder, folder, folder))
    has(result.stdout, "cells played against")
    local rows = rows_of(slurp(folder .. "/a"))
    has(slurp(folder .. "/b"), ("TAP version 13\n1..%d\n"):format(#rows))
    assert.equal(#rows, #rows_of(slurp(folder .. "/c")))
    assert.is_nil(slurp(folder .. "/c"):find('"ms"', 1, true))
  end)

  it("saves the same baseline every time, byte by byte", function()
    local folder = shell.folder()
    matrix(FEW .. " --save " .. folder .. "/a")
    matrix(FEW .. " -j2 --save=" .. folder .. "/b")
    assert.equal(slurp(folder .. "/a"), slurp(folder .. "/b"))
    assert.same({ "a", "b" }, shell.names(folder))
  end)

  it("plays shares that closerace merge puts together again", function()
    local folder = shell.folder()
    local whole = matrix(VIOLATED .. " --save " .. folder .. "/whole")
    for i = 1, 3 do
      matrix(("%s --shard %d/3 --format jsonl -o %s/part%d"):format(VIOLATED, i, folder, i))
    end
    local merged = shell.run(("cd %s && %s merge part3 part1 part2 --save merged"):format(folder, closerace))
    assert.equal(1, merged.status)
    assert.equal(slurp(folder .. "/whole"), slurp(folder .. "/merged"))
    local function without_time(text)
      return (text:gsub("\n +", " "):gsub("; [%d.]+ s\n", "\n"):gsub("left out[^\n]*\n", ""))
    end
    assert.equal(without_time(whole.stdout), without_time(merged.stdout))

    local incomplete = shell.run(("cd %s && %s merge part1 part3 --save none"):format(folder, closerace))
    assert.equal(1, incomplete.status)
    has(incomplete.stderr, "cells are missing")
  end)

  it("is spread by GNU parallel, whose lines closerace merge puts in order", function()
    local folder = shell.folder()
    matrix(FEW .. " --save " .. folder .. "/whole")
    local result = shell.run(("parallel --will-cite -j2 %s matrix -q %s --shard {}/5 --format jsonl ::: 1 2 3 4 5 "
      .. "| %s merge - --save %s/merged"):format(closerace, FEW, closerace, folder))
    assert.equal(0, result.status, result.stderr)
    assert.equal(slurp(folder .. "/whole"), slurp(folder .. "/merged"))
  end)

  it("is coloured on a terminal, with a bar while it runs, unless NO_COLOR is set", function()
    local function on_terminal(environment, arguments)
      local command = ("%s %s/closerace matrix %s"):format(environment, shell.build, arguments)
      return shell.run(("script -qec '%s' /dev/null"):format(command)).stdout
    end
    local text = on_terminal("TERM=xterm NO_COLOR=", VIOLATED)
    has(text, "\27[31mviolation R2:\27[0m")
    assert.truthy(text:find "\27%[32mclean *\27%[0m", text)
    assert.is_nil(on_terminal("TERM=xterm NO_COLOR=1", VIOLATED .. " -q"):find "\27")
    assert.is_nil(on_terminal("TERM=dumb NO_COLOR=", VIOLATED):find "\27")
    local bar = on_terminal("TERM=xterm NO_COLOR=", "--request get,put,post-small")
    assert.truthy(bar:find "\r\27%[K%[#+ *%] %d+ of %d+, %d+/s, %d+ s left", bar)
  end)

  it("ends quietly where its reader has seen enough", function()
    local result = shell.run(("{ %s matrix -q -j2 --format jsonl; echo status $? >&2; } | head -n 2"):format(closerace))
    assert.equal(2, #rows_of(result.stdout))
    assert.equal("status 0\n", result.stderr)
  end)

  for _, jobs in ipairs { 1, 2 } do
    it(("interrupted (-j %d), reports what is finished, keeps the old baseline, leaves nothing behind"):format(jobs),
      function()
        local folder = shell.folder()
        shell.write(folder .. "/baseline", "old\n")
        -- A cell in a million is under way for sure when the first rows have come.
        local process = shell.start(("%s matrix --full -j %d --format jsonl --save %s/baseline")
          :format(closerace, jobs, folder))
        process:read_until '"n":20,'
        process:signal "INT"
        assert.equal(130, process:wait())
        has(process.output, "closerace matrix: interrupted")
        assert.same({ "baseline" }, shell.names(folder))
        assert.equal("old\n", slurp(folder .. "/baseline"))
        assert.equal("", shell.run("ps -o pid= --ppid " .. process.pid).stdout)
      end)
  end

  it("interrupted while its reader has stopped to read, loses nothing", function()
    local quiet = closerace .. " matrix --full --format jsonl 2>/dev/null"
    local process = shell.start("sh -c " .. shell.quoted("exec " .. quiet))
    process:read_until '"n":1,'
    -- The pipe is full when it stands in write(1, …) and does not go on.
    local n_seen = 0
    while n_seen < 1000 do
      local file <close> = assert(io.open(("/proc/%d/syscall"):format(process.pid)))
      n_seen = file:read "a":find "^1 0x1 " and n_seen + 1 or 0
    end
    process:signal "INT"
    assert.equal(130, process:wait())
    local n = 0
    for line in process.output:gmatch '{"cell"[^\n]*"ms":[%d.]+}\n' do
      n = n + 1
      assert.equal(n, tonumber(line:match '"n":(%d+)'))
    end
    assert.equal(n, select(2, process.output:gsub('{"cell"', "")))
    assert.is_true(n > 100)
  end)

  it("interrupted, shows the table of what is finished", function()
    local process = shell.start(("%s matrix --full --format jsonl --format table -o /dev/stderr"):format(closerace))
    process:read_until '"n":20,'
    process:signal "INT"
    assert.equal(130, process:wait())
    assert.truthy(process.output:find "%d+ of %d+ cells played, then interrupted, against closerace%-proxy")
  end)

  it("shows the rules of what cannot be, and its help", function()
    local rules = shell.run(closerace .. " matrix --rules")
    has(rules.stdout, "accept needs a fresh connection")
    for _, command in ipairs { "matrix", "trial", "diff", "merge" } do
      local result = shell.run(("%s %s --help"):format(closerace, command))
      assert.equal(0, result.status)
      has(result.stdout, "usage: closerace " .. command)
      has(result.stdout, "exit status: ")
    end
    has(shell.run(closerace .. " matrix --help").stdout, "--retry ")
  end)

  it("is skipped where there is nothing but what cannot be done here", function()
    if not race.has "vanish" then return pending "vanish is not possible here" end
    local result = shell.run(("setpriv --bounding-set -net_admin --inh-caps -net_admin %s matrix -q --ending vanish "
      .. "--request get --point arrival --format tap"):format(closerace))
    assert.equal(77, result.status, result.stderr)
    has(result.stdout, "# SKIP TCP_REPAIR needs CAP_NET_ADMIN")
  end)

  local wrong = {
    ["--reqest get"] = "unknown option '--reqest'; did you mean --request?",
    ["--request"] = "--request: a value is missing",
    ["--request got"] = "request: 'got' is unknown; did you mean get? allowed: all, get, ",
    ["--request get,,head"] = "request: '' is unknown",
    ["--shard 3"] = "shard: expected I/N",
    ["--shard 0/4"] = "shard: expected I/N",
    ["-j 0"] = "--jobs: expected a whole number from 1, got '0'",
    ["-jx"] = "--jobs: expected a whole number from 1, got 'x'",
    ["--repeat x"] = "--repeat: expected a whole number from 1, got 'x'",
    ["--stride 2"] = "stride: goes with full",
    ["--format xml"] = "--format: expected one of table, compare, jsonl, tap, junit, got 'xml'",
    ["--format tap --format jsonl"] = "only one --format can go to stdout",
    ["--retry maybe"] = "retry",
    ["--retries 1000"] = "retries",
    ["--full=yes"] = "--full takes no value",
    ["cell"] = "'cell': it takes options only",
    ["--format tap -o /nowhere/x"] = "/nowhere/x: No such file or directory",
    ["--save /nowhere/x"] = "/nowhere/x.part: No such file or directory",
  }
  for arguments, sentence in pairs(wrong) do
    it("refuses " .. arguments, function()
      local result = matrix(arguments)
      assert.equal(2, result.status, result.stdout)
      assert.equal("", result.stdout)
      has(result.stderr, sentence)
      assert.is_nil(result.stderr:find("stack traceback", 1, true), result.stderr)
    end)
  end

  it("does not vouch for a file that cannot be written", function()
    local result = matrix(FEW .. " --format jsonl -o /dev/full")
    assert.equal(70, result.status)
    has(result.stderr, "No space left")
  end)
end)

describe("closerace trial", function()
  it("shows client, proxy and backend line by line, the verdict and the rules", function()
    local result = shell.run(closerace .. " trial post-small/reused/arrival/rst/crossing/none/cl --retry always")
    assert.equal(1, result.status)
    local at = 1
    for _, line in ipairs {
      "client   client 1    sent 97 B       POST /bytes/400", "proxy    upstream 1  sent 117 B",
      "backend  conn 1      ended           rst at arrival", "retry: retry policy is always",
      "backend  conn 2      executed        id v", "verdict  clean: executed 1, 2 attempts on 2 connections",
      "race     crossing", "next     the client's next request: clean", "proxy    it said: retry policy is always",
      "R2       violation: ",
    } do
      local found, stop = result.stdout:find(line, at, true)
      assert.truthy(found, line .. "\nis not, or not there, in:\n" .. result.stdout)
      at = stop
    end
  end)

  it("plays offsets from the front, the middle and the end", function()
    for _, at in ipairs { "1", "mid", "-1", "87" } do
      local result = shell.run(("%s trial --json get/reused/request_byte@%s/rst/caused/none/cl"):format(closerace, at))
      assert.equal(0, result.status, result.stderr)
      assert.is_true(rows_of(result.stdout)[1].at >= 1)
    end
  end)

  local wrong = {
    [""] = "expected one CELL, got 0",
    ["a b"] = "expected one CELL, got 2",
    ["get"] = "has 1 part; a cell's id has 7",
    ["get/reused/request_byte@9999/rst/caused/none/cl"] = "request_byte@9999: there are 88 bytes; allowed: 1 to 87",
    ["get/reused/request_byte@-88/rst/caused/none/cl"] = "allowed: 1 to 87",
    ["get/reused/accept/rst/caused/none/cl"] = "there is no such cell",
    ["--retry x get/reused/arrival/rst/crossing/none/cl"] = "retry",
  }
  for arguments, sentence in pairs(wrong) do
    it("refuses '" .. arguments .. "'", function()
      local result = shell.run(closerace .. " trial " .. arguments)
      assert.equal(2, result.status)
      assert.equal("", result.stdout)
      has(result.stderr, sentence)
    end)
  end
end)

describe("a matrix that proves nothing", function()
  it("of no cell at all, is wrong usage, and says which rule left them out", function()
    local result = matrix "--request get --point accept --connection reused"
    assert.equal(2, result.status)
    has(result.stderr, "there is no such cell: accept needs a fresh connection")
    assert.equal("", result.stdout)
  end)

  it("of cells whose race did not take place, fails and says so", function()
    local cells = "--request get --point executed --ending rst --connection reused --second none --order caused"
    local result = matrix(cells .. " --reuse never")
    assert.equal(1, result.status)
    has((result.stdout:gsub("\n +", " ")), "nothing is proven, for in no cell did the race take place")
    assert.equal(0, matrix(cells).status)
  end)

  it("… but not where it is one share of several", function()
    assert.equal(0, matrix("--request get --point executed --ending rst --connection reused --second none "
      .. "--order caused --reuse never --shard 1/2").status)
  end)
end)

describe("without the rights of root", function()
  after_each(shell.clean)

  it("our proxy breaks no rule; what was not seen is counted, with the command that gives the rights", function()
    local folder = shell.folder()
    local words = "-q --request get,post-small --ending plain"
    local result = shell.run(("setpriv --bounding-set -net_admin,-net_raw --inh-caps -net_admin,-net_raw %s matrix %s"
      .. " --format jsonl -o %s/rows --format table"):format(closerace, words, folder))
    assert.equal(0, result.status, result.stdout)
    has(result.stdout, "no violations, no advice")
    local n = tonumber(result.stdout:match "\n(%d+) +not judged in full: without CAP_NET_RAW")
    assert.is_true(n > 10)
    has(result.stdout, "sudo setcap cap_net_admin,cap_net_raw+ep")
    assert.equal(n, select(2, shell.run("cat " .. folder .. "/rows").stdout:gsub('"unseen":true', "")))
  end)
end)

describe("closerace diff", function()
  after_each(shell.clean)

  local function two(old, new)
    local folder = shell.folder()
    matrix(old .. " --save " .. folder .. "/old")
    matrix(new .. " --save " .. folder .. "/new")
    return function(arguments)
      return shell.run(("cd %s && %s diff %s"):format(folder, closerace, arguments or "old new"))
    end
  end

  it("is content where nothing changed", function()
    local result = two(FEW, FEW)()
    assert.equal(0, result.status)
    assert.truthy(result.stdout:find(
      "^0 worse, 0 better, 0 avoided, 0 changed otherwise, 0 gone, 0 new, %d+ the same\n$"))
  end)

  it("has a word of its own for a race that cannot take place any more, whatever the method", function()
    local cells = "--request get,post-small --point executed --ending rst --connection reused --second none"
      .. " --order caused"
    local result = two(cells, cells .. " --reuse never")()
    assert.equal(0, result.status)
    has(result.stdout, "avoided  get/reused/executed/rst/caused/none/cl\n")
    has(result.stdout, "avoided  post-small/reused/executed/rst/caused/none/cl\n")
    has(result.stdout, "0 worse, 0 better, 2 avoided, 0 changed otherwise")
  end)

  -- A row, and the same with other fields: which line does that make?
  local function of_rows(old, new)
    local folder = shell.folder()
    local base = '{"cell":"get/x","state":"%s","verdict":"clean","told":"200","executed":1,"attempts":%d,'
      .. '"connections":1,"reached":true,"decided":"caused","violation":%s,"advice":false,"unseen":%s,"why":%s}\n'
    shell.write(folder .. "/old", base:format(table.unpack(old)))
    shell.write(folder .. "/new", base:format(table.unpack(new)))
    return shell.run(("cd %s && %s diff old new"):format(folder, closerace))
  end

  it("does not compare what one of the runs could not see or play for want of a right", function()
    local seen, unseen = { "ok", 2, "false", "false", "null" }, { "ok", 1, "false", "true", "null" }
    local skipped = { "skipped", 0, "false", "false", '"it needs CAP_NET_ADMIN"' }
    for _, case in ipairs {
      { seen, unseen, "1 not compared, unseen in NEW: without CAP_NET_RAW" },
      { unseen, seen, "1 not compared, unseen in OLD: without CAP_NET_RAW" },
      { seen, skipped, "1 not compared, skipped in NEW: it needs CAP_NET_ADMIN" },
      { skipped, seen, "1 not compared, skipped in OLD: it needs CAP_NET_ADMIN" },
    } do
      local result = of_rows(case[1], case[2])
      assert.equal(0, result.status)
      has(result.stdout, case[3])
      has(result.stdout, "\n0 worse, 0 better, 0 avoided, 0 changed otherwise, 0 gone, 0 new, 0 the same\n")
    end
  end)

  it("calls a violation worse, whatever was not seen", function()
    local result = of_rows({ "ok", 1, "false", "false", "null" }, { "broken", 2, "true", "true", "null" })
    assert.equal(1, result.status)
    has(result.stdout, "1 worse, ")
  end)

  it("shows which field changed where the outcome in words is the same", function()
    local old = '{"cell":"get/x","state":"ok","verdict":"clean","told":"200","executed":1,"attempts":2,'
      .. '"connections":%d,"reached":true,"decided":"%s","violation":false,"advice":false}\n'
    local folder = shell.folder()
    shell.write(folder .. "/old", old:format(1, "caused"))
    shell.write(folder .. "/new", old:format(2, "settled"))
    local result = shell.run(("cd %s && %s diff old new"):format(folder, closerace))
    has(result.stdout, "changed  get/x\n         clean, told 200, attempts 2; "
      .. "connections 1  ->  2, decided caused  ->  settled\n")
  end)

  it("shows what got worse, from what to what, and ends with 1; the other way round it is better", function()
    local diff = two(FEW, VIOLATED)
    local result = diff()
    assert.equal(1, result.status)
    assert.truthy(result.stdout:find(
      "worse    post%-small/reused/arrival/rst/crossing/none/cl\n"
        .. " +refused, told 502, attempts 1  %->  clean, told 200, attempts 2, violation R2\n"), result.stdout)
    local back = diff "new old"
    assert.equal(0, back.status)
    has(back.stdout, "better   post-small/reused/arrival/rst/crossing/none/cl")
    assert.equal(1, select(2, diff("--quiet old new").stdout:gsub("\n", "")))
  end)

  it("misses cells that are gone, unless it is told to ignore them", function()
    local diff = two(FEW, FEW .. " --order crossing,caused")
    local result = diff()
    assert.equal(1, result.status)
    has(result.stdout, "gone     get/reused/arrival/fin/held:sending#1/none/cl")
    assert.equal(0, diff("--common old new").status)
    local back = diff "new old"
    assert.equal(0, back.status)
    assert.is_nil(back.stdout:find(", 0 new", 1, true))
  end)

  it("names the file and the line that it cannot read", function()
    local folder = shell.folder()
    shell.write(folder .. "/bad", '{"cell":"x","state":"ok"}\nrubbish\n')
    for arguments, sentence in pairs {
      ["bad none"] = "bad:2: it is no JSON", ["none bad"] = "none: No such file",
      ["bad"] = "expected OLD and NEW, got 1",
      ["--x a b"] = "unknown option '--x'; allowed: --common",
    } do
      local result = shell.run(("cd %s && %s diff %s"):format(folder, closerace, arguments))
      assert.equal(2, result.status)
      has(result.stderr, sentence)
    end
  end)
end)

describe("closerace merge", function()
  after_each(shell.clean)

  local function merge(files)
    local folder, names = shell.folder(), {}
    for i, text in ipairs(files) do
      names[i] = ("%d.jsonl"):format(i)
      shell.write(folder .. "/" .. names[i], text)
    end
    return shell.run(("cd %s && %s merge --format jsonl %s"):format(folder, closerace, table.concat(names, " ")))
  end

  it("takes the same row from two files once, and calls two different ones varied", function()
    local all = matrix(FEW .. " --format jsonl").stdout
    local again = merge { all, all }
    assert.equal(0, again.status, again.stderr)
    assert.equal(all, again.stdout)
    local other = all:gsub('"verdict":"refused"', '"verdict":"ghost"')
    local varied = merge { all, other }
    assert.equal(1, varied.status)
    local n = 0
    for _, r in ipairs(rows_of(varied.stdout)) do
      if r.verdict == "refused" then
        n = n + 1
        assert.equal("varied", r.state)
        has(r.why, "in another: verdict ghost")
      end
    end
    assert.is_true(n > 0)
  end)

  it("refuses what does not belong together", function()
    local one = matrix(FEW .. " --format jsonl").stdout
    local other = matrix(FEW .. " --retry never --format jsonl").stdout
    local fewer = matrix(FEW .. " --order crossing --format jsonl").stdout
    for sentence, files in pairs {
      ["of another run (closerace-proxy retry=never"] = { one, other }, ["of another run"] = { one, fewer },
      ["there is no row"] = { "" }, ["1.jsonl:1: it is no JSON"] = { "x" },
      ["does not tell which cell"] = { '{"cell":"x","state":"ok"}' },
    } do
      local result = merge(files)
      assert.equal(2, result.status)
      has(result.stderr, sentence)
    end
    assert.equal(2, shell.run(closerace .. " merge").status)
  end)
end)
