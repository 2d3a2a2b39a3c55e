--- What the machine refuses: a file at its size limit, a standard descriptor that was closed.
local race = require "closerace"
local shell = require "shell"

local PROXY, BACKEND, CLOSERACE = shell.program "closerace-proxy", shell.program "closerace-backend",
  shell.program "closerace"

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

local function size_of(path)
  local file <close> = assert(io.open(path))
  return file:seek "end"
end

local lab, servers

before_each(function()
  servers = {}
  lab = race.lab { real_time = true, deadline_ms = 60000, timeline = false }
end)

after_each(function()
  lab:close()
  for _, server in ipairs(servers) do
    if io.type(server.pipe) == "file" then
      server:signal "KILL"
      server:wait()
    end
  end
  shell.clean()
end)

--- Start a program whose files cannot grow beyond so many blocks of 512 or 1024 bytes.
local function start_limited(blocks, command)
  local server = shell.start(("sh -c 'ulimit -f %d; exec \"$0\" \"$@\"' %s"):format(blocks, command))
  servers[#servers + 1] = server
  server.address = server:read_until "listening on ([%d.:]+)"
  return server
end

describe("a file at its size limit", function()
  for _, workers in ipairs { 1, 2 } do
    it("costs closerace-proxy lines of its log, no request, with --workers " .. workers, function()
      local log = shell.folder() .. "/log"
      local front = start_limited(4, ("%s --listen 127.0.0.1:0 --upstream 127.0.0.1:1 --workers %d --access-log %s")
        :format(PROXY, workers, log))
      for _ = 1, 60 do
        assert.equal(502, lab:client({ to = front.address }):request({ path = "/" .. ("x"):rep(200) }).status)
      end
      front:signal "TERM"
      assert.equal(0, front:wait(), front.output)
      has(front.output, "access log " .. log .. ": File too large; lines are lost")
      assert.is_true(size_of(log) <= 4096)
    end)
  end

  it("is an error of closerace matrix --save, which leaves nothing", function()
    local folder = shell.folder()
    local result = shell.run(("cd %s && ulimit -f 4 && %s matrix --save x.jsonl"):format(folder, CLOSERACE))
    assert.equal(70, result.status)
    has(result.stderr, "x.jsonl.part: File too large")
    assert.same({}, shell.names(folder))
  end)

  it("of stdout is an error of closerace, too", function()
    local folder = shell.folder()
    local result = shell.run(("cd %s && ulimit -f 1 && %s matrix --rules >out"):format(folder, CLOSERACE))
    assert.equal(70, result.status, result.stderr)
    has(result.stderr, "cannot be written")
  end)
end)

describe("a want of descriptors", function()
  --- Run it with so many descriptors, none of them ours.
  -- (To look for leaks takes descriptors of its own.)
  local function run(limit, workers)
    return shell.run(("exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n %d; "
      .. "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 timeout 600 %s --listen 127.0.0.1:0 --upstream 127.0.0.1:1 "
      .. "--workers %d --admin 127.0.0.1:0"):format(limit, PROXY, workers))
  end

  it("at the start is told by closerace-proxy in its own name, and is no success", function()
    for _, workers in ipairs { 1, 2 } do
      for limit = 4, 8 - workers do
        local result = run(limit, workers)
        assert.is_true(result.status == 1 or result.status == 2, limit .. ": " .. result.status)
        has(result.stderr, "Too many open files")
        for line in result.stderr:gmatch "[^\n]+" do
          assert.equal("closerace-proxy: ", line:sub(1, 17), line)
        end
      end
    end
  end)
end)

describe("a standard descriptor that is closed", function()
  --- Start a program without the three, on a socket that it inherits.
  local function start(program, options)
    return lab:sut { to = "127.0.0.1:1", argv = { "sh", "-c",
      ('listen=$1; shift; exec %s --listen "fd@$listen" %s <&- >&- 2>&-'):format(program, options),
      "sh", "$LISTEN_FD" } }
  end

  local function links(sut)
    local found = {}
    for fd = 0, 2 do
      local pipe <close> = io.popen(("readlink /proc/%d/fd/%d"):format(sut.pid, fd))
      found[fd + 1] = pipe:read "l" or "closed"
    end
    return found
  end

  local NULL = { "/dev/null", "/dev/null", "/dev/null" }

  it("becomes no socket of closerace-proxy", function()
    local sut = start(PROXY, "--upstream 127.0.0.1:1 --admin 127.0.0.1:0")
    assert.equal(502, lab:client({ to = sut }):request({}).status)
    assert.same(NULL, links(sut))
  end)

  it("becomes no socket of closerace-backend", function()
    local sut = start(BACKEND, "--control 127.0.0.1:0")
    assert.equal(200, lab:client({ to = sut }):request({}).status)
    assert.same(NULL, links(sut))
  end)

  it("becomes no socket of closerace", function()
    local result = shell.run(CLOSERACE .. " matrix --rules >&-")
    assert.equal(70, result.status)             -- the rules went nowhere
    local code = [[os.execute "readlink /proc/$PPID/fd/0 /proc/$PPID/fd/1 /proc/$PPID/fd/2 >out"]]
    local folder = shell.folder()
    shell.write(folder .. "/x.lua", code)
    shell.run(("cd %s && %s run x.lua <&- >&- 2>&-"):format(folder, CLOSERACE))
    local file <close> = assert(io.open(folder .. "/out"))
    assert.equal(table.concat(NULL, "\n") .. "\n", file:read "a")
  end)

  it("cannot be what an access log is written to", function()
    local result = shell.run(PROXY .. " --listen 127.0.0.1:0 --upstream 127.0.0.1:1 --access-log - >&-")
    assert.equal(2, result.status)
    has(result.stderr, "--access-log -: Bad file descriptor")
  end)
end)
