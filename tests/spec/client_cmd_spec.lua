--- Client commands: a program that is run once for each cell, curl first of all.
local axes = require "closerace.matrix.axes"
local race = require "closerace"
local shell = require "shell"

local closerace = shell.program "closerace"

--- Play cells in this process.  Returns a map of their rows by cell, and how many there are.
local function play(options)
  local rows, n = {}, 0
  for row in race.matrix(options):rows() do
    rows[row.cell] = row
    n = n + 1
  end
  return rows, n
end

--- The one cell of these values.
local function play_one(options)
  local rows, n = play(options)
  assert.equal(1, n)
  return (select(2, next(rows)))
end

--- What is expected of a row, field by field.
local function check(expected, row)
  assert.is_table(row)
  local found = {}
  for name in pairs(expected) do found[name] = row[name] end
  assert.same(expected, found, row.cell)
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

--- One cell on a used connection, if nothing else is said.
local function cell_of(request, point, ending, order, more)
  local options = {
    request = { request }, connection = { "reused" }, point = { point }, ending = { ending }, order = { order },
    second = { "none" }, response = { "cl" },
  }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

local function curl(...) return play_one(cell_of(...)) end

describe("curl on a connection that was used before", function()
  local CURL = { sut = "curl" }

  it("settled: sees the end of an idle one, and takes another", function()
    for _, ending in ipairs { "fin", "rst", "half", "plain" } do
      check({ verdict = "clean", told = "200", attempts = 1, decided = "settled", state = "ok" },
        curl("post-small", "idle", ending, "settled", CURL))
    end
  end)

  it("close-first, request-first: does so whichever is queued first, and no race takes place", function()
    check({ verdict = "clean", told = "200", attempts = 1, state = "ok" },
      curl("get", "idle", "fin", "close-first", CURL))
    check({ verdict = "clean", told = "200", attempts = 1, state = "not reached",
      why = "the request rode a fresh connection" }, curl("get", "idle", "fin", "request-first", CURL))
  end)

  it("crossing: sends again what was never read, a POST, too, which it should not (R2)", function()
    for _, ending in ipairs { "fin", "rst", "plain" } do
      check({ verdict = "clean", told = "200", attempts = 2, executed = 1, connections = 2, decided = "crossing",
        reached = true, state = "ok", rules = {} }, curl("get", "arrival", ending, "crossing", CURL))
      check({ verdict = "clean", told = "200", attempts = 2, executed = 1, decided = "crossing", reached = true,
        rule = "R2", rules = { R2 = "advice" } }, curl("post-small", "arrival", ending, "crossing", CURL))
    end
  end)

  it("caused: so it does what was executed: a POST is paid twice", function()
    for _, ending in ipairs { "fin", "rst" } do
      check({ verdict = "twice", told = "200", attempts = 2, executed = 2, decided = "caused", state = "ok" },
        curl("put", "executed", ending, "caused", CURL))
      check({ verdict = "twice", told = "200", attempts = 2, executed = 2, decided = "caused", state = "advice",
        rules = { R2 = "advice" } }, curl("post-small", "executed", ending, "caused", CURL))
    end
  end)

  it("counts no byte of an unfinished head line as a response, and repeats behind it, as a GET may", function()
    local rows = play(cell_of("get", "response_byte", "fin", "caused", CURL))
    check({ verdict = "twice", told = "200", attempts = 2, at = 1, rules = {} },
      rows["get/reused/response_byte@1/fin/caused/none/cl"])
    check({ verdict = "ghost", told = "failed", attempts = 1, rules = {} },
      rows["get/reused/response_byte@mid/fin/caused/none/cl"])
  end)

  it("tries no third time", function()
    local rows = play(cell_of("get", "arrival", "fin", "crossing", { sut = "curl", second = "all" }))
    check({ verdict = "refused", told = "failed", attempts = 2, rules = {} },
      rows["get/reused/arrival/fin/crossing/all/cl"])
  end)

  it("takes a stale 408 for its answer, which is advised against (R8)", function()
    check({ verdict = "garbled", told = "408", attempts = 1, state = "advice", rules = { R8 = "advice" } },
      curl("get", "arrival", "408+fin", "crossing", CURL))
  end)

  it("takes the head of a HEAD's answer for whole, where it is cut (R5)", function()
    local rows = play(cell_of("head", "response_byte", "fin", "caused", CURL))
    check({ verdict = "garbled", told = "200", attempts = 1, rules = { R5 = "broken" } },
      rows["head/reused/response_byte@mid/fin/caused/none/cl"])
  end)

  it("sends again, too, where nobody told it of the end", function()
    if not race.has "vanish" then return pending "vanish: needs CAP_NET_ADMIN" end
    check({ verdict = "clean", told = "200", attempts = 2, decided = "crossing", reached = true, rule = "R2" },
      curl("post-small", "idle", "vanish", "crossing", CURL))
  end)
end)

