--- What the machine lacks is said in a sentence, with a status of its own; it is no verdict.
local shell = require "shell"

local closerace = shell.program "closerace"

local function is_trouble(result, words)
  assert.equal(70, result.status, result.stderr)
  local is_said = false
  for _, text in ipairs(words) do is_said = is_said or result.stderr:find(text, 1, true) ~= nil end
  assert.is_true(is_said, result.stderr)
  assert.is_nil(result.stderr:find("traceback", 1, true))
  assert.is_nil(result.stderr:find "%[closerace", result.stderr)
  assert.is_nil(result.stdout:find("violations", 1, true))
end

describe("a run", function()
  teardown(shell.clean)

  for _, command in ipairs { "matrix -q --request get", "matrix -q -j 2 --request get",
      "trial get/reused/arrival/fin/crossing/none/cl" } do
    it("that lacks descriptors judges nobody: " .. command, function()
      for _, n in ipairs { 10, 12, 16, 20, 24 } do
        local result = shell.run(("ulimit -n %d; %s %s"):format(n, closerace, command))
        is_trouble(result, { "descriptors", "Too many open files" })
      end
    end)
  end

  it("without a network says so", function()
    local result = shell.run(("unshare -rn %s matrix -q --request get --point arrival"):format(closerace))
    if result.stderr:find "unshare" then return pending "no network namespace" end
    is_trouble(result, { "Network is unreachable: the interface lo has to be up" })
  end)

  it("whose baseline cannot be written says so, and what is no file is not replaced", function()
    local folder = shell.folder()
    local result = shell.run(("ln -s /dev/full %s/full; %s matrix -q --request get --point arrival --save %s/full")
      :format(folder, closerace, folder))
    assert.equal(70, result.status)
    assert.equal(("closerace: %s/full: No space left on device\n"):format(folder), result.stderr)
    assert.same({ "full" }, shell.names(folder))
    assert.is_true(os.execute(("test -c %s/full"):format(folder)))
  end)

  it("one of whose workers is killed says so", function()
    local process = shell.start(closerace .. " matrix -j 2 --full --request get -o /dev/null")
    process:read_until "cells against"
    local worker
    repeat
      local file <close> = assert(io.open(("/proc/%d/task/%d/children"):format(process.pid, process.pid)))
      worker = file:read "n"
    until worker
    os.execute("kill -9 " .. worker)
    assert.equal(70, process:wait())
    assert.truthy(process.output:find("closerace: worker 1 was ended by signal 9\n", 1, true), process.output)
  end)
end)
