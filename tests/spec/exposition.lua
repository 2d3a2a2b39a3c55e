--- A reader of Prometheus' text format that takes nothing on trust.
-- https://prometheus.io/docs/instrumenting/exposition_formats

local exposition = {}

local TYPES = { counter = true, gauge = true, histogram = true }

--- What stands behind a sample's name, by type.
local SUFFIXES = {
  counter = { [""] = true },
  gauge = { [""] = true },
  histogram = { _bucket = true, _sum = true, _count = true },
}

local function read_labels(text, where)
  local labels, at = {}, 1
  while at <= #text do
    local name, value, next_at = text:match('^([%a_][%w_]*)="([^"\\\n]*)",?()', at)
    assert(name, where .. ": bad labels")
    assert(not labels[name], where .. ": a label twice")
    labels[name], at = value, next_at
  end
  assert(text:sub(-1) ~= ",", where .. ": a comma at the end")
  return labels
end

local function read_sample(line, family)
  assert(family, line .. ": no TYPE before it")
  local name, labels, value = line:match "^([%a_:][%w_:]*){(.-)} (%S+)$"
  if not name then name, value = line:match "^([%a_:][%w_:]*) (%S+)$" end
  assert(name, line .. ": no sample")
  assert(name:sub(1, #family.name) == family.name and SUFFIXES[family.type][name:sub(#family.name + 1)],
    line .. ": not of " .. family.name)
  local number = assert(tonumber(value), line .. ": no number")
  assert(number >= 0, line .. ": negative")
  return { name = name, labels = read_labels(labels or "", line), value = number, key = name .. "{" .. (labels or "") }
end

--- A histogram's buckets rise, the last is +Inf, and it is the count.
local function check_histogram(family)
  local last, top, count = {}, {}, {}
  for _, sample in ipairs(family) do
    local worker = sample.labels.worker
    if sample.name == family.name .. "_bucket" then
      local le = sample.labels.le == "+Inf" and math.huge or assert(tonumber(sample.labels.le))
      local before = last[worker] or { le = -1, value = 0 }
      assert(le > before.le and sample.value >= before.value, sample.key .. ": buckets must rise")
      last[worker] = { le = le, value = sample.value }
      if le == math.huge then top[worker] = sample.value end
    elseif sample.name == family.name .. "_count" then
      count[worker] = sample.value
    end
  end
  for worker, n in pairs(count) do assert(top[worker] == n, family.name .. ": +Inf is not the count") end
  for worker in pairs(last) do assert(count[worker], family.name .. ": no count") end
end

--- Read a whole exposition, or raise.
-- @return name → { name, type, sample … }; a sample has name, labels and value
function exposition.read(text)
  local families, family, seen, helped = {}, nil, {}, nil
  assert(text:sub(-1) == "\n", "it does not end in a line feed")
  for line in text:gmatch "([^\n]*)\n" do
    local help, help_text = line:match "^# HELP ([%a_:][%w_:]*) (.+)$"
    local name, kind = line:match "^# TYPE ([%a_:][%w_:]*) (%a+)$"
    if help then
      assert(not families[help] and #help_text > 0, line .. ": not the only HELP")
      helped = help
    elseif name then
      assert(helped == name and not families[name], line .. ": not behind its HELP, or not the only one")
      assert(TYPES[kind], line .. ": no such type")
      assert((kind == "counter") == (name:sub(-6) == "_total"), line .. ": counters, and only they, are _total")
      family = { name = name, type = kind }
      families[name] = family
    else
      local sample = read_sample(line, family)
      assert(not seen[sample.key], line .. ": twice")
      seen[sample.key] = true
      family[#family + 1] = sample
    end
  end
  for _, one in pairs(families) do
    if one.type == "histogram" then check_histogram(one) end
  end
  return families
end

--- The sum of all samples of a name that have these labels.
function exposition.sum(families, name, labels)
  local family = families[name] or families[name:gsub("_%a+$", "")]
  assert(family, "no " .. name)
  local sum = 0
  for _, sample in ipairs(family) do
    local fits = sample.name == name
    for label, value in pairs(labels or {}) do fits = fits and sample.labels[label] == value end
    if fits then sum = sum + sample.value end
  end
  return sum
end

return exposition
