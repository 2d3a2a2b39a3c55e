--- What a driver may be: the fields of docs/systems.md.  Anybody may write one, so a mistake is told by its field.

local axes = require "closerace.matrix.axes"

local shape = {}

local KINDS = { "proxy", "client", "command" }

local function fail(format, ...) error(format:format(...), 0) end

local function check(is_good, where, what, value)
  if is_good then return value end
  fail("%s: expected %s, got %s", where, what, type(value) == "string" and ("'%s'"):format(value)
    or type(value) == "table" and "a table" or tostring(value))
end

local function check_known(is_known, where, name, names)
  if not is_known then fail("%s'%s' is unknown; allowed: %s", where, tostring(name), table.concat(names, ", ")) end
end

-- -------------------------------------------------------------------------- values --

local function check_text(where, value) return check(type(value) == "string", where, "a text", value) end

local function check_flag(where, value) check(type(value) == "boolean", where, "true or false", value) end

local function check_ms(where, value)
  check(math.type(value) == "integer" and value > 0, where, "a whole number from 1", value)
end

local function check_kind(where, value)
  local is_known = false
  for _, kind in ipairs(KINDS) do is_known = is_known or value == kind end
  check(is_known, where, table.concat(KINDS, ", "), value)
end

local function check_list(where, value, check_one, what)
  check(type(value) == "table", where, what, value)
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  if n ~= #value then fail("%s: expected %s, and nothing by a name", where, what) end
  for i, one in ipairs(value) do check_one(("%s[%d]"):format(where, i), one) end
end

local function check_texts(where, value) check_list(where, value, check_text, "a list of texts") end

local function check_files(where, value)
  check(type(value) == "table", where, "name = text", value)
  for name, text in pairs(value) do
    check(type(name) == "string", where, "name = text", name)
    check_text(("%s['%s']"):format(where, name), text)
  end
end

--- What stands behind a colon in a system's name.
local function check_word(where, value)
  return check(type(value) == "string" and value:find "^[^%s,:=]+$", where,
    "a word without blanks, commas, colons and equals signs", value)
end

-- ------------------------------------------------------------------ tables of a kind --

local function sorted_keys(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Check the fields of a table; `needed` of them must be there.
local function check_fields(where, t, fields, needed)
  check(type(t) == "table", where, "a table", t)
  local inside = where == "" and "" or where .. "."
  for name, value in pairs(t) do
    check_known(fields[name], where == "" and "" or where .. ": ", name, sorted_keys(fields))
    fields[name](inside .. name, value)
  end
  for _, name in ipairs(needed) do
    if t[name] == nil then fail("%s%s is missing", inside, name) end
  end
end

local function check_pattern(where, value)
  check_text(where, value)
  check(pcall(string.find, "", value), where, "a pattern of Lua", value)
end

local function check_version(where, value)
  check_fields(where, value, { args = check_texts, pattern = check_pattern, program = check_text },
    { "args", "pattern" })
end

local function check_requests(where, value)
  check(type(value) == "table", where, "request = list of texts", value)
  for name, options in pairs(value) do
    check_known(axes.request[name], where .. ": ", name, axes.words "request")
    check_texts(("%s['%s']"):format(where, name), options)
  end
end

-- ---------------------------------------------------------------- settings, variants --

-- For a field that is looked at when the others are known to be good.
local function later() end

--- A word, or { word, text }.  Returns the word.
local function check_value(where, value)
  if type(value) ~= "table" then return check_word(where, value) end
  check(#value == 2, where, "a word, or { word, text }", value)
  check_text(where .. "[2]", value[2])
  return check_word(where .. "[1]", value[1])
end

--- Remember a name; there is each of them once.
local function add(names, where, name)
  if names[name] then fail("%s: '%s' is there twice", where, name) end
  names[name] = true
  names[#names + 1] = name
end

local function words_of(where, setting)
  local words = {}
  check_list(where, setting.values, function(place, value) add(words, where, check_value(place, value)) end,
    "a list of words")
  if #words == 0 then fail("%s: expected at least one word", where) end
  return words
end

--- Read the settings.  Returns their names, in order, and by each name its words.
local function read_settings(list)
  local names, words = {}, {}
  local function check_name(where, value)
    check(type(value) == "string" and value:find "^[%w_-]+$" and value ~= "name", where,
      "letters, digits, - and _, but not 'name'", value)
  end
  check_list("settings", list, function(where, setting)
    check_fields(where, setting, { name = check_name, help = check_text, values = later }, { "name", "values" })
    add(names, "settings", setting.name)
    words[setting.name] = words_of(where .. ".values", setting)
  end, "a list of settings")
  return names, words
end

local function check_variants(list, names, words)
  local known = {}
  check_list("variants", list, function(where, variant)
    check(type(variant) == "table", where, "a table", variant)
    check_word(where .. ".name", variant.name)
    if variant.name == "all" then fail("%s.name: 'all' stands for all of them", where) end
    add(known, "variants", variant.name)
    for name, word in pairs(variant) do
      if name ~= "name" then
        check_known(words[name], where .. ": the setting ", name, names)
        check_known(words[name][word] and type(word) == "string", ("%s.%s: "):format(where, name), word, words[name])
      end
    end
  end, "a list of variants")
end

-- ------------------------------------------------------------------------ the driver --

local FIELDS = {
  program = check_text, argv = check_texts, title = check_text, package = check_text, version = check_version,
  kind = check_kind, env = check_texts, settings = later, variants = later, patience_ms = check_ms,
  unique = check_flag, slow = check_flag, trap = check_text,
}

-- Those of a program that is run once for each cell.
local OF_COMMANDS = {
  each = check_texts, between = check_texts, victim = check_texts, requests = check_requests, heads = check_text,
  answer = check_text,
}

-- Those of the others.
local OF_SERVERS = { config = check_text, files = check_files }

local function union(a, b)
  local all = {}
  for _, t in ipairs { a, b } do
    for name, one in pairs(t) do all[name] = one end
  end
  return all
end

local AS_SERVER, AS_COMMAND = union(FIELDS, OF_SERVERS), union(FIELDS, OF_COMMANDS)
local NEEDED_BY_COMMANDS = sorted_keys(OF_COMMANDS)

local function check_driver(driver)
  local is_command = driver.kind == "command"
  check_fields("", driver, is_command and AS_COMMAND or AS_SERVER, is_command and NEEDED_BY_COMMANDS or {})
  local names, words = read_settings(driver.settings or {})
  check_variants(driver.variants or {}, names, words)
end

--- What is wrong with a driver.
-- @param driver  what its file returned
-- @return nil where nothing is; or a sentence that names the field, and what it may be
function shape.fault(driver)
  if type(driver) ~= "table" or driver.program == nil or driver.argv == nil then
    return "it is no driver: it returns no table with program and argv"
  end
  local good, why = pcall(check_driver, driver)
  return not good and why or nil
end

return shape
