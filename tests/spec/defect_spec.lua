--- A proxy with a mistake in it: does the matrix find it, and name a cell that shows it again?
local row = require "closerace.matrix.row"
local shell = require "shell"

local program = shell.program "defects/closerace"

local function run(defect, arguments)
  return shell.run(("CLOSERACE_DEFECT=%s %s %s"):format(defect, program, arguments))
end

local function rows_of(text)
  local rows = {}
  for line in text:gmatch "[^\n]+" do rows[#rows + 1] = assert(row.decode(line)) end
  return rows
end

-- The defect, the rule that it breaks, and a cell in which it does so.
local defects = {
  { "retries-post", "R2", "post-small/reused/arrival/rst/crossing/none/cl" },
  { "retries-answered", "R2", "post-small/reused/response_byte@1/fin/caused/none/cl" },
  { "retries-forever", "R4", "get/reused/executed/fin/caused/all/cl", "--second all" },
  { "eof-completes", "R5", "get/reused/response_byte@mid/fin/caused/none/chunked" },
  { "forgets-reset", "R5", "get/reused/response_byte@mid/rst/caused/none/close", "--response close" },
  { "late-response", "R8", "post-small/reused/idle/200+fin/settled/none/cl" },
  { "loses-body", "R8", "put/reused/request_end/rst/caused/none/cl" },
  { "keeps-dead", "R1", "post-small/reused/idle/fin/settled/none/cl" },
  { "ignores-second", "R1", "get/reused/request_end/rst/caused/same/cl" },
}

describe("a proxy that", function()
  for _, case in ipairs(defects) do
    local defect, rule, cell, more = table.unpack(case)

    it(defect .. " is found, by " .. rule, function()
      local result = run(defect, "matrix -q -j2 --strict --format jsonl " .. (more or ""))
      assert.equal(1, result.status, result.stderr)
      local found, n = false, 0
      for _, r in ipairs(rows_of(result.stdout)) do
        if r.rules[rule] == "broken" or r.next_rules[rule] == "broken" then n = n + 1 end
        if r.cell == cell then found = r.rules[rule] == "broken" end
      end
      assert.is_true(n > 0)
      assert.is_true(found, cell)
    end)

    it(defect .. " shows it again in a trial, where the correct one does not", function()
      local bad, good = run(defect, "trial --json " .. cell), run("none", "trial --json " .. cell)
      assert.equal("broken", rows_of(bad.stdout)[1].rules[rule], bad.stderr)
      assert.equal(rule == "R4" and 0 or 1, bad.status)
      assert.is_nil(rows_of(good.stdout)[1].rules[rule])
      assert.equal(0, good.status)
    end)
  end

  it("has none of these is clean, in the same program", function()
    local result = run("none", "matrix -q -j2 --strict --response cl,chunked,close --second none,same,all")
    assert.equal(0, result.status, result.stdout)
  end)

  it("varies is caught by --repeat, and only there", function()
    local narrow = "matrix -q --request post-small,get --point arrival --ending rst --format jsonl"
    local result = run("flickers", narrow .. " --repeat 4")
    assert.equal(1, result.status)
    local varied = {}
    for _, r in ipairs(rows_of(result.stdout)) do
      if r.state == "varied" then varied[r.request] = r.why end
    end
    for _, word in ipairs { "at first: verdict ", "verdict refused", "verdict clean" } do
      assert.truthy(varied["post-small"]:find(word, 1, true), varied["post-small"])
    end
    assert.is_nil(varied.get)
  end)

  it("is told by a wrong name is told so", function()
    local result = run("nonsense", "--version")
    assert.equal(2, result.status)
    assert.truthy(result.stderr:find("'nonsense' is none; allowed: none retries-post", 1, true), result.stderr)
  end)
end)

describe("the program that is shipped", function()
  it("knows nothing of defects", function()
    local result = shell.run("CLOSERACE_DEFECT=retries-post " .. shell.program "closerace"
      .. " trial post-small/reused/arrival/rst/crossing/none/cl")
    assert.equal(0, result.status)
    assert.truthy(result.stdout:find("refused: executed 0, 1 attempt", 1, true), result.stdout)
    for _, name in ipairs { "closerace", "closerace-proxy", "lib/closerace/core.so" } do
      assert.equal("", shell.run(("grep -c -a -e CLOSERACE_DEFECT -e __wrap_ %s | grep -v '^0$'"):format(
        shell.program(name))).stdout, name)
    end
  end)
end)
