--- The programs as they are typed: what they say, and what they exit with.
local race = require "closerace"
local shell = require "shell"

local closerace = shell.program "closerace"

local GOOD = [[
local race = require "closerace"
local lab <close> = race.lab()
local client = lab:client { to = lab:backend() }
print("told", client:request { path = "/item", id = "g1" })
lab:verdict "g1"
]]

--- A library for LD_PRELOAD: from the allocation number SCARCE on, every one fails.
local SCARCE = [[
#include <stdlib.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static long n, last;
static int fails(void)
{
	if (last == 0)
		last = atol(getenv("SCARCE"));
	return ++n >= last;
}
void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void *calloc(size_t k, size_t size) { return fails() ? NULL : __libc_calloc(k, size); }
void *realloc(void *p, size_t size) { return fails() ? NULL : __libc_realloc(p, size); }
]]

--- Run scripts, given as texts, in a folder of their own; they are a.lua, b.lua …
local function run(options, ...)
  local folder, files = shell.folder(), {}
  for i, text in ipairs { ... } do
    files[i] = shell.write(("%s/%s.lua"):format(folder, ("abcdef"):sub(i, i)), text)
  end
  return shell.run(("%s run %s %s"):format(closerace, options, table.concat(files, " ")))
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

describe("closerace", function()
  it("without a command shows the usage and ends with 2", function()
    local result = shell.run(closerace)
    assert.equal(2, result.status)
    assert.equal("", result.stdout)
    has(result.stderr, "closerace run")
  end)

  it("names an unknown command and the known ones, and ends with 2", function()
    local result = shell.run(closerace .. " rnu")
    assert.equal(2, result.status)
    has(result.stderr, "'rnu'")
    has(result.stderr, "run, list, ")
  end)

  it("--help and --version end with 0", function()
    local help, version = shell.run(closerace .. " --help"), shell.run(closerace .. " --version")
    assert.equal(0, help.status)
    has(help.stdout, "closerace run")
    assert.equal(0, version.status)
    assert.equal("closerace " .. race.version .. "\n", version.stdout)
  end)

  it("lists every word of the product", function()
    local result = shell.run(closerace .. " list")
    assert.equal(0, result.status)
    for _, words in pairs(race.words()) do
      for _, word in ipairs(words) do has(result.stdout, type(word) == "table" and word.word or word) end
    end
  end)

  it("list fits a terminal, and takes no arguments", function()
    for line in shell.run(closerace .. " list").stdout:gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
    local result = shell.run(closerace .. " list points")
    assert.equal(2, result.status)
    has(result.stderr, "'points'")
  end)

  it("does not vouch for output that was lost; a reader that went away wanted no more", function()
    for _, command in ipairs { "list", "--help", "run --help", "run --quiet /dev/null" } do
      local result = shell.run(("%s %s >/dev/full"):format(closerace, command))
      assert.equal(70, result.status, command)
      has(result.stderr, "cannot be written")
    end
    local result = shell.run(("{ %s list; echo status $? >&2; } | true"):format(closerace))
    assert.equal("status 0\n", result.stderr)
  end)

  -- A sanitizer has an allocator of its own, so this is for the plain build alone.
  local plainly = shell.build:find "address" and function() end or it
  plainly("says so where there is no memory, from whichever allocation on", function()
    local folder = shell.folder()
    local source = shell.write(folder .. "/scarce.c", SCARCE)
    assert.equal(0, shell.run(("cc -shared -fPIC -o %s/scarce.so %s"):format(folder, source)).status)
    local outcomes = {}
    for n = 1, 9000, 180 do
      local result = shell.run(("LD_PRELOAD=%s/scarce.so SCARCE=%d %s list"):format(folder, n, closerace))
      assert.is_true(result.status == 0 or result.status == 70, result.stderr)
      outcomes[result.status] = true
    end
    assert.same({ [0] = true, [70] = true }, outcomes)
  end)

  it("proxy and backend are the programs beside it", function()
    for _, name in ipairs { "proxy", "backend" } do
      local result = shell.run(("%s %s --version"):format(closerace, name))
      assert.equal(0, result.status)
      assert.equal(("closerace-%s %s\n"):format(name, race.version), result.stdout)
    end
  end)
end)

