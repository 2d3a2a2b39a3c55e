--- What a person sees: 80 columns, whole sentences, no places in our own source.
local shell = require "shell"

local race = require "closerace"

local closerace = shell.program "closerace"

local COMMANDS = { "matrix", "trial", "natural", "diff", "merge", "run", "list", "proxy", "backend", "request" }

local function run(arguments, environment)
  return shell.run(("env %s %s %s"):format(environment or "", closerace, arguments))
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

--- No line is longer, unless it is a command to be copied.
local function fits(text, columns)
  for line in text:gmatch "[^\n]+" do
    local is_command = line:find "^  closerace trial %S" and not line:find " # " or line:find "^ +sudo setcap " ~= nil
    assert.is_true(is_command or utf8.len(line) <= columns, line)
  end
end

describe("help", function()
  for _, name in ipairs(COMMANDS) do
    it(("of closerace %s fits 80 columns, and has a status of 0"):format(name), function()
      local help = run(name .. " --help")
      assert.equal(0, help.status, help.stderr)
      assert.equal("", help.stderr)
      has(help.stdout, "usage: closerace")
      fits(help.stdout, 80)
      assert.is_nil(help.stdout:find "%-%-[%w-]*_", help.stdout)       -- options have dashes
    end)
  end

  it("of closerace alone names each command, and fits", function()
    local help = run "--help".stdout
    for _, name in ipairs(COMMANDS) do has(help, "\n  closerace " .. name .. " ") end
    fits(help, 80)
    assert.equal(help, run "help".stdout)
    assert.equal(run "trial --help".stdout, run "help trial".stdout)
  end)

  it("of closerace list --sut fits", function() fits(run "list --sut".stdout, 80) end)
end)

describe("a table", function()
  it("fits 80 columns where nobody looks, and as many as the terminal has", function()
    fits(run "matrix -q --retry always".stdout, 80)
    fits(run("matrix -q --retry always", "COLUMNS=60").stdout, 60)
    local command = ("stty cols 100; TERM=dumb %s/closerace matrix -q --retry always"):format(shell.build)
    local text = shell.run(("script -qec '%s' /dev/null"):format(command)).stdout:gsub("\r", "")
    fits(text, 100)
    assert.is_true(pcall(fits, text, 80) == false, "the room is not used")
  end)

  it("is wide, a column a request, where there is room", function()
    local wide = run("matrix -q --request get,post-small,post-chunked --ending fin,rst", "COLUMNS=200").stdout
    assert.truthy(wide:find "\n? +get +post%-small +post%-chunked\n")
    assert.is_nil(wide:find "\nA  ")
  end)

  it("shares a column among requests of which it tells the same, and says which", function()
    local few = "--second none --connection reused --point arrival --ending fin,rst"
    local text = run("matrix -q " .. few, "COLUMNS=48").stdout
    assert.truthy(text:find "^A  get, head, put, delete\nB  post%-empty, post%-small, post%-chunked\n\n", text)
    assert.truthy(text:find "\n +A +B\n", text)
  end)

  it("mixes no two second faults: each line names its own", function()
    local text = run "matrix -q --request get --connection reused --point arrival --ending fin,half".stdout
    assert.truthy(text:find "\narrival +fin +none +clean\n +same +refused\n", text)
    assert.truthy(text:find "\n +half +none same +twice\n", text)
    local alone = run "matrix -q --request get --connection reused --point arrival --ending fin --second none".stdout
    assert.truthy(alone:find "\narrival +fin +clean\n", alone)
  end)

  it("shows three commands of a rule at most, and how many more there are", function()
    local result = run "matrix -q --retry always"
    local n = tonumber(result.stdout:match "(%d+) times\n")
    assert.equal(3, select(2, result.stdout:gsub("\n  closerace trial ", "")))
    has(result.stdout, ("\n  and %d more (--format jsonl tells each)\n"):format(n - 3))
  end)

  it("counts one cell, one violation, one time", function()
    local one = "--request post-small --connection reused --point arrival --ending fin --order crossing --second none "
      .. "--retry always"
    local result = run("matrix " .. one)
    assert.truthy(result.stderr:find "^1 cell against ")
    has(result.stdout, "1 time\n")
    has(result.stdout:gsub("\n +", " "),
      "1 of 1 cell played against closerace-proxy retry=always: 1 violation, no advice; ")
  end)

  for _, columns in ipairs { 80, 60, 200 } do
    it(("of systems beside one another fits %d columns"):format(columns), function()
      local few = "--request get,post-small --connection reused --point arrival --ending fin,rst --second none"
      local result = run(("matrix -q --compare --sut curl,curl:retry %s"):format(few), "COLUMNS=" .. columns)
      fits(result.stdout, columns)
      has(result.stdout, "get/reused/arrival/fin/crossing/none/cl")
      assert.truthy(result.stdout:find(columns == 60 and "\n  A clean x2 +B clean x2\n" or "  clean x2 +clean x2\n"))
    end)
  end
end)

