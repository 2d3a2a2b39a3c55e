--- Our own proxy twice: in the lab, where nothing moves unless it is told to, and as a program of its own.  What makes
-- races with a program certain is right where both come to the same.

local race = require "closerace"
local row = require "closerace.matrix.row"

local BUILD = os.getenv "CLOSERACE_BUILD" or "build"
local COMMAND = BUILD .. "/closerace-proxy --listen $LISTEN --upstream $BACKEND"

--- Cells that need no real time to go by, but many kinds of a race.
local AXES = {
  request = "get,post-small,post-chunked", connection = "fresh,reused", order = "settled,crossing,caused",
  ending = "fin,rst,half,plain,408+fin,200+fin,413+plain", second = "none,same", client = "first,later",
}

local function play(system)
  local options, rows, n = {}, {}, 0
  for axis, names in pairs(AXES) do options[axis] = names end
  for name, value in pairs(system) do options[name] = value end
  for r in race.matrix(options):rows() do
    rows[r.cell] = row.signature(r)
    n = n + 1
  end
  return rows, n
end

describe("our own proxy as a program", function()
  it("does in every cell what it does in the lab", function()
    local inside, n = play { proxy = {} }
    local outside, n_outside = play { proxy_cmd = COMMAND }
    assert.is_true(n > 1000)
    assert.equal(n, n_outside)
    assert.same(inside, outside)
  end)

  it("does so with another policy, too", function()
    local options = { request = "get,post-small", point = "arrival,executed", ending = "fin,rst",
                      order = "crossing,caused", second = "none", connection = "reused" }
    local function outcomes(system)
      for axis, names in pairs(options) do system[axis] = names end
      local rows = {}
      for r in race.matrix(system):rows() do rows[r.cell] = row.signature(r) end
      return rows
    end
    local always = outcomes { proxy_cmd = COMMAND .. " --retry always" }
    local function only_natural(rows)
      local few = {}
      for cell, signature in pairs(rows) do
        if not cell:find "/first$" then few[cell] = signature end
      end
      return few
    end
    assert.same(outcomes { proxy = { retry = "always" } }, only_natural(always))
    assert.not_same(outcomes { proxy = {} }, only_natural(always))
  end)
end)
