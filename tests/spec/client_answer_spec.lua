--- --client-answer: what a client command writes to stdout is the body that it was given, and is judged.
local race = require "closerace"
local shell = require "shell"

local closerace = shell.program "closerace"

-- Half of a response, and behind it the whole one.
local TWICE_OVER = "U=$URL; curl -qs $WARM $GATE $U || curl -qs $U"

-- Only what was whole.
local WHOLE = "U=$URL; A=$(curl -qs $WARM $GATE $U) || A=$(curl -qs $U) && printf %s \"$A\""

local function play(command, more)
  local options = {
    client_cmd = command, client_answer = true, connection = "reused", point = "response_byte", ending = "rst",
    second = "none", response = "cl",
  }
  for name, value in pairs(more or {}) do options[name] = value end
  local found = {}
  for r in race.matrix(options):rows() do
    found[("%s@%s"):format(r.point, r.cell:match "@([^/]*)" or "")] = r
  end
  return found
end

local function has(text, part)
  if not text:find(part, 1, true) then error(("no '%s' in:\n%s"):format(part, text), 2) end
end

describe("a client command whose stdout is the answer's body", function()
  it("that hands out a half and a whole response has garbled it (R5)", function()
    local rows = play(TWICE_OVER)
    local r = rows["response_byte@-1"]
    assert.equal("garbled", r.verdict)
    assert.equal("200", r.told)
    assert.equal(2, r.executed)
    assert.equal("broken", r.rules.R5)
    -- Nothing of the body had come when the first was cut: what it wrote is the second one's.
    assert.equal("twice", rows["response_byte@1"].verdict)
    assert.equal("twice", play(TWICE_OVER, { client_answer = false })["response_byte@-1"].verdict)
  end)

  it("that hands out the whole one alone has not", function()
    for _, r in pairs(play(WHOLE)) do assert.equal("twice", r.verdict, r.cell) end
    for _, r in pairs(play(WHOLE, { point = "response_end" })) do assert.equal("clean", r.verdict, r.cell) end
  end)

  it("that hands out a part and calls it a success has garbled it, as it has without a word", function()
    local command = "curl -qs $WARM $GATE $URL; true"
    local rows = play(command)
    for _, at in ipairs { "mid", "-1" } do assert.equal("garbled", rows["response_byte@" .. at].verdict, at) end
  end)

  it("that alters what was whole has garbled it", function()
    local command = "A=$(curl -qs $WARM $GATE $URL) && if [ -e %s ]; then A=$A.; fi; printf %%s \"$A\""
    local folder = shell.folder()
    local matrix = race.matrix {
      client_cmd = command:format(folder .. "/on"), client_answer = true, connection = "reused",
      point = "response_end", ending = "fin", second = "none", response = "cl",
    }
    shell.write(folder .. "/on", "")
    for r in matrix:rows() do assert.equal("garbled", r.verdict, r.cell) end
    shell.clean()
  end)

  it("has none for HEAD, whatever it writes", function()
    local rows = play("curl -qs $WARM $GATE --next -sI $URL", { client_request = "head", point = "response_end" })
    for _, r in pairs(rows) do assert.equal("clean", r.verdict, r.cell) end
  end)

  it("must write it without any fault, too", function()
    for command, why in pairs {
      ["curl -qs -o /dev/null $URL"] = "writes 0 bytes to stdout",
      ["echo hello; curl -qs $URL"] = "writes 406 bytes to stdout",
    } do
      local result = shell.run(("%s matrix -q --client-answer --client-cmd %s"):format(
        closerace, shell.quoted(command)))
      assert.equal(1, result.status)
      has(result.stderr, why .. ", which is not the answer's body; it said: ")
    end
  end)

  it("is said on the command line, and in the command that plays a cell again", function()
    local result = shell.run(("%s matrix -q --client-answer --client-cmd %s --connection reused --second none "
      .. "--response cl --point response_byte --ending rst"):format(closerace, shell.quoted(TWICE_OVER)))
    assert.equal(1, result.status, result.stderr)
    local replay = result.stdout:match "(closerace trial [^\n]*@%-1[^\n]-)%s+# garbled"
    has(replay, "--client-answer")
    local again = shell.run((replay:gsub("^closerace", closerace)))
    has(again.stdout, "verdict  garbled: ")
    local wrong = shell.run(closerace .. " matrix -q --client-answer")
    assert.equal(2, wrong.status)
    has(wrong.stderr, "--client-answer: goes with --client-cmd")
    assert.error_matches(function() race.matrix { client_answer = true } end, "client_answer: goes with client_cmd")
    has(shell.run(closerace .. " matrix --help").stdout, "--client-answer")
  end)
end)