describe("--format and -o", function()
  after_each(shell.clean)

  local FEW = "matrix -q --request get --connection reused --point arrival --ending fin --order crossing --second none "

  local function first_line(path)
    local file <close> = assert(io.open(path))
    return file:read "l"
  end

  it("that stand beside one another belong together, whichever comes first", function()
    local folder = shell.folder()
    for _, options in ipairs { "--format tap -o %s/x", "-o %s/x --format tap" } do
      local result = run(FEW .. options:format(folder))
      has(result.stdout, "cell played against")
      assert.equal("TAP version 13", first_line(folder .. "/x"))
    end
    local result = run((FEW .. "--format tap -o %s/a --format jsonl -o %s/b --format junit"):format(folder, folder))
    assert.equal("TAP version 13", first_line(folder .. "/a"))
    has(first_line(folder .. "/b"), '{"cell":')
    has(result.stdout, "<testsuites ")
  end)

  it("-o alone is a table in that file, and one on stdout; --format alone goes to stdout", function()
    local folder = shell.folder()
    local result = run((FEW .. "-o %s/x"):format(folder))
    has(result.stdout, "cell played against")
    assert.truthy(first_line(folder .. "/x"):find "^ +get$")
    assert.equal("TAP version 13", run(FEW .. "--format tap").stdout:match "^[^\n]*")
  end)
end)

describe("a mistake on the command line", function()
  after_each(shell.clean)

  local CELL = "get/reused/arrival/rst/crossing/none/cl"
  local mistakes = {
    ["matrx"] = "'matrx' is not a command; did you mean matrix? allowed: matrix, ",
    ["matrix --scond none"] = "unknown option '--scond'; did you mean --second? See closerace matrix --help",
    ["matrix --keep_alive_margin 3"] = "did you mean --keep-alive-margin-ms?",
    ["matrix --zzz"] = "unknown option '--zzz'; allowed: --full, ",
    ["matrix --second non"] = "second: 'non' is unknown; did you mean none? allowed: ",
    ["matrix --request pots-small"] = "did you mean post-small?",
    ["matrix --sut haprxy"] = "did you mean haproxy?",
    ["matrix --retry maybe"] = "closerace matrix: --retry: 'maybe' is not allowed; allowed: never, ",
    ["matrix --retry-list x"] = "closerace matrix: --retry-list: line 1: 'x': ",
    ["matrix --client_request"] = "--client-request: a value is missing",
    ["matrix -o /tmp"] = "/tmp: Is a directory",
    ["matrix --proxy-cmd 'no-such-program $LISTEN $BACKEND'"] = "no-such-program: not found",
    ["matrix --proxy-cmd 'no-such-program $LISTEN_FD $BACKEND'"] = "no-such-program: not found",
    ["matrix --client-cmd 'no-such-program $URL'"] = "no-such-program: not found",
    ["trial " .. CELL .. " --retry maybe"] = "closerace trial: --retry: 'maybe' is not allowed; allowed: never, ",
    ["trial " .. CELL .. " --proxy-cmd 'no-such-program $LISTEN $BACKEND'"] = "no-such-program: not found",
    ["trial " .. CELL .. " --sut /etc/passwd"] = "/etc/passwd:1: ",
    ["trial x"] = "'x' has 1 part; a cell's id has 7 or 8",
    ["trial gte/reused/arrival/rst/crossing/none/cl"] = "request: 'gte' is unknown; did you mean get?",
    ["trial get/reused/arrival@3/rst/crossing/none/cl"] = "arrival: takes no byte offset",
    ["diff /tmp /tmp"] = "closerace diff: /tmp: Is a directory",
    ["diff /nowhere /tmp"] = "closerace diff: /nowhere: No such file or directory",
    ["merge /tmp"] = "closerace merge: /tmp: Is a directory",
    ["merge --fromat tap x"] = "did you mean --format?",
    ["run --repeet 3 x.lua"] = "did you mean --repeat?",
    ["list --suts"] = "did you mean --sut?",
    ["natural --trails 3"] = "did you mean --trials?",
    ["request --tmies 3 localhost"] = "did you mean --times?",
  }
  for arguments, sentence in pairs(mistakes) do
    it(("'%s' is told in a sentence, with status 2"):format(arguments), function()
      local result = run(arguments)
      assert.equal(2, result.status, result.stdout .. result.stderr)
      has(result.stderr, sentence)
      for _, inside in ipairs { "[closerace", "[C]", "stack traceback", "lab:", "race.matrix", "build/" } do
        assert.is_nil(result.stderr:find(inside, 1, true), result.stderr)
      end
    end)
  end

  it("underscores in an option are taken for dashes", function()
    local result = run "trial --json get/reused/arrival/rst/crossing/none/cl --idle_timeout_ms 5"
    assert.equal(0, result.status, result.stderr)
  end)

  it("a disk that is full is told in a sentence, with status 70", function()
    for _, option in ipairs { "--format jsonl -o /dev/full", "--format junit -o /dev/full" } do
      local result = run("matrix -q --request get --point arrival " .. option)
      assert.equal(70, result.status)
      assert.equal("closerace: /dev/full: No space left on device\n", result.stderr)
    end
  end)

  it("a row that failed has its reason without places in our source", function()
    local result = run("matrix -q --request get --point arrival --ending fin --format jsonl --proxy-cmd "
      .. shell.quoted("test -e /nowhere || sleep 1000; : $LISTEN_FD $BACKEND"))
    assert.is_nil((result.stdout .. result.stderr):find("[closerace", 1, true))
  end)
end)