describe("closerace run", function()
  after_each(shell.clean)

  it("says in a line what became of a script, and under it what the script said", function()
    local result = run("", GOOD)
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    assert.truthy(result.stdout:find "^ok +a +clean +200 +1 attempt")
    has(result.stdout, "      | told\t200")
    has(result.stdout, "1 passed, ")
  end)

  it("--quiet says nothing of a script that held", function()
    local result = run("--quiet", GOOD, "error 'no'")
    assert.equal(1, result.status)
    assert.falsy(result.stdout:find "ok +a")
    assert.truthy(result.stdout:find "FAIL +b")
    has(result.stdout, "1 passed, 1 failed")
  end)

  it("a script that throws ends it with 1; place, message and last events are shown", function()
    local result = run("", GOOD .. "error 'the account is empty'")
    assert.equal(1, result.status)
    assert.truthy(result.stdout:find "^FAIL +a ")
    has(result.stdout, "a.lua:6: the account is empty")
    has(result.stdout, "last events:")
    has(result.stdout, "executed")
    has(result.stdout, "1 failed")
  end)

  it("an assertion that fails ends it with 1, but the other scripts are run", function()
    local result = run("", "assert(1 == 2, 'not equal')", GOOD)
    assert.equal(1, result.status)
    has(result.stdout, "not equal")
    assert.truthy(result.stdout:find "\nok +b ")
  end)

  it("an error need not be a text", function()
    local result = run("", "error({})", "error()")
    assert.equal(1, result.status)
    has(result.stdout, "2 failed")
  end)

  it("a syntax error is a failure with its place", function()
    local result = run("", "local x =\n= 1")
    assert.equal(1, result.status)
    has(result.stdout, "a.lua:2:")
  end)

  it("a file that is not there is a failure with its name", function()
    local result = shell.run(closerace .. " run /nowhere/at_all.lua")
    assert.equal(1, result.status)
    has(result.stdout, "/nowhere/at_all.lua")
  end)

  it("a directory is a failure", function()
    assert.equal(1, shell.run(closerace .. " run /tmp").status)
  end)

  it("ends with 77 where everything was skipped, and says why", function()
    local skipped = "require 'closerace'.need 'no-such-program'"
    local result = run("", skipped)
    assert.equal(77, result.status)
    has(result.stdout, "no-such-program is not installed")
    assert.equal(0, run("", skipped, GOOD).status)
    assert.equal(1, run("", skipped, "error 'no'").status)
  end)

  it("wrong usage ends with 2 and says what was expected", function()
    for options, message in pairs {
      [""] = "no script given",
      ["--quite"] = "unknown option '--quite'; did you mean --quiet?",
      ["--zzz"] = "unknown option '--zzz'; allowed: --repeat",
      ["--repeat"] = "--repeat: a value is missing",
      ["--repeat 0 x.lua"] = "got '0'",
      ["--repeat 1.5 x.lua"] = "got '1.5'",
      ["--repeat -1 x.lua"] = "got '-1'",
      ["--repeat often x.lua"] = "got 'often'",
    } do
      local result = shell.run(closerace .. " run " .. options)
      assert.equal(2, result.status)
      has(result.stderr, message)
      assert.equal("", result.stdout)
    end
  end)

  it("--help ends with 0", function()
    local result = shell.run(closerace .. " run --help")
    assert.equal(0, result.status)
    has(result.stdout, "--repeat N")
  end)

  it("--repeat runs a script so many times, in one line", function()
    local result = run("--repeat 5", GOOD)
    assert.equal(0, result.status)
    has(result.stdout, "1 passed, each 5 times")
    local _, n = result.stdout:gsub("ok +a", "")
    assert.equal(1, n)
  end)

  it("--repeat=N is the same", function()
    has(run("--repeat=5", GOOD).stdout, "1 passed, each 5 times")
    assert.equal(2, run("--repeat=", GOOD).status)
  end)

  it("--repeat reports a verdict that varied, with every outcome and its number", function()
    local result = run("--repeat 4", [[
      n = (n or 0) + 1
      local race = require "closerace"
      local lab <close> = race.lab()
      local backend = lab:backend { faults = n == 3 and { { on = "executed", close = "rst" } } or {} }
      lab:client { to = backend }:request { id = "v" }
      lab:verdict "v"
    ]])
    assert.equal(1, result.status)
    assert.truthy(result.stdout:find "^VARIED +a ")
    has(result.stdout, "3 times:")
    has(result.stdout, "1 time:")
    has(result.stdout, "v clean told 200")
    has(result.stdout, "v ghost told reset")
    has(result.stdout, "1 varied")
  end)

  it("--repeat says in which repetition a script threw", function()
    local result = run("--repeat 4", "n = (n or 0) + 1 assert(n < 3, 'tired')")
    assert.equal(1, result.status)
    has(result.stdout, "in repetition 3 of 4: ")
    has(result.stdout, "tired")
  end)

  it("the scripts of one run do not see each other's globals", function()
    assert.equal(0, run("", "left = 1", "assert(left == nil)").status)
  end)
end)