describe("curl on a fresh connection", function()
  it("sends nothing again, and says why", function()
    for _, request in ipairs { "get", "post-small" } do
      check({ verdict = "ghost", told = "failed", attempts = 1, decided = "caused", reached = true,
        reason = "curl: (52) Empty reply from server" },
        curl(request, "executed", "fin", "caused", { sut = "curl", connection = "fresh" }))
      check({ verdict = "refused", told = "failed", attempts = 1, decided = "caused", reached = true },
        curl(request, "accept", "rst", "caused", { sut = "curl", connection = "fresh" }))
    end
  end)

  it("with --retry sends a POST again, a second later", function()
    check({ verdict = "twice", told = "200", attempts = 2, rules = { R2 = "advice" }, system = "curl:retry=1" },
      curl("post-small", "executed", "fin", "caused", { sut = "curl:retry", connection = "fresh" }))
  end)

  it("takes one for the victim, too, where the server has said that it closes", function()
    check({ cell = "get/fresh/arrival/fin/crossing/none/cl/later", verdict = "refused", attempts = 1 },
      curl("get", "arrival", "fin", "crossing", { sut = "curl", connection = "fresh", client = "later" }))
  end)
end)

describe("curl's driver", function()
  it("makes every request of the matrix, with its content", function()
    local rows, n = play {
      sut = "curl", request = "all", connection = "fresh", point = "response_end", ending = "fin", response = "cl",
      second = "none", client = "first",
    }
    assert.equal(#axes.request, n)
    for _, row in pairs(rows) do
      check({ state = "ok", verdict = "clean", told = "200", executed = 1, attempts = 1, reached = true }, row)
    end
  end)

  it("reads every response: chunked, ended by the close, without a body", function()
    local rows, n = play {
      sut = "curl", request = "get", connection = "reused", point = "executed", ending = "rst", second = "none",
      response = "all",
    }
    assert.equal(#axes.response, n)
    for _, row in pairs(rows) do check({ verdict = "twice", attempts = 2, reached = true }, row) end
  end)

  it("makes no next request", function()
    check({ next_rules = {} }, curl("get", "executed", "fin", "caused", { sut = "curl" }))
    local row = curl("get", "executed", "fin", "caused", { sut = "curl" })
    assert.is_nil(row.next)
    assert.is_nil(row.next_told)
    assert.is_nil(row.next_attempts)
  end)
end)

describe("any other command", function()
  local function fresh(command, point, ending, order, more)
    local options = { client_cmd = command, connection = "fresh", client = "first" }
    for name, value in pairs(more or {}) do options[name] = value end
    return play_one(cell_of("get", point, ending, order, options))
  end

  it("is played like curl, with $WARM and $GATE", function()
    for _, url in ipairs { "$WARM $GATE $URL", [["$WARM" "${GATE}" "${URL}"]] } do
      check({ verdict = "twice", told = "200", attempts = 2, decided = "caused", reached = true },
        curl("get", "executed", "fin", "caused", { client_cmd = "curl -qs " .. url }))
      check({ verdict = "clean", told = "200", attempts = 1, decided = "settled" },
        curl("get", "idle", "fin", "settled", { client_cmd = "curl -qs " .. url }))
    end
  end)

  it("makes the request that it says", function()
    check({ verdict = "twice", attempts = 2, rules = { R2 = "advice" } },
      curl("post-small", "executed", "fin", "caused", {
        client_cmd = "curl -qs $WARM $GATE --next -d amount=10 $URL", client_request = "post-small",
      }))
  end)

  it("asks for $WARM as often as it stands there", function()
    local rows, n = play {
      client_cmd = "curl -qs" .. (" $WARM"):rep(10) .. " $GATE $URL", connection = { "reused", "reused-many" },
      point = "executed", ending = "fin", second = "none", response = "cl",
    }
    assert.equal(2, n)
    check({ verdict = "twice", attempts = 2, reached = true },
      rows["get/reused-many/executed/fin/caused/none/cl"])
    check({ state = "skipped", why = "the command line has $WARM 10 times: it is needed 1 time" },
      rows["get/reused/executed/fin/caused/none/cl"])
  end)

  it("that fails is told failed: refused or ghost", function()
    check({ verdict = "refused", told = "failed", reason = "curl: (52) Empty reply from server" },
      fresh("curl -qsS $URL", "arrival", "fin", "crossing"))
    check({ verdict = "ghost", told = "failed" }, fresh("curl -qs $URL", "executed", "fin", "caused"))
  end)

  it("that calls it a success, although nothing ran, is phantom", function()
    check({ verdict = "phantom", told = "success", executed = 0, rules = { R8 = "broken" } },
      fresh("curl -qs $URL; true", "arrival", "fin", "crossing"))
  end)

  it("that calls a part of the answer, or none, a success is garbled", function()
    check({ verdict = "garbled", told = "success", executed = 1 },
      fresh("curl -qs $URL; true", "executed", "fin", "caused"))
    local rows = play(cell_of("get", "response_byte", "fin", "caused", {
      client_cmd = "curl -qs --ignore-content-length -H Connection:close $URL", connection = "fresh", client = "first",
    }))
    check({ verdict = "garbled", told = "200", rules = { R5 = "broken" } },
      rows["get/fresh/response_byte@-1/fin/caused/none/cl"])
  end)

  it("that takes the whole answer for a success is clean, whatever comes behind", function()
    for _, ending in ipairs { "fin", "rst" } do
      check({ verdict = "clean", told = "200", reached = true },
        fresh("curl -qs $URL", "response_end", ending, "caused"))
    end
  end)

  it("that does not end is hung", function()
    check({ verdict = "hung", told = "timeout", executed = 1 }, fresh("curl -qs $URL", "executed", "stall", "caused"))
  end)
end)

describe("a cell that a command cannot play", function()
  --- Why the cells of a command are skipped.
  local function reasons(command, more)
    local options = { client_cmd = command, request = "get,post-small", point = "idle,executed", ending = "fin",
      second = "none", response = "cl" }
    for name, value in pairs(more or {}) do options[name] = value end
    local found = {}
    for cell, row in pairs((play(options))) do
      if row.state == "skipped" then found[cell] = row.why end
    end
    return found
  end

  it("is skipped, with the reason", function()
    local first = "the command line has no $WARM: its request is the first"
    local get_only = "the command makes the request get only"
    local found = reasons("curl -qs $URL", { order = "settled,caused" })
    assert.same({
      ["get/reused/idle/fin/settled/none/cl"] = first, ["get/reused/executed/fin/caused/none/cl"] = first,
      ["post-small/fresh/executed/fin/caused/none/cl"] = get_only,
      ["post-small/reused/executed/fin/caused/none/cl"] = get_only,
      ["post-small/reused/idle/fin/settled/none/cl"] = get_only,
    }, found)
    found = reasons("curl -qs $WARM $URL", { request = "get" })
    assert.equal("the command line has $WARM: its request is not the first",
      found["get/fresh/executed/fin/caused/none/cl"])
    assert.equal("the command line has no $GATE: nobody knows when its connection is idle",
      found["get/reused/idle/fin/settled/none/cl"])
    assert.is_nil(found["get/reused/executed/fin/caused/none/cl"])
    found = reasons("curl -qs $WARM; curl -qs $GATE; curl -qs $URL", { request = "get" })
    assert.equal("the program takes another connection for $URL than for $WARM",
      found["get/reused/executed/fin/caused/none/cl"])
  end)

  it("is left out, where no command could", function()
    local matrix = race.matrix { sut = "curl", request = "get", connection = "reused", client = "first" }
    assert.equal(0, #matrix)
    local found
    for _, left_out in ipairs(matrix:exclusions()) do
      found = found or left_out.rule == "the first request of a client command rides no used connection"
    end
    assert.is_true(found)
  end)
end)

describe("closerace matrix --client-cmd", function()
  after_each(shell.clean)

  local function matrix(arguments)
    return shell.run(("%s matrix -q %s"):format(closerace, arguments))
  end

  it("plays the cells of its request, and tells how to play one again", function()
    local result = matrix("--client-cmd 'curl -qs $WARM $GATE --next -d x $URL' --client-request post-small "
      .. "--connection reused --point executed --ending rst --second none --response cl")
    assert.equal(0, result.status)
    local command = result.stdout:match "  (closerace trial [^\n]-)%s+# twice, told 200, attempts 2"
    has(command, "--client-request post-small")
    local again = shell.run((command:gsub("^closerace", closerace)))
    assert.equal(0, again.status)
    has(again.stdout, "verdict  twice: executed 2, 2 attempts on 2 connections, the client was told 200")
    assert.is_nil(again.stdout:find("\nnext ", 1, true))
  end)

  it("goes into every format, and into diff", function()
    local folder = shell.folder()
    local few = "--sut curl --request get --connection reused --point executed,arrival --ending fin --response cl "
    for _, format in ipairs { "table", "jsonl", "tap", "junit" } do
      local result = matrix(few .. "--save " .. folder .. "/" .. format .. " --format " .. format)
      assert.equal(0, result.status, result.stderr)
      assert.equal("", result.stderr)
    end
    local diff = shell.run(("%s diff %s/table %s/jsonl"):format(closerace, folder, folder))
    has(diff.stdout, "0 worse, 0 better, 0 avoided, 0 changed otherwise, 0 gone, 0 new, 4 the same")
  end)

  it("says in a program's own words why it is no client", function()
    for command, why in pairs {
      ["no-such-program $URL"] = "ends with exit 127; it said: sh: 1: no-such-program: not found",
      [": $URL"] = "ends without having asked for $URL; it said: nothing",
      ["echo it is broken >&2; exit 3 $URL"] = "ends with exit 3; it said: it is broken",
      ["curl -qsS --max-filesize 9 $URL"] = "ends with exit 63; it said: curl: (63) Maximum file size exceeded",
      ["curl -qs -d x $URL"] = "makes a POST; the request get is a GET",
      ["curl -qs -X GET -d x $URL"] = "sends 1 byte of content; the request get has 0",
      ["curl -qs $URL # $GATE"] = "does not ask for $GATE",
      ["sleep 1000; : $URL"] = "waits for something else and does not ask for $URL",
    } do
      local result = matrix("--client-cmd " .. shell.quoted(command))
      assert.equal(command:find "no%-such" and 2 or 1, result.status)
      assert.equal("", result.stdout)
      has(result.stderr, "without any fault, ")
      has(result.stderr, why)
    end
  end)

  it("wants $URL once, a known request, and no other system", function()
    for arguments, why in pairs {
      ["--client-cmd curl"] = "--client-cmd: $URL is missing",
      ["--client-cmd 'curl $URLS'"] = "--client-cmd: $URL is missing",
      ["--client-cmd 'curl $URL $URL'"] = "--client-cmd: $URL must stand there once",
      ["--client-cmd 'curl $URL' --client-request pst"] = "the request 'pst' is unknown; allowed: get, ",
      ["--client-request get"] = "--client-request: goes with --client-cmd",
      ["--client-cmd 'curl $URL' --sut curl"] = "exclude one another",
      ["--client-cmd 'curl $URL' --retry never"] = "exclude one another",
    } do
      local result = matrix(arguments)
      assert.equal(2, result.status, arguments)
      has(result.stderr, why)
    end
    assert.error_matches(function() race.matrix { client_cmd = "curl" } end, "client_cmd: %$URL is missing")
    assert.error_matches(function() race.matrix { client_request = "get" } end, "client_request: goes with client_cmd")
    assert.error_matches(function() race.matrix { client_cmd = "curl $URL", sut = "curl" } end, "only one of them")
  end)

  it("is nothing for closerace natural", function()
    for _, arguments in ipairs { "--sut curl", "--client-cmd 'curl $URL'" } do
      local result = shell.run(("%s natural %s"):format(closerace, arguments))
      assert.equal(2, result.status)
      has(result.stderr, "a client command is over before it can meet a race by chance")
    end
  end)

  it("is in the help", function()
    local help = shell.run(closerace .. " matrix --help").stdout
    for _, part in ipairs { "--client-cmd COMMAND", "$WARM $GATE $URL", "--client-request NAME" } do has(help, part) end
  end)
end)

describe("the whole matrix with curl", function()
  after_each(shell.clean)

  --- Is there a process with that in its environment?
  local function lives(marker)
    return shell.run("grep -lz " .. marker .. " /proc/[0-9]*/environ 2>/dev/null").stdout
  end

  it("is reached wherever it can be, comes to the same twice, and leaves no process and no directory", function()
    local folder = shell.folder()
    local marker = "SPEC_MARK=" .. folder:gsub("%W", "_")
    local result = shell.run(("env %s TMPDIR=%s %s matrix -q -j2 --sut curl --repeat 2 --format jsonl"):format(
      marker, folder, closerace))
    assert.equal("", result.stderr)
    assert.equal(1, result.status)                      -- a cut head that looks complete (R5)
    local _, n = result.stdout:gsub("\n", "")
    assert.is_true(n > 2000)
    for line in result.stdout:gmatch "[^\n]+" do
      local state, order = line:match '"state":"([^"]*)"', line:match '"order":"([^"]*)"'
      -- It looks at its connection first: no request of its is lost to a close behind it.
      local is_missed = state == "not reached" and order == "request-first"
        or state == "skipped" and not race.has "vanish" and line:find('"ending":"vanish"', 1, true) ~= nil
      assert.is_true(state == "ok" or state == "advice" or state == "broken" or is_missed, line)
    end
    assert.same({}, shell.names(folder))
    assert.equal("", lives(marker))
  end)
end)
