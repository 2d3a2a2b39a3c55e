--- Which of some words was meant by one that is none of them?

--- How many letters must be added, dropped, replaced or swapped with their neighbour.
local function distance(a, b)
  local before, last, this = {}, {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    this[0] = i
    for j = 1, #b do
      local differs = a:byte(i) ~= b:byte(j) and 1 or 0
      this[j] = math.min(last[j] + 1, this[j - 1] + 1, last[j - 1] + differs)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        this[j] = math.min(this[j], before[j - 2] + 1)
      end
    end
    before, last, this = last, this, before
  end
  return last[#b]
end

local nearest = {}

--- The nearest one; nil where none is near.
function nearest.word(word, words)
  local best, best_distance = nil, math.max(1, #word // 3) + 1
  for _, one in ipairs(words) do
    local n = distance(word:lower(), one:lower())
    if n < best_distance then best, best_distance = one, n end
  end
  return best
end

--- The same as a part of a sentence: "did you mean get? ", or "".
function nearest.hint(word, words)
  local best = nearest.word(word, words)
  return best and ("did you mean %s? "):format(best) or ""
end

return nearest