describe("closerace run, interrupted,", function()
  after_each(shell.clean)

  --- Start a script, wait for its word, interrupt it.
  local function interrupt(script, signal)
    local folder = shell.folder()
    local temporary = folder .. "/tmp"
    os.execute("mkdir " .. temporary)
    local file = shell.write(folder .. "/a.lua", script)
    local process = shell.start(("env TMPDIR=%s %s run %s"):format(temporary, closerace, file))
    local word = process:read_until "^ready ?(%d*)"
    process:signal(signal or "INT")
    return { status = process:wait(), word = word, output = process.output, left = shell.names(temporary) }
  end

  local BLOCKED = [[
    local race = require "closerace"
    local lab <close> = race.lab { deadline_ms = 3600000 }
    local sut = lab:sut {
      to = lab:backend(), argv = { "sh", "$CONFIG" }, config = "echo $LISTEN_FD; exec sleep 100000",
    }
    local exchange = lab:client { to = sut, timeout_ms = 0 }:start {}
    io.stderr:write("ready ", sut.pid, "\n")
    exchange:wait()
  ]]

  it("ends a script that waits: 130, no process and no file is left", function()
    local result = interrupt(BLOCKED)
    assert.equal(130, result.status)
    has(result.output, "interrupted")
    assert.False(shell.exists(tonumber(result.word)))
    assert.same({}, result.left)
  end)

  it("ends so on SIGTERM too", function()
    local result = interrupt(BLOCKED, "TERM")
    assert.equal(130, result.status)
    assert.False(shell.exists(tonumber(result.word)))
    assert.same({}, result.left)
  end)

  it("ends a script that only computes", function()
    local result = interrupt [[
      io.stderr:write "ready\n"
      local n = 0
      while true do n = n + 1 end
    ]]
    assert.equal(130, result.status)
  end)

  it("ends a script that computes in a task", function()
    local result = interrupt [[
      local race = require "closerace"
      local lab <close> = race.lab()
      local task = lab:task(function()
        io.stderr:write "ready\n"
        while true do end
      end)
      task:wait()
    ]]
    assert.equal(130, result.status)
  end)

  it("ends between a script and its report", function()
    local result = interrupt [[
      error(setmetatable({}, { __tostring = function()
        io.stderr:write "ready\n"
        while true do end
      end }))
    ]]
    assert.equal(130, result.status)
    has(result.output, "closerace: interrupted\n")
  end)

  it("takes what one process says twice, as timeout(1) does, for one interrupt", function()
    local folder = shell.folder()
    shell.write(folder .. "/a.lua", [[
      pcall(function()
        io.stderr:write "ready\n"      -- from here on the interrupt ends this function, and no more
        while true do end
      end)
      io.stderr:write "interrupted once\n"
      io.stderr:write(io.read(), "\n")
    ]])
    shell.write(folder .. "/twice.sh", ([[
      cd "$1" && mkfifo said told || exit
      %s run a.lua <told >/dev/null 2>said &
      exec 3>told 4<said
      read ready <&4; kill -INT $!
      read once <&4; kill -INT $!       # what is sent here is there before the word that follows
      echo "finishing" >&3
      read word <&4
      wait $!
      echo "$once, $word, status $?"
    ]]):format(closerace))
    assert.equal("interrupted once, finishing, status 130\n",
      shell.run(("timeout -k 1 600 sh %s/twice.sh %s"):format(folder, folder)).stdout)
  end)

  for _, second in ipairs { "INT", "TERM" } do
    it(("is ended at once by a second one (%s) from elsewhere"):format(second), function()
      local file = shell.write(shell.folder() .. "/a.lua", [[
        pcall(function()
          io.stderr:write "ready\n"
          while true do end
        end)
        io.stderr:write "interrupted once\n"
        for _ = 1, 1 << 32 do end
        io.stderr:write "went on\n"
      ]])
      local process = shell.start(("%s run %s"):format(closerace, file))
      process:read_until "^ready"
      process:signal "INT"
      process:read_until "interrupted once"
      process:signal(second)
      assert.equal(second == "INT" and 130 or 143, process:wait())
      assert.falsy(process.output:find "went on")
    end)
  end

  it("does not begin another script", function()
    local folder = shell.folder()
    local a = shell.write(folder .. "/a.lua", "io.stderr:write 'ready\\n' while true do end")
    local b = shell.write(folder .. "/b.lua", "io.stderr:write 'second\\n'")
    local process = shell.start(("%s run %s %s"):format(closerace, a, b))
    process:read_until "^ready"
    process:signal "INT"
    assert.equal(130, process:wait())
    assert.falsy(process.output:find "second")
  end)
end)

