--- Command lines: options by their long names, --name VALUE or --name=VALUE, a few with one letter.
-- A name has dashes; with underscores, as Lua has it, it is taken as well.

local nearest = require "closerace.nearest"

local arguments = {}

local function dashed(name) return "--" .. name:gsub("_", "-") end

local function names_of(spec)
  local names = {}
  for _, option in ipairs(spec) do
    names[#names + 1] = (option.short and "-" .. option.short .. ", " or "") .. dashed(option.name)
  end
  return table.concat(names, ", ")
end

local function find(spec, word)
  local name, value = word:match "^%-%-([^=]+)=?(.*)$"
  if not name and word:match "^%-%a" then name, value = word:sub(2, 2), word:sub(3) end
  for _, option in ipairs(spec) do
    if name and dashed(name) == dashed(option.name) or name == option.short then
      local given = value ~= "" or word:find("^%-%-[^=]+=") ~= nil
      return option, given and value or nil
    end
  end
end

--- What is said of an option that does not exist: the one that was meant, else all.
local function unknown(call, word, spec)
  local names = {}
  for i, option in ipairs(spec) do names[i] = dashed(option.name) end
  local meant = word:find "^%-%-" and nearest.word(dashed(word:match "^%-%-([^=]*)"), names)
  return ("%s: unknown option '%s'; %s"):format(call, word, meant and
    ("did you mean %s? See %s --help"):format(meant, call) or "allowed: " .. names_of(spec))
end

--- Read a command line.
-- @param call  the command, for messages
-- @param spec  a list of { name =, short =, value = "what it takes" (nil: nothing), set = function(value),
--              read = function(text) → value, or nil and what was expected }
-- @return the words that are no options; or nil and a sentence
function arguments.parse(call, args, spec)
  local rest, i = {}, 1
  while i <= #args do
    local word = args[i]
    if word == "--" then
      table.move(args, i + 1, #args, #rest + 1, rest)
      break
    elseif word:sub(1, 1) ~= "-" or word == "-" then
      rest[#rest + 1] = word
    else
      local option, value = find(spec, word)
      if not option then return nil, unknown(call, word, spec) end
      local name = dashed(option.name)
      if option.value and value == nil then
        i = i + 1
        value = args[i]
        if value == nil then return nil, ("%s: %s: a value is missing: %s"):format(call, name, option.value) end
      elseif not option.value and value ~= nil then
        return nil, ("%s: %s takes no value"):format(call, name)
      end
      local read, expected = value or true, nil
      if option.read then read, expected = option.read(value) end
      if read == nil then
        return nil, ("%s: %s: expected %s, got '%s'"):format(call, name, expected or option.value, value)
      end
      option.set(read)
    end
    i = i + 1
  end
  return rest
end

--- For `read`: a whole number from 1.
function arguments.count(text)
  local n = math.tointeger(tonumber(text))
  if n and n >= 1 then return n end
  return nil, "a whole number from 1"
end

--- For `read`: one of some words.
function arguments.word(words)
  return function(text)
    for _, word in ipairs(words) do
      if word == text then return text end
    end
    return nil, "one of " .. table.concat(words, ", ")
  end
end

return arguments
