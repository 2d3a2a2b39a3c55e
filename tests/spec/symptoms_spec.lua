--- docs/symptoms.md: each of its commands is played, and comes to what stands beside it.
local shell = require "shell"

local closerace = shell.program "closerace"

describe("the symptom", function()
  local n = 0
  for line in io.lines(shell.checkout .. "/docs/symptoms.md") do
    local what, command, outcome = line:match "^| ([^|]*) |[^|]*| `closerace (trial [^`]*)` | ([^|]*) |$"
    if command then
      n = n + 1
      it(("%s: %s is played by %s"):format(what, outcome, command), function()
        local result = shell.run(("%s %s"):format(closerace, command))
        if result.status == 77 then return pending(result.stderr) end
        local text = result.stdout:gsub("\n +", " ")
        local verdict, told = text:match "\nverdict +(%a+): [^\n]-the client was told (%w+)"
        assert.equal(outcome, ("%s, told %s"):format(verdict, told), text .. result.stderr)
        assert.is_nil(text:find("not reached", 1, true))
        local words = what:match "^curl: `(.*)`$"                    -- a command's own words are known
        if words then assert.truthy(text:find(words, 1, true), text) end
      end)
    end
  end

  it("has a command in every row", function()
    assert.equal(21, n)
  end)
end)
