--- Every example runs in busted as it stands, with the same verdicts twice.

local core = require "closerace.core"
local race = require "closerace"

local FOLDER = "lua/examples/"

local function list()
  local files = {}
  local pipe <close> = assert(io.popen("ls " .. FOLDER .. "*.lua"))
  for path in pipe:lines() do files[#files + 1] = path end
  return files
end

--- Run a file without its output.  Returns what it found: one line for each request that it judged.
local function run(path)
  local environment = setmetatable({ print = function() end }, { __index = _G })
  core.verdicts()
  assert(loadfile(path, "t", environment))()
  local lines = {}
  for i, v in ipairs(core.verdicts()) do
    lines[i] = ("%s %s, %d attempts, %d executed, order %s, reached %s, told %s"):format(v.id, v.name, v.attempts,
      v.executed, v.order, v.reached, v.told.status)
  end
  return lines
end

describe("the example", function()
  local files = list()

  for _, path in ipairs(files) do
    it(path:match "([%w_]+)%.lua$" .. " holds, and holds again", function()
      local good, first = pcall(run, path)
      if not good and race.skip_reason(first) then
        pending(race.skip_reason(first))
        return
      end
      assert(good, first)
      assert.same(first, run(path))
    end)
  end

  it("is not alone", function()
    assert.is_true(#files >= 10)
  end)
end)