describe("closerace trial", function()
  local CELL = " post-small/reused/arrival/rst/crossing/none/cl"

  it("marks the line that decides, folds what warmed the connection, and ends with one sentence", function()
    local text = run("trial" .. CELL .. " --retry always").stdout
    assert.equal(1, select(2, text:gsub("\n>", "")))
    assert.truthy(text:find "\n> +0 ms  backend  conn 1 +ended +rst at arrival\n", text)
    assert.is_nil(text:find("/warm", 1, true))
    assert.truthy(text:find "\n +… %d+ events before %(%-%-all shows them%)\n +0 ms  client   client 1 +sent 97 B")
    local last = text:match "\n\n([^\n]*\n[^\n]*)\n$"
    assert.equal("So: rst at arrival, and the POST is clean (executed once, and the client got its\n"
      .. "    complete answer); rule R2 is not kept.", last)
    fits(text, 80)
  end)

  it("shows everything with --all", function()
    local text = run("trial --all" .. CELL).stdout
    has(text, "GET /warm")
    assert.is_nil(text:find("events before", 1, true))
  end)

  it("marks an idle connection's end, and not the end that made it fresh", function()
    local idle = run "trial get/reused/idle/fin/settled/none/cl".stdout
    assert.truthy(idle:find "events before[^\n]*\n> +%d+ ms  backend  conn 1 +ended +fin at idle", idle)
    local fresh = run "trial get/fresh/executed/fin/caused/none/cl/later --sut curl".stdout
    assert.truthy(fresh:find "\n>[^\n]* conn 2 +ended +fin at executed\n", fresh)
  end)

  it("says that another race was played", function()
    local can, why = race.has "vanish"
    if not can then return pending(why) end
    local text = run "trial get/reused/arrival/vanish/held:sending#2/same/cl".stdout
    assert.truthy(text:gsub("\n +", " "):find "; but this was another race: ", text)
  end)
end)

describe("JUnit's XML", function()
  after_each(shell.clean)

  it("has the verdict of a case that passed", function()
    local folder = shell.folder()
    run("matrix -q --request get,post-small --connection reused --point arrival --ending fin,stall --order all "
      .. "--second none --retry always --format junit -o " .. folder .. "/x.xml")
    local file <close> = assert(io.open(folder .. "/x.xml"))
    local text = file:read "a"
    assert.truthy(text:find '"get/reused/arrival/fin/crossing/none/cl" [^\n]*><system%-out>clean, told 200, '
      .. 'executed 1, attempts 2; race crossing; the next request: clean, told 200, attempts 1</system%-out>')
    assert.truthy(text:find "</failure><system%-out>")
    local check = shell.run(("xmllint --noout --schema tests/junit.xsd %s/x.xml"):format(folder))
    assert.equal(0, check.status, check.stderr)
  end)
end)
