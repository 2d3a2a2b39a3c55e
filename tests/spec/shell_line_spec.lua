--- --proxy-cmd and --client-cmd are lines for the shell, all of them: variables, folders, subshells, pipelines.
local command_system = require "closerace.command.system"
local race = require "closerace"
local shell = require "shell"
local systems = require "closerace.system"

local PROXY = shell.program "closerace-proxy"
local PLAIN = PROXY .. " --listen $LISTEN --upstream $BACKEND"
local FOLDER, NAME = PROXY:match "^'(.*)/([^/]*)'$"

--- What came of each cell of a few, with that command.
local function outcomes(options)
  local cells = {
    connection = "reused", point = { "idle", "arrival", "executed" }, ending = { "fin", "rst" }, second = "none",
    response = "cl", client = options.client_cmd and "later" or nil, request = "get",
  }
  for name, value in pairs(options) do cells[name] = value end
  local rows, n = {}, 0
  for r in race.matrix(cells):rows() do
    rows[r.cell] = ("%s: %s, told %s, %s attempts, %s"):format(
      r.state, r.verdict, r.told, r.attempts, r.decided or r.why)
    n = n + 1
  end
  assert.is_true(n > 0)
  return rows
end

describe("a --proxy-cmd", function()
  local expected

  setup(function() expected = outcomes { proxy_cmd = PLAIN } end)

  for what, line in pairs {
    ["with a variable before its program"] = "X=1 " .. PLAIN,
    ["with variables of its own"] = "A=$LISTEN; B=${BACKEND}; " .. PROXY .. ' --listen "$A" --upstream "$B"',
    ["in another folder"] = ("cd %s && ./%s --listen $LISTEN --upstream $BACKEND"):format(shell.quoted(FOLDER), NAME),
    ["in a subshell"] = ("(cd / && %s); exit 3"):format(PLAIN),
    ["in a pipeline"] = PLAIN .. " 2>&1 | cat",
    ["in the background, waited for"] = PLAIN .. " & wait $!",
    ["with a function"] = ('serve() { %s "$@"; }; serve --listen $LISTEN --upstream $BACKEND'):format(PROXY),
    ["that expands the words"] = PROXY .. " --listen ${LISTEN%:*}:$LISTEN_PORT --upstream ${BACKEND%:*}:${BACKEND##*:}",
    ["with its socket given"] = ("{ %s --listen fd@${LISTEN_FD} --upstream $BACKEND; }"):format(PROXY),
    ["with variables that begin as our words do"] =
      "LISTENER=$LISTEN BACKENDS=$BACKEND DIR=/ CONFIG=x; cd $DIR && " .. PROXY
        .. " --listen $LISTENER --upstream $BACKENDS; : $CONFIG",
    ["with its words in quotes"] = ("sh -c '%s --listen $LISTEN --upstream $BACKEND'"):format((PROXY:gsub("'", ""))),
  } do
    it(what .. " is played like a plain one", function()
      assert.same(expected, outcomes { proxy_cmd = line })
    end)
  end

  it("leaves no process of the line behind", function()
    local marker = "closerace_line_" .. tostring(expected):gsub("%W", "_")
    outcomes { proxy_cmd = ("%s=1; export %s; sleep 1000 & (%s) | cat"):format(marker, marker, PLAIN) }
    assert.equal("", shell.run("grep -lz " .. marker .. "=1 /proc/[0-9]*/environ 2>/dev/null").stdout)
  end)

  it("that names $LISTEN or $BACKEND only in part has not named it", function()
    for line, missing in pairs {
      ["prog $LISTENER $BACKEND"] = "$LISTEN", ["prog $LISTEN $BACKENDS"] = "$BACKEND",
      ["prog ${LISTENER} ${BACKEND}"] = "$LISTEN",
    } do
      local system, why = systems.command(line)
      assert.is_nil(system, line)
      assert.equal(missing .. " ", why:sub(1, #missing + 1))
    end
    assert.is_table(systems.command "prog ${LISTEN} ${BACKEND}")
  end)

  it("is replayed as what it was, whatever variables it has", function()
    local line = "URL=http://$BACKEND; prog $LISTEN $URL"
    local again = command_system.replay { cell = "CELL", system = systems.command(line).name, request = "get" }
    assert.equal("closerace trial CELL --proxy-cmd " .. shell.quoted(line), again)
  end)
end)

describe("a --client-cmd", function()
  it("is a line for the shell, with variables of its own", function()
    local expected = outcomes { client_cmd = "curl -qs $WARM $GATE $URL" }
    for _, line in ipairs {
      "X=1 curl -qs $WARM $GATE $URL", "A=$URL; curl -qs $WARM $GATE $A", "cd / && (curl -qs $WARM $GATE ${URL})",
      "DIR=/; cd $DIR && curl -qs $WARM $GATE $URL", "LISTEN=0; : $LISTEN; curl -qs $WARM $GATE $URL",
    } do
      assert.same(expected, outcomes { client_cmd = line }, line)
    end
  end)
end)
