--- closerace-backend as a program: what it says on stdout, and how it ends.
local shell = require "shell"

local backend = shell.program "closerace-backend"

--- Run a script of the shell in which `start OPTIONS` has started the backend on pipes that nobody reads, beyond its
-- first line: $backend is its process, $at its address, $fifo the pipe.
local function unread(script)
  local folder = shell.folder()
  return shell.run(([[
cd %s && mkfifo fifo && exec 3<>fifo
start() {
  exec %s --listen 127.0.0.1:0 "$@" >&3 3>&- &
  backend=$!
  read -r _ _ at <&3
}
%s]]):format(folder, backend, script))
end

describe("closerace-backend whose stdout nobody reads", function()
  after_each(shell.clean)

  -- 6,000 requests whose two lines of 110 bytes fill any pipe, and any buffer worth its name.
  local get = 'curl -sS -o /dev/null -w "%{http_code}\\n" "http://$at/id/' .. ("x"):rep(55) .. '[1001-7000]/"'

  it("answers all the same, ends on SIGTERM, and says on stderr how much was lost", function()
    local result = unread('start 2>errors; ' .. get
      .. '\nkill -TERM $backend; wait $backend; echo "status $?"; cat errors')
    assert.equal(6000, select(2, result.stdout:gsub("200\n", "")))
    assert.matches("status 0", result.stdout)
    assert.matches("standard output: it is not read; lines are lost\n", result.stdout)
    local n_lost = tonumber(result.stdout:match "standard output: (%d+) lines were lost")
    -- 3 lines a request and the first one, of which the pipe has what it holds
    assert.is_true(n_lost > 18000 - 65536 // 80 and n_lost < 18000, n_lost)
    assert.equal(1, select(2, result.stdout:gsub("lines are lost", "")))
  end)

  it("ends on SIGINT", function()
    local result = unread('start 2>errors; ' .. get .. '\nkill -INT $backend; wait $backend; echo "status $?"')
    assert.matches("status 0", result.stdout)
  end)

  it("does not wait for stderr either, where that is the same pipe", function()
    local result = unread('start 2>&1; ' .. get .. '\nkill -TERM $backend; wait $backend; echo "status $?"')
    assert.equal(6000, select(2, result.stdout:gsub("200\n", "")))
    assert.matches("status 0", result.stdout)
  end)

  it("serves its control API", function()
    local result = unread('start --control 127.0.0.1:0 2>errors; read -r _ _ control <&3\n' .. get
      .. '\ncurl -sS -o ledger -w "control %{http_code}" http://$control/ledger; kill $backend; wait $backend')
    assert.matches("control 200", result.stdout)
  end)

  it("loses no line where it is read late, and none is torn", function()
    local result = unread('start 2>errors; ' .. get:gsub("7000", "3000") .. [[ >codes
kill -TERM $backend; exec 4<fifo 3>&-; cat <&4; wait $backend; echo "status $?"; cat errors]])
    assert.equal("", result.stderr)
    for _, word in ipairs { "executed", "answered", "attempt" } do
      assert.equal(2000, select(2, ("\n" .. result.stdout):gsub("\n" .. word .. " conn=%d+ request=%d+ id=x+%d+", "")))
    end
    assert.matches("status 0\n$", result.stdout)
  end)

  it("says so where its reader has gone", function()
    local result = shell.run(([[{ sh -c 'echo $$; exec "$0" --listen 127.0.0.1:0 2>&9' %s |
      { read -r backend; read -r _ _ at; exec <&-; curl -sS -o /dev/null "http://$at/"; kill -TERM $backend
      }; } 9>&1]])
      :format(backend))
    assert.matches("standard output: Broken pipe; lines are lost\n", result.stdout)
    assert.matches("standard output: 3 lines were lost\n", result.stdout)
    assert.equal("", result.stderr)
  end)
end)

describe("closerace-backend", function()
  it("says first, on stdout, where it listens", function()
    local result = shell.run(([[{ sh -c 'echo $$; exec "$0" --listen 127.0.0.1:0 --control 127.0.0.1:0 2>&9' %s |
      { read -r backend; read -r first; read -r second; echo "$first"; echo "$second"; kill -TERM $backend; }; } 9>&1]])
      :format(backend))
    assert.matches("^listening on 127%.0%.0%.1:%d+\ncontrol on 127%.0%.0%.1:%d+\n$", result.stdout)
  end)
end)

describe("a fault of closerace-backend that never fired", function()
  local origin

  local function ended_with(options, ask)
    origin = shell.start(("%s --listen 127.0.0.1:0 --control 127.0.0.1:0 %s"):format(backend, options))
    local at, control = origin:read_until "listening on (%S+)", origin:read_until "control on (%S+)"
    if ask then os.execute(ask:gsub("AT", at):gsub("CONTROL", control)) end
    origin:signal "TERM"
    return origin:wait()
  end

  it("is said last, and the exit status is 1", function()
    assert.equal(1, ended_with("--fault on=accept,close=rst,conn=9 --fault on=executed,close=fin,id=a,times=2",
      "curl -s -o /dev/null http://AT/id/a/"))
    assert.matches("\nnever_fired fault=1 conn=9,on=accept,close=rst\n[^\n]*1 fault never fired\n$", origin.output)
  end)

  it("may be optional", function()
    assert.equal(0, ended_with "--fault on=accept,close=rst,optional=true")
    assert.falsy(origin.output:find "never")
  end)

  it("counts where it was added while the backend ran", function()
    assert.equal(1, ended_with("", "curl -s -o /dev/null -H 'Content-Type: text/x-closerace-fault' "
      .. "--data on=accept,close=rst http://CONTROL/faults"))
    assert.matches("never_fired fault=1 on=accept,close=rst\n", origin.output)
  end)
end)
