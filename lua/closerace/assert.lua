--- Assertions for luassert (busted): assert.verdict and assert.reached.

local assert = require "luassert"
local say = require "say"

say:set("assertion.closerace.verdict", "Expected the verdict %s, got %s.\n%s")
say:set("assertion.closerace.not_verdict", "Expected another verdict than %s, got %s.\n%s")
say:set("assertion.closerace.reached", "Expected %s to reach the connection meant for it.\n%s")
say:set("assertion.closerace.not_reached", "Expected %s not to reach the connection meant for it.\n%s")

--- assert.verdict(name, lab, id)
local function is_verdict(state, arguments)
  local name, lab, id = arguments[1], arguments[2], arguments[3]
  local verdict = lab:verdict(id)
  local good = verdict.name == name
  if good == state.mod then return good end     -- it holds: nothing to tell
  arguments[1], arguments[2], arguments[3] = name, tostring(verdict), tostring(lab:trace())
  arguments.n = 3
  arguments.nofmt = { true, true, true }
  return good
end

--- assert.reached(lab, id)
local function has_reached(state, arguments)
  local lab, id = arguments[1], arguments[2]
  local good = lab:verdict(id).reached
  if good == state.mod then return good end     -- it holds: nothing to tell
  arguments[1], arguments[2] = id, tostring(lab:trace())
  arguments.n = 2
  arguments.nofmt = { true, true }
  return good
end

assert:register("assertion", "verdict", is_verdict,
  "assertion.closerace.verdict", "assertion.closerace.not_verdict")
assert:register("assertion", "reached", has_reached,
  "assertion.closerace.reached", "assertion.closerace.not_reached")

return assert
