--- Numbers from a seed: the same in every run, whatever else of the process draws any.

local Random = {}
Random.__index = Random

-- splitmix64
local STEP = 0x9e3779b97f4a7c15

local function mix(z)
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return z ~ (z >> 31)
end

--- A generator for a list of whole numbers; lists that differ anywhere give unlike numbers.
function Random.new(...)
  local state = 0
  for _, seed in ipairs { ... } do state = mix(state + seed + STEP) end
  return setmetatable({ state = state }, Random)
end

--- A whole number from 1 to n.
function Random:upto(n)
  self.state = self.state + STEP
  return (mix(self.state) >> 1) % n + 1
end

function Random:between(least, most)
  return least + self:upto(most - least + 1) - 1
end

--- True that often in a hundred.
function Random:percent(n)
  return self:upto(1000) <= n * 10
end

--- A member of a list; one that stands there twice comes twice as often.
function Random:pick(list)
  return list[self:upto(#list)]
end

return Random
