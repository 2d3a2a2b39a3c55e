--- tests/patient.sh, which ends a test that hangs, and no other.
local shell = require "shell"

local function run(limits, script)
  return shell.run(("env %s tests/patient.sh sh -c %s"):format(limits, shell.quoted(script)))
end

describe("a command that is run patiently", function()
  it("is shown with all that it said, and ends as it did", function()
    local result = run("", "echo one; echo two >&2; exit 3")
    assert.equal("one\ntwo\n", result.stdout)
    assert.equal(3, result.status)
  end)

  it("is ended where it sleeps for ever", function()
    local result = run("PATIENT_STILL_S=1 PATIENT_LOOK_S=1", "echo one; exec sleep 100000")
    assert.equal("one\npatient.sh: it hangs, and is ended\n", result.stdout)
    assert.equal(143, result.status)
  end)

  it("is ended where it, or what it has started, runs for ever without a word", function()
    local result = run("PATIENT_BURNS_S=1 PATIENT_LOOK_S=1",
      "sh -c 'echo $$; while :; do :; done' & wait")
    local pid, rest = result.stdout:match "^(%d+)\n(.*)$"
    assert.equal("patient.sh: it hangs, and is ended\n", rest)
    assert.equal(143, result.status)
    assert.equal("", shell.run(("grep -s '^State:.[RS]' /proc/%s/status"):format(pid)).stdout)
  end)

  it("may run for longer, as long as it says something", function()
    local work = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; echo x; "
    local result = run("PATIENT_BURNS_S=1 PATIENT_LOOK_S=0.1", work:rep(8))
    assert.equal(("x\n"):rep(8), result.stdout)
    assert.equal(0, result.status)
  end)
end)
