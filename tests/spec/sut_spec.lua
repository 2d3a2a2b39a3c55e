--- A program of its own in the proxy's place.  Here it is our own closerace-proxy, or a shell.

local race = require "closerace"
local shell = require "shell"

local BUILD = os.getenv "CLOSERACE_BUILD" or "build"
local PROXY = BUILD .. "/closerace-proxy"

local function start_proxy(lab, backend, ...)
  return lab:sut { to = backend, argv = { PROXY, "--listen", "fd@$LISTEN_FD", "--upstream", "$BACKEND", ... } }
end

--- A shell that does this; "$@" are the words.
local function start_shell(lab, script, words, more)
  local options = { to = lab:backend(), argv = { "sh", "-c", script, "sh", "$LISTEN_FD" } }
  table.move(words or {}, 1, #(words or {}), 6, options.argv)
  for name, value in pairs(more or {}) do options[name] = value end
  return lab:sut(options)
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function read_all(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

--- A temporary directory that is removed with its scope.
local function temporary()
  local name = os.tmpname()
  os.remove(name)
  assert(os.execute("mkdir " .. name))
  return setmetatable({ name = name }, { __close = function() os.execute("rm -r " .. name) end })
end

describe("a program under test", function()
  it("serves a client between it and the backend", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local sut = start_proxy(lab, backend)
    local client = lab:client { to = sut }
    local reply = client:request { path = "/bytes/100000", id = "b1" }
    assert.equal(200, reply.status)
    assert.equal(100000, #reply.body)
    assert.equal("1.1 closerace", reply.headers.via)
    assert.verdict("clean", lab, "b1")
    assert.is_false(sut.exited)
    assert.equal(("sut 1 (pid %d, running)"):format(sut.pid), tostring(sut))
    assert.truthy(tostring(lab):find "real time")
    assert.truthy(sut.address:find "^127%.0%.0%.1:%d+$")
  end)

  it("meets a crossing reset as our own proxy in the lab does", function()
    for _, method in ipairs { "GET", "POST" } do
      local again = method == "GET"
      local lab <close> = race.lab { deadline_ms = 10000 }
      local backend = lab:backend()
      local client = lab:client { to = start_proxy(lab, backend) }
      client:request { id = "warm" }
      local idle = backend:conn { carried = "warm" }
      idle:hold()
      local exchange = client:start { method = method, id = "v", body = method == "POST" and "x" or nil }
      idle:wait_arrival()
      idle:close "rst"
      assert.equal(again and 200 or 502, exchange:wait().status)
      local verdict = lab:verdict "v"
      assert.equal(again and "clean" or "refused", verdict.name)
      assert.equal(again and 2 or 1, verdict.attempts)
      assert.equal("crossing", verdict.order)
      assert.is_true(verdict.reached)
    end
  end)

  it("is told apart by its options: with retry never, nothing is sent again", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend { faults = { { on = "executed", id = "v", close = "fin" } } }
    local client = lab:client { to = start_proxy(lab, backend, "--retry", "never") }
    assert.equal(502, client:request({ id = "v" }).status)
    assert.verdict("ghost", lab, "v")
  end)

  it("may stand beside another one, and beside our own proxy", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    for i, to in ipairs { start_proxy(lab, backend), start_proxy(lab, backend), lab:proxy { to = backend } } do
      assert.equal(200, lab:client({ to = to }):request({ id = "v" .. i }).status)
      assert.verdict("clean", lab, "v" .. i)
    end
    assert.equal(3, backend.n_conns)
  end)

  it("that never answers costs only the client's own patience", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = start_shell(lab, "kill -STOP $$")
    local reply = lab:client({ to = sut, timeout_ms = 30 }):request { id = "v" }
    assert.is_true(reply.timeout)
    assert.verdict("hung", lab, "v")
  end)
end)

describe("the words of a program's command line", function()
  it("are filled in, in argv, config and env", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local sut = lab:sut {
      to = backend,
      argv = { "sh", "-c", [[printf '%s\n' "$@" "$PLACE"; cat "$4"]], "sh", "$LISTEN", "$BACKEND", "$BACKEND_PORT",
        "$CONFIG", "$DIR", "$LISTEN_FD", "a$BACKEND_PORT-b", "$UNKNOWN" },
      config = "listen $LISTEN fd $LISTEN_FD $$\n",
      env = { "PLACE=in $DIR" },
    }
    assert.same({ "exit", 0 }, { sut:wait_exit() })
    local lines = {}
    for line in sut.output:gmatch "[^\n]+" do lines[#lines + 1] = line end
    local dir = lines[5]
    assert.same({ sut.address, backend.address, tostring(backend.port), dir .. "/config", dir, "3",
      "a" .. backend.port .. "-b", "$UNKNOWN", "in " .. dir, "listen " .. sut.address .. " fd 3 $$" }, lines)
  end)

  it("with $LISTEN_FD get a listening socket", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    for _, options in ipairs {
      { argv = { "true", "$LISTEN_FD" } }, { argv = { "true" }, config = "$LISTEN_FD" },
      { argv = { "true" }, env = { "FD=$LISTEN_FD" } },
    } do
      options.to = backend
      assert.same({ "exit", 0 }, { lab:sut(options):wait_exit() })
    end
  end)

  it("with $LISTEN alone name a port where the program listens by itself, and nobody waits in vain for it", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local sut = lab:sut { to = backend, argv = { PROXY, "--listen", "$LISTEN", "--upstream", "$BACKEND" } }
    assert.equal(200, lab:client({ to = sut }):request({}).status)
  end)

  it("name its directory also to the script, as long as the lab is open", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = lab:sut { to = lab:backend(), argv = { "sh", "-c", "printf %s answer >$DIR/file" } }
    sut:wait_exit()
    assert.equal("answer", read_all(sut.dir .. "/file"))
  end)

  it("without $LISTEN_FD get no listening socket: a client under test", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend { faults = { { on = "executed", close = "rst" } } }
    local sut = lab:sut { to = backend, argv = { "curl", "-s", "http://$BACKEND/id/c1/pay", "-d", "amount=10" } }
    assert.is_nil(sut.address)
    assert.error_matches(function() lab:client { to = sut } end, "does not listen")
    assert.same({ "exit", 56 }, { sut:wait_exit() })       -- curl's word for a connection reset
    assert.equal(1, backend:ledger("c1").executed)
    local files = lab:sut { to = backend, argv = { "sh", "-c", "[ -e /proc/self/fd/3 ]" } }
    assert.same({ "exit", 1 }, { files:wait_exit() })
  end)
end)

describe("a program's files", function()
  local function start_with(files, script, more)
    local lab = race.lab { deadline_ms = 10000 }
    local options = { to = lab:backend(), argv = { "sh", "-c", script, "sh", "$DIR" }, files = files }
    for name, value in pairs(more or {}) do options[name] = value end
    return lab, lab:sut(options)
  end

  it("are written where it looks for them, also in directories, with the words filled in", function()
    local lab <close>, sut = start_with({ plain = "to $BACKEND in $DIR", ["one/two/deep"] = "deep", ["a..b"] = "dots" },
      'cd "$1"; cat plain; echo; cat one/two/deep; echo; cat a..b config', { config = "beside" })
    assert.same({ "exit", 0 }, { sut:wait_exit() })
    local to, dir = sut.output:match "^to (127%.0%.0%.1:%d+) in (%S+)\ndeep\ndotsbeside$"
    assert.truthy(to, sut.output)
    lab:close()
    assert.is_nil(os.rename(dir, dir))
  end)

  it("tell a program of a port, too", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = lab:sut { to = lab:backend(), files = { options = "fd@$LISTEN_FD" },
      argv = { "sh", "-c", '"$1" --listen "$(cat "$2/options")" --upstream "$3"', "sh", PROXY, "$DIR", "$BACKEND" } }
    assert.equal(200, lab:client({ to = sut }):request({}).status)
  end)

  it("do not leave its directory", function()
    for _, name in ipairs { "..", "../beside", "a/../../beside", "/../beside", "a/.." } do
      assert.error_matches(function() start_with({ [name] = "x" }, "true") end,
        "the name of a file leads out of its directory")
    end
    assert.error_matches(function() start_with({ ["a/"] = "x" }, "true") end, "cannot write its files")
  end)

  it("are names and texts", function()
    for _, files in ipairs { { "text" }, { name = 1 }, { name = {} } } do
      assert.error_matches(function() start_with(files, "true") end, "files: expected at most 16, as name = text")
    end
    assert.error_matches(function() start_with("text", "true") end, "files: expected a table")
  end)
end)

describe("a program that listens by itself", function()
  it("is told the place in one word, or the port alone", function()
    for _, words in ipairs { { "$LISTEN" }, { "127.0.0.1:$LISTEN_PORT" } } do
      local lab <close> = race.lab { deadline_ms = 10000 }
      local sut = lab:sut { to = lab:backend(),
        argv = { PROXY, "--listen", words[1], "--upstream", "$BACKEND" } }
      assert.equal(200, lab:client({ to = sut }):request({ id = "v" }).status)
      assert.verdict("clean", lab, "v")
    end
  end)

  it("has a port of its own beside others", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local seen = {}
    for i = 1, 5 do
      local sut = lab:sut { to = backend, argv = { PROXY, "--listen", "$LISTEN", "--upstream", "$BACKEND" } }
      assert.is_nil(seen[sut.address])
      seen[sut.address] = true
      assert.equal(200, lab:client({ to = sut }):request({ id = "v" .. i }).status)
    end
  end)

  it("and is busy instead, is given up when the lab's deadline is over", function()
    local lab <close> = race.lab { deadline_ms = 200 }
    assert.error_matches(function()
      lab:sut { to = lab:backend(), argv = { "sh", "-c", "echo busy; while :; do :; done", "sh", "$LISTEN" } }
    end, "but the lab's deadline is over; it said: busy$")
  end)

  it("and never does, is told so with its own words, as soon as it rests", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    assert.error_matches(function()
      lab:sut { to = backend, argv = { "sh", "-c", "echo I wait for you; mkfifo \"$1/fifo\"; read x <\"$1/fifo\"",
        "sh", "$DIR", "$LISTEN" } }
    end, "sh was to listen on 127%.0%.0%.1:%d+, but it waits and does not listen there; it said: I wait for you$")
    assert.equal("lab (virtual time, 0 ms)", tostring(lab))
  end)

  it("and ends at once, is told so with the end of what it said", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local good, err = pcall(function()
      lab:sut { to = backend, argv = { "sh", "-c",
        "i=0; while [ $i -lt 200 ]; do echo line $i of much; i=$((i + 1)); done; echo no such option >&2; exit 2",
        "sh", "$LISTEN" } }
    end)
    assert.is_false(good)
    assert.truthy(err:find "but it ended; it said: line %d+ of much\n", err)
    assert.truthy(err:find "line 199 of much\nno such option$", err)
  end)
end)

--- A shell that says "up" when it begins, and then does this.
local function start_upped(lab, script)
  local sut = start_shell(lab, "echo up; " .. script)
  repeat lab:advance(1) until sut.output ~= ""
  return sut
end

describe("lab:rest", function()
  it("tells that every program is at rest", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local client = lab:client { to = start_proxy(lab, backend) }
    start_proxy(lab, backend)
    local exchange = client:start { id = "v" }
    assert.is_true(lab:rest())
    -- What the programs, and the lab, have had to do is done, without a wait for it.
    assert.equal(1, backend:ledger("v").executed)
    assert.equal(200, exchange:wait().status)
  end)

  it("tells that one of them is busy for ever", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    start_proxy(lab, lab:backend())
    start_upped(lab, "while :; do :; done")
    assert.is_false(lab:rest(20))
  end)

  --- Start a shell that comes after all others on processor 0, where somebody else never rests.
  -- @return it, and who has to be ended
  local function start_starved(lab, script)
    local other = shell.start "taskset -c 0 sh -c 'echo up; while :; do :; done'"
    other:read_until "up"
    return lab:sut { to = lab:backend(), argv = { "nice", "-n", "10", "taskset", "-c", "0", "sh", "-c", script } },
      setmetatable({}, { __close = function()
        other:signal "KILL"
        other:wait()
      end })
  end

  -- Some 20 ms of work, for which it gets a tenth of a processor at most.
  local WORK = "i=0; while [ $i -lt 40000 ]; do i=$((i + 1)); done; echo done; exec sleep 100000"

  it("counts the processor time that a program has had, not the clock", function()
    local lab <close> = race.lab { deadline_ms = 60000 }
    local sut, _ <close> = start_starved(lab, WORK)
    assert.is_true(lab:rest(100))
    assert.equal("done\n", sut.output)
  end)

  it("is true where there is none, and where it has ended", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    assert.is_true(lab:rest())
    assert.equal("lab (virtual time, 0 ms)", tostring(lab))
    local sut = start_shell(lab, "exit 0")
    sut:wait_exit()
    assert.is_true(lab:rest())
  end)

  it("takes milliseconds", function()
    local lab <close> = race.lab()
    for _, ms in ipairs { 0, -1, 86400001 } do
      assert.error_matches(function() lab:rest(ms) end, "expected milliseconds from 1 to 86400000")
    end
    assert.error_matches(function() lab:rest "soon" end, "number expected")
  end)

  it("is not for a task", function()
    local lab <close> = race.lab()
    assert.error_matches(function()
      lab:task(function() lab:rest() end)
      lab:advance(1)
    end, "lab:rest: not in a task")
  end)
end)

describe("a program that is stopped", function()
  it("answers nothing until it goes on", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local sut = start_proxy(lab, backend)
    local client = lab:client { to = sut }
    client:request {}
    sut:stop()
    sut:stop()
    local exchange = client:start { id = "v" }
    assert.is_true(lab:rest())
    assert.equal(0, #backend:ledger "v")
    sut:continue()
    sut:continue()
    assert.equal(200, exchange:wait().status)
    assert.verdict("clean", lab, "v")
  end)

  it("is stopped with its children", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    start_upped(lab, "(while :; do :; done) & while :; do :; done"):stop()
    assert.is_true(lab:rest())
  end)

  --- A request and the end of the idle connection, in this order, both before the program sees either.
  local function queue(ends_first)
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local sut = start_proxy(lab, backend)
    local client = lab:client { to = sut }
    client:request { id = "warm" }
    assert.is_true(lab:rest())
    local idle = backend:conn { carried = "warm" }
    sut:stop()
    local exchange
    if ends_first then
      idle:close "fin"
      exchange = client:start { method = "POST", id = "v" }
    else
      exchange = client:start { method = "POST", id = "v" }
      idle:close "fin"
    end
    assert.is_true(lab:rest())
    sut:continue()
    local status = exchange:wait().status
    return status, lab:verdict("v").name, lab:verdict("v").connections
  end

  it("finds what came meanwhile: the end of a connection in front of a request", function()
    assert.same({ 200, "clean", 1 }, { queue(true) })
  end)

  it("finds what came meanwhile: the end of a connection behind a request", function()
    assert.same({ 200, "clean", 1 }, { queue(false) })
  end)

  it("can be ended", function()
    local lab = race.lab { deadline_ms = 10000 }
    local sut = start_proxy(lab, lab:backend())
    local pid = sut.pid
    sut:stop()
    lab:close()
    assert.is_false(exists(("/proc/%d/stat"):format(pid)))
  end)
end)

describe("lab:reset", function()
  it("lets a program run on, and forgets what was", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local sut = start_proxy(lab, backend)
    local client = lab:client { to = sut }
    local pid, address = sut.pid, sut.address
    for i = 1, 3 do
      assert.equal(200, client:request({ id = "v" }).status)
      assert.verdict("clean", lab, "v")
      assert.equal(1, backend.n_conns, "round " .. i)
      if i == 2 then sut:stop() end                       -- it goes on with the next beginning
      lab:reset()
      assert.is_true(lab:rest())
      assert.equal(0, backend.n_conns)
      assert.equal(0, #backend:ledger())
      assert.same({ pid, address, false }, { sut.pid, sut.address, sut.exited })
    end
  end)

  it("lets accepting go on", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    backend:hold()
    lab:reset()
    assert.error_matches(function() backend:accept() end, "accepting is not held")
    assert.equal(200, lab:client({ to = backend }):request({}).status)
  end)
end)

describe("a backend that holds accepting", function()
  it("lets who connects wait, and accepts them when told to", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    backend:hold()
    assert.equal(0, backend:accept())
    local first = lab:client({ to = backend }):start { id = "a" }
    local second = lab:client({ to = backend }):start { id = "b" }
    lab:advance(1)
    assert.same({ 0, 0 }, { backend.n_conns, #backend:ledger() })
    assert.equal(2, backend:accept())
    assert.equal(200, first:wait().status)
    assert.equal(200, second:wait().status)
    local third = lab:client({ to = backend }):start { id = "c" }
    lab:advance(1)
    assert.equal(2, backend.n_conns)
    backend:release()
    backend:release()
    assert.equal(200, third:wait().status)
    assert.equal(3, backend.n_conns)
  end)

  it("serves the connections that it has", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local client = lab:client { to = backend }
    client:request {}
    backend:hold()
    backend:hold()
    assert.equal(200, client:request({}).status)
    assert.equal(1, backend.n_conns)
  end)

  it("lets a program wait, too", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local backend = lab:backend()
    local client = lab:client { to = start_proxy(lab, backend) }
    backend:hold()
    local exchange = client:start { id = "v" }
    assert.is_true(lab:rest())
    assert.equal(0, backend.n_conns)
    assert.equal(1, backend:accept())
    assert.equal(200, exchange:wait().status)
    assert.verdict("clean", lab, "v")
  end)

  it("must hold it, to be told to", function()
    local lab <close> = race.lab()
    local backend = lab:backend()
    assert.error_matches(function() backend:accept() end, "backend:accept: accepting is not held; call backend:hold")
    backend:hold()
    backend:release()
    assert.error_matches(function() backend:accept() end, "accepting is not held")
  end)
end)

describe("a program that fails", function()
  it("by not being there, is told at the script's line", function()
    local lab <close> = race.lab()
    local good, err = pcall(function()
      lab:sut { to = lab:backend(), argv = { "./no-such-program", "$LISTEN_FD" } }
    end)
    assert.is_false(good)
    assert.truthy(err:find "sut_spec.lua:%d+: lab:sut: ", err)
    assert.truthy(err:find("./no-such-program: No such file or directory", 1, true), err)
    -- No program took part: time is virtual as before.
    assert.equal("lab (virtual time, 0 ms)", tostring(lab))
  end)

  it("by not being a program, is told so, too", function()
    local lab <close> = race.lab()
    assert.error_matches(function() lab:sut { to = lab:backend(), argv = { "/", "$LISTEN_FD" } } end,
      "/: Permission denied")
  end)

  it("where there is no /proc, says what is lacking", function()
    local script = shell.write(shell.folder() .. "/a.lua", [[
      local lab <close> = require "closerace".lab()
      lab:sut { to = lab:backend(), argv = { "sleep", "1" } }
    ]])
    if shell.build:find("address", 1, true) then return pending "AddressSanitizer itself needs /proc" end
    local result = shell.run(("unshare -rm sh -c 'mount -t tmpfs none /proc || exit 77; exec %s/closerace run %s'")
      :format(shell.build, script))
    shell.clean()
    if result.status == 77 or result.stderr:find "unshare" then return pending "no mount namespace" end
    assert.equal(1, result.status)
    assert.truthy(result.stdout:find("lab:sut: that a program is at rest is seen in /proc/PID/task", 1, true))
  end)

  it("by exiting at once, says why in its own words, and nobody waits", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = start_shell(lab, "echo cannot read the config >&2; echo and more; exit 3")
    local reply = lab:client({ to = sut }):request { id = "v" }
    assert.is_true(reply.refused or reply.reset, tostring(reply))
    assert.same({ "exit", 3 }, { sut:wait_exit() })
    assert.is_true(sut.exited)
    assert.equal("cannot read the config\nand more\n", sut.output)
    assert.truthy(tostring(sut):find("exited", 1, true))
    assert.verdict("refused", lab, "v")
  end)

  it("fails the lab, in its own words, unless the script has asked how it ended", function()
    local function end_with(status, asks)
      local lab <close> = race.lab { deadline_ms = 10000 }
      local sut = start_shell(lab, "echo cannot read the config >&2; exit " .. status)
      repeat lab:advance(1) until tostring(sut):find "exited"
      if status ~= 0 then
        assert.truthy(tostring(lab:trace()):find("status 3: cannot read the config", 1, true))
      end
      if asks then assert.is_true(sut.exited) end
    end
    assert.error_matches(function() end_with(3) end, "sut 1 ended by itself.*cannot read the config")
    end_with(3, true)
    end_with(0)
  end)

  it("of our own by a wrong option, says what is allowed", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = start_proxy(lab, lab:backend(), "--retry", "sometimes")
    assert.same({ "exit", 2 }, { sut:wait_exit() })
    for _, word in ipairs { "retry", "sometimes", "never", "idempotent", "always" } do
      assert.truthy(sut.output:find(word, 1, true), sut.output)
    end
  end)

  it("by being killed, is told by its signal, and its clients see it", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = start_proxy(lab, lab:backend())
    local client = lab:client { to = sut }
    client:request {}
    local pending_one = client:start { path = "/delay/60000", id = "v" }
    assert(os.execute("kill -9 " .. sut.pid))
    local reply = pending_one:wait()
    assert.is_true(reply.closed)
    assert.same({ "signal", 9 }, { sut:wait_exit() })
    assert.is_true(client:request({}).refused)
  end)

  it("may keep apart what it says to stderr", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local say = { "sh", "-c", [[printf 'a\0b'; printf 'c\0d' >&2]] }
    local sut = lab:sut { to = lab:backend(), argv = say, apart = true }
    sut:wait_exit()
    assert.same({ "a\0b", "c\0d" }, { sut.output, sut.errors })
    local other = lab:sut { to = lab:backend(), argv = say }
    other:wait_exit()
    assert.same({ "a\0bc\0d", "" }, { other.output, other.errors })
  end)

  it("is waited for no longer than is wanted", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = start_shell(lab, "kill -STOP $$; exit 3")
    assert.same({}, { sut:wait_exit(0) })
    assert.same({}, { sut:wait_exit(20) })
    assert.is_false(sut.exited)
    repeat lab:rest() until io.open(("/proc/%d/stat"):format(sut.pid)):read("a"):find ") T"
    assert(os.execute("kill -CONT " .. sut.pid))
    assert.same({ "exit", 3 }, { sut:wait_exit(9000) })
    assert.error_matches(function() sut:wait_exit(-1) end, "expected milliseconds from 0")
  end)

  it("has ended where it rests because it has ended", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    for _ = 1, 20 do
      local sut = start_shell(lab, "exit 3")
      assert.is_true(lab:rest(9000))
      assert.is_true(sut.exited)
    end
  end)

  it("may say as much as it likes", function()
    local lab <close> = race.lab { deadline_ms = 10000 }
    local sut = start_shell(lab, "i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; " ..
      "i=$((i + 1)); done; exit 7")
    assert.same({ "exit", 7 }, { sut:wait_exit() })
    assert.equal("0123456789", sut.output:sub(1, 10))
  end)
end)

describe("when the lab closes", function()
  it("program and temporary directory are gone", function()
    local lab = race.lab { deadline_ms = 10000 }
    local sut = start_shell(lab, [[printf %s "$2"]], { "$DIR" }, { config = "x" })
    sut:wait_exit()
    local dir = sut.output
    assert.equal("x", read_all(dir .. "/config"))
    local running = start_proxy(lab, lab:backend())
    local pid = running.pid
    assert.is_true(exists(("/proc/%d/stat"):format(pid)))
    lab:close()
    assert.is_false(exists(("/proc/%d/stat"):format(pid)))
    assert.is_false(exists(dir .. "/config"))
    assert.is_nil(os.rename(dir, dir))
  end)

  it("so they are after a failed assertion", function()
    local pid
    local good = pcall(function()
      local lab <close> = race.lab { deadline_ms = 10000 }
      pid = start_proxy(lab, lab:backend()).pid
      error "failed"
    end)
    assert.is_false(good)
    assert.is_false(exists(("/proc/%d/stat"):format(pid)))
  end)

  it("the children of a program that ended before are gone, too", function()
    local dir <close> = temporary()
    local pipe = dir.name .. "/pipe"
    assert(os.execute("mkfifo " .. pipe))
    local reader = io.popen(("timeout 600 cat %s; echo status $?"):format(pipe))
    local lab = race.lab { deadline_ms = 10000 }
    local sut = start_shell(lab, [[exec 9>"$2"; sleep 100000 & exit 3]], { pipe })
    assert.same({ "exit", 3 }, { sut:wait_exit() })
    lab:close()
    assert.equal("status 0\n", reader:read "a")
    reader:close()
  end)

  it("the children of the program are gone, too", function()
    local dir <close> = temporary()
    local alive = dir.name .. "/alive"
    assert(os.execute("mkfifo " .. alive))
    local lab = race.lab { deadline_ms = 10000 }
    -- Whoever holds the pipe's other end is still alive; the child inherits it.
    local pipe <close> = assert(io.popen(("timeout 600 cat %s; echo status $?"):format(alive)))
    start_shell(lab, [[exec 9>"$2"; "$3" --listen fd@"$1" --upstream 127.0.0.1:1 & echo up >&9; wait]],
      { alive, PROXY })
    assert.equal("up", pipe:read "l")
    lab:close()
    assert.equal("status 0", pipe:read "l")
  end)
end)

describe("when closerace itself ends", function()
  --- Run a script whose program tells its pid through a pipe that ends when the program does; end closerace by a
  -- signal meanwhile.  Returns closerace's exit status, and whether the program's directory is still there.
  -- daemon: it is not the program, but a child that it has let go, in a session of its own.
  local function ended_by(signal, daemon)
    local dir <close> = temporary()
    local script = dir.name .. "/script.lua"
    local file <close> = assert(io.open(script, "w"))
    file:write(([[
      local race = require "closerace"
      local lab <close> = race.lab()
      local sut = lab:sut { to = lab:backend(), config = "x", argv = { "sh", "-c",
        'exec 9>%s/alive; if [ %s ]; then (setsid sh -c "trap : TERM HUP; echo $2 >&9; while :; do wait; done" &);' ..
        ' while :; do sleep 1000; done; fi; echo "$2" >&9; exec "$1" --listen fd@$3 --upstream "$4"', "sh",
        "%s", "$DIR", "$LISTEN_FD", "$BACKEND" } }
      sut:wait_exit()
    ]]):format(dir.name, daemon and "daemon" or "", PROXY))
    file:close()
    local run = assert(io.popen(([[
      mkfifo %s/alive
      %s/closerace run %s >/dev/null 2>&1 &
      closerace=$!
      exec 3<%s/alive
      read -r place <&3
      kill -%s $closerace
      timeout 600 cat <&3 || echo held # until nobody holds the other end
      wait $closerace
      echo $?
      [ -d "$place" ] && echo left && rm -r "$place" || echo gone
    ]]):format(dir.name, BUILD, script, dir.name, signal)))
    local status, place = run:read("n", "l"), run:read "l"
    run:close()
    return status, place
  end

  it("by SIGTERM, program and directory are gone", function()
    local status, place = ended_by "TERM"
    assert.equal(130, status)
    assert.equal("gone", place)
  end)

  it("by SIGKILL, the program is gone", function()
    assert.equal(128 + 9, (ended_by "KILL"))
  end)

  it("its daemons are gone, too", function()
    local status, place = ended_by("TERM", true)
    assert.same({ 130, "gone" }, { status, place })
    assert.equal(128 + 9, (ended_by("KILL", true)))
  end)
end)

describe("with a server of one's own behind the valve, the verdict", function()
  --- A POST through our proxy and the valve to a server whose marks the lab does not know.
  local function meet_own(path, faults)
    local lab <close> = race.lab { real_time = true, deadline_ms = 10000 }
    local server = lab:sut {
      to = "127.0.0.1:1", argv = { BUILD .. "/closerace-backend", "--listen", "fd@$LISTEN_FD" },
    }
    local backend = lab:backend { upstream = server.address, faults = faults }
    lab:client({ to = lab:proxy { to = backend } }):request { method = "POST", path = path, id = "v" }
    local verdict = lab:verdict "v"
    return verdict.name, verdict.executed, verdict.told.status
  end

  it("is clean: it answered whole", function()
    assert.same({ "clean", 1, 200 }, { meet_own "/bytes/10" })
  end)

  it("is clean, too, where the answer is an error", function()
    assert.same({ "clean", 1, 500 }, { meet_own "/status/500" })
  end)

  it("is ghost, where the error is the proxy's", function()
    assert.same({ "ghost", 1, 502 }, { meet_own("/", { { on = "executed", close = "rst" } }) })
  end)

  it("is refused, where it never ran", function()
    assert.same({ "refused", 0, 502 }, { meet_own("/", { { on = "request_end", close = "fin" } }) })
  end)

  --- A POST to a server that runs it the first time and closes without an answer.
  local function meet_silent(retry)
    local lab <close> = race.lab { real_time = true, deadline_ms = 10000 }
    local server = lab:sut {
      to = "127.0.0.1:1", argv = { BUILD .. "/closerace-backend", "--listen", "fd@$LISTEN_FD",
        "--fault", "on=executed,close=fin" },
    }
    local backend = lab:backend { upstream = server.address }
    local proxy = lab:proxy { to = backend, retry = retry }
    lab:client({ to = proxy }):request { method = "POST", path = "/pay", id = "v" }
    local verdict, books = lab:verdict "v", backend:ledger "v"
    assert.equal(#books, verdict.attempts)
    assert.same({ verdict.executed, verdict.executed_max }, { books.executed, books.executed_max })
    return verdict.name, verdict.executed, verdict.executed_max, tostring(verdict)
  end

  it("is unknown, where it was read whole and never answered", function()
    assert.same({ "unknown", 0, 1, "unknown (executed 0 to 1, attempts 1)" }, { meet_silent "never" })
  end)

  --- A request that crosses the close which the server makes of its idle connection.
  local function meet_crossing(request)
    local lab <close> = race.lab { real_time = true, deadline_ms = 10000 }
    local server = lab:sut { argv = { "env", "-u", "LD_PRELOAD", "node", "-e", [[
      const server = require("http").createServer((request, response) => {
        request.resume();
        response.end("hi");
        if (request.url === "/tidy") server.closeIdleConnections();
      });
      server.keepAliveTimeout = 0;
      server.listen(process.argv[1], "127.0.0.1");
    ]], "$LISTEN_PORT" } }
    local backend = lab:backend { upstream = server.address }
    local client = lab:client { to = lab:proxy { to = backend } }
    client:request {}
    local conn = backend:conn(1)
    conn:hold "reading"
    conn:hold "sending"
    lab:client({ to = server }):request { path = "/tidy" }
    conn:wait_server_end()
    assert.is_true(conn.server_ended)
    assert.False(conn.ended)
    local exchange = client:start(request)
    conn:wait_arrival()
    conn:release()
    exchange:wait()
    local verdict, first = lab:verdict "v", backend:ledger()[1]
    assert.same({ "fin", false }, { first.server_close, first.ended })
    assert.truthy(tostring(lab:trace()):find("server ended", 1, true))
    return verdict.name, verdict.reached, verdict.order, verdict.executed_max, verdict.attempts
  end

  local with_node = os.execute "command -v node >/dev/null" and it
    or function(name) pending(name .. ": node is not installed") end

  with_node("is refused, where its own close crossed a POST", function()
    assert.same({ "refused", true, "crossing", 0, 1 }, { meet_crossing { method = "POST", path = "/pay", id = "v" } })
  end)

  with_node("is clean, where its own close crossed a GET", function()
    assert.same({ "clean", true, "crossing", 1, 2 }, { meet_crossing { path = "/item", id = "v" } })
  end)

  it("is unknown, where it was sent again and one of the two was answered", function()
    assert.same({ "unknown", 1, 2, "unknown (executed 1 to 2, attempts 2)" }, { meet_silent "always" })
  end)
end)