describe("closerace-proxy and closerace-backend", function()
  local proxy, backend = shell.program "closerace-proxy", shell.program "closerace-backend"

  it("--help tells every option, --version its own", function()
    for name, program in pairs { ["closerace-proxy"] = proxy, ["closerace-backend"] = backend } do
      local help, version = shell.run(program .. " --help"), shell.run(program .. " --version")
      assert.equal(0, help.status)
      has(help.stdout, "usage: " .. name)
      has(help.stdout, "--upstream")
      assert.equal(0, version.status)
      assert.equal(("%s %s\n"):format(name, race.version), version.stdout)
    end
  end)

  it("wrong usage ends with 2 and names what was wrong", function()
    for command, message in pairs {
      [proxy] = "--listen",
      [proxy .. " --listen 127.0.0.1:0"] = "--upstream",
      [proxy .. " --listen 127.0.0.1:0 --upstream"] = "--upstream",
      [proxy .. " --listen 127.0.0.1:0 --upstream 127.0.0.1:1 --retry sometimes"] = "idempotent",
      [proxy .. " --listen 127.0.0.1:0 --upstream 127.0.0.1:1 --retires 1"] = "retires",
      [proxy .. " --listen 127.0.0.1:99999 --upstream 127.0.0.1:1"] = "--listen",
      [proxy .. " --listen 192.0.2.1:0 --upstream 127.0.0.1:1"] = "192.0.2.1",
      [proxy .. " stray"] = "stray",
      [proxy .. " --retires"] = "'retires' is not an option",
      [proxy .. " --retries"] = "a value is missing after --retries",
      [proxy .. " --listen=127.0.0.1:0 --upstream=127.0.0.1:1 --retry=sometimes"] = "'sometimes'",
      [backend] = "--listen",
      [backend .. " --listen"] = "--listen",
      [backend .. " --listen nowhere"] = "nowhere",
      [backend .. " --listen fd@0"] = "fd@0",
      [backend .. " --listen 127.0.0.1:0 --fault on=never,close=fin"] = "request_end",
      [backend .. " --listen 127.0.0.1:0 --keep-alife 1"] = "keep_alife",
      [backend .. " stray"] = "stray",
      [backend .. " --keep-alife"] = "'keep_alife' is not an option",
      [backend .. " --fault"] = "--fault needs a value",
      [backend .. " --listen=127.0.0.1:0 --fault=on=never,close=fin"] = "request_end",
    } do
      local result = shell.run(command)
      assert.equal(2, result.status, command)
      has(result.stderr, message)
      assert.equal("", result.stdout)
    end
  end)

  local servers

  before_each(function() servers = {} end)

  after_each(function()                         -- only those that a failed test left
    for _, server in ipairs(servers) do
      if io.type(server.pipe) == "file" then
        server:signal "KILL"
        server:wait()
      end
    end
  end)

  --- Start a server on a port of the kernel's choice.
  local function serve(command)
    local server = shell.start(command .. " --listen 127.0.0.1:0")
    servers[#servers + 1] = server
    server.address = server:read_until "listening on ([%d.:]+)"
    return server
  end

  local function ends_with_0(server, signal)
    server:signal(signal)
    assert.equal(0, server:wait())
  end

  it("serve a request, and end with 0 on SIGTERM", function()
    local origin = serve(backend)
    local front = serve(proxy .. " --upstream " .. origin.address)
    local result = shell.run(("curl -sS http://%s/id/c1/item http://%s/bytes/3"):format(front.address, front.address))
    assert.equal(0, result.status)
    assert.equal(3, #result.stdout:match "[^\n]*$")
    ends_with_0(front, "TERM")
    ends_with_0(origin, "TERM")
    has(origin.output, "executed conn=1 request=1 id=c1")
    has(origin.output, "attempt conn=1 request=1 id=c1 method=GET path=/id/c1/item")
  end)

  it("end with 0 on SIGINT", function()
    local origin = serve(backend)
    ends_with_0(serve(proxy .. " --upstream " .. origin.address), "INT")
    ends_with_0(origin, "INT")
  end)

  it("the control API serves again when descriptors are given back", function()
    local origin = shell.start(("sh -c 'ulimit -n 30; exec \"$0\" --listen 127.0.0.1:0 --control 127.0.0.1:0' %s")
      :format(backend))
    servers[#servers + 1] = origin
    local control = origin:read_until "control on ([%d.:]+)"
    local lab <close> = race.lab { real_time = true, deadline_ms = 10000 }
    local clients, exchanges = {}, {}
    for i = 1, 40 do
      clients[i] = lab:client { to = control }
      exchanges[i] = clients[i]:start { path = "/ledger" }
    end
    for i = 1, 10 do assert.equal(200, exchanges[i]:wait().status) end    -- so many find a descriptor
    for _, client in ipairs(clients) do client:close() end
    assert.equal(200, lab:client { to = control, timeout_ms = 2000 }:request { path = "/ledger" }.status)
    ends_with_0(origin, "TERM")
  end)

  it("know the edges of their sockets, whatever libevent's variables say", function()
    local origin = serve("env EVENT_NOEPOLL=1 " .. backend)
    local front = serve("env EVENT_NOEPOLL=1 " .. proxy .. " --upstream " .. origin.address)
    for server, n in pairs { [front] = 1, [origin] = 2 } do      -- libmicrohttpd has one of its own
      local held = shell.run(("ls -l /proc/%d/fd"):format(server.pid)).stdout
      assert.equal(n, select(2, held:gsub("eventpoll", "")))
      ends_with_0(server, "TERM")
    end
  end)

  it("a fault given on the command line is met through the proxy", function()
    local origin = serve(backend .. " --fault on=executed,close=rst,times=2")
    local front = serve(proxy .. " --retry never --upstream " .. origin.address)
    local get = "curl -sS -o /dev/null -w '%{http_code}' http://" .. front.address
    assert.equal("502", shell.run(get .. "/id/f1/").stdout)
    assert.equal("502", shell.run(get .. "/id/f2/").stdout)
    assert.equal("200", shell.run(get .. "/id/f3/").stdout)
    ends_with_0(front, "TERM")
    ends_with_0(origin, "TERM")
    has(origin.output, "on=executed close=rst")
  end)

  it("a second server cannot have a port that is taken", function()
    local origin = serve(backend)
    local result = shell.run(("%s --listen %s"):format(backend, origin.address))
    assert.equal(2, result.status)
    has(result.stderr, "Address already in use")
    ends_with_0(origin, "TERM")
  end)
end)
