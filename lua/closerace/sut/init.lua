--- Drivers: what must be known of a program to put it under test.  They are data; docs/systems.md says in which form.

local nearest = require "closerace.nearest"
local shape = require "closerace.sut.shape"

local drivers = {}

--- Those that closerace brings, in the order in which they are shown.
drivers.names = {
  "haproxy", "perlbal", "nginx", "varnish", "squid", "trafficserver", "apache", "lighttpd", "caddy",
  "node-http", "node-fetch", "python-http", "python-requests", "python-urllib3", "go", "java", "java-urlconnection",
  "curl",
}

local is_known = {}
for _, name in ipairs(drivers.names) do is_known[name] = true end

local function from_file(path)
  local chunk, why = loadfile(path, "t")
  if not chunk then return nil, why end
  local good, driver = pcall(chunk)
  if not good then return nil, tostring(driver) end
  why = shape.fault(driver)
  if why then return nil, ("%s: %s"):format(path, why) end
  return driver
end

--- The driver of that name, or in that file; nil and a sentence where there is none.
function drivers.find(name)
  if name:find "/" or name:find "%.lua$" then return from_file(name) end
  if is_known[name] then return require("closerace.sut." .. name) end
  return nil, ("'%s' is unknown; %sallowed: %s, or a driver's file"):format(
    name, nearest.hint(name, drivers.names), table.concat(drivers.names, ", "))
end

local function word_of(value)
  if type(value) == "table" then return value[1], value[2] end
  return value, value
end

local function find_setting(driver, name)
  for _, setting in ipairs(driver.settings or {}) do
    if setting.name == name then return setting end
  end
end

local function find_variant(driver, name)
  for _, variant in ipairs(driver.variants or {}) do
    if variant.name == name then return variant end
  end
end

local function text_of(setting, word)
  for _, value in ipairs(setting.values) do
    local name, text = word_of(value)
    if name == word then return text end
  end
end

--- The words of a setting's values, the default first.
function drivers.words(setting)
  local words = {}
  for i, value in ipairs(setting.values) do words[i] = word_of(value) end
  return words
end

--- What may stand behind a driver's name.
local function allowed(driver)
  local list = {}
  for i, variant in ipairs(driver.variants or {}) do list[i] = variant.name end
  for _, setting in ipairs(driver.settings or {}) do
    list[#list + 1] = ("%s=%s"):format(setting.name, table.concat(drivers.words(setting), "|"))
  end
  return #list > 0 and table.concat(list, ", ") or "nothing"
end

--- Take one part, a variant or SETTING=VALUE.  Returns nil, or what is wrong.
local function take(driver, words, part)
  local name, word = part:match "^([^=]+)=(.*)$"
  local setting = name and find_setting(driver, name)
  if setting and text_of(setting, word) then
    words[name] = word
    return nil
  end
  local variant = not name and find_variant(driver, part)
  if not variant then return ("'%s' is unknown; allowed: %s"):format(part, allowed(driver)) end
  for _, one in ipairs(driver.settings or {}) do words[one.name] = variant[one.name] or words[one.name] end
end

--- Choose a driver and its settings.
-- @param text  "NAME[:VARIANT][:SETTING=VALUE]…"
-- @return { name =, driver =, texts = }: the name with every setting that is not as it is by default, and the text that
--         stands for each; or nil and a sentence
function drivers.choose(text)
  local name, rest = text:match "^([^:]*)(.*)$"
  local driver, why = drivers.find(name)
  if not driver then return nil, why end
  local words = {}
  for part in rest:gmatch ":([^:]*)" do
    why = take(driver, words, part)
    if why then return nil, ("%s: %s"):format(name, why) end
  end
  local texts, full = {}, name
  for _, setting in ipairs(driver.settings or {}) do
    local default = word_of(setting.values[1])
    local word = words[setting.name] or default
    texts[setting.name] = text_of(setting, word)
    if word ~= default then full = ("%s:%s=%s"):format(full, setting.name, word) end
  end
  return { name = full, driver = driver, texts = texts }
end

--- A driver's name with each of its variants, the one without any first.
function drivers.all_variants(name)
  local driver, why = drivers.find(name)
  if not driver then return nil, why end
  local list = { name }
  for _, variant in ipairs(driver.variants or {}) do list[#list + 1] = ("%s:%s"):format(name, variant.name) end
  return list
end

return drivers
