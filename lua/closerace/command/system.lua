--- The system under test on the command line: the options of our own proxy, or external programs; and how to say them
-- again.

local core = require "closerace.core"
local drivers = require "closerace.sut"
local fold = require "closerace.fold"
local plain = require "closerace.plain"
local systems = require "closerace.system"

local system = {}

local function is_list(name) return name == "retry_list" end

local function split(text)
  local list = {}
  for word in (text .. ","):gmatch "(.-)," do list[#list + 1] = word end
  return list
end

--- Options for arguments.parse, which fill a table: proxy, options for lab:proxy; sut, a list of drivers' names; and
-- proxy_cmd; client_cmd, client_request and client_answer.
function system.options(chosen)
  chosen.proxy = {}
  local spec = {
    { name = "sut", value = "LIST", set = function(value)
      chosen.sut = chosen.sut or {}
      for _, word in ipairs(split(value)) do table.insert(chosen.sut, word) end
    end },
    { name = "proxy_cmd", value = "COMMAND", set = function(value) chosen.proxy_cmd = value end },
    { name = "client_cmd", value = "COMMAND", set = function(value) chosen.client_cmd = value end },
    { name = "client_request", value = "NAME", set = function(value) chosen.client_request = value end },
    { name = "client_answer", set = function() chosen.client_answer = true end },
  }
  for _, option in ipairs(core.proxy_options()) do
    spec[#spec + 1] = { name = option.name, value = option.allowed, set = function(value)
      if is_list(option.name) then
        chosen.proxy[option.name] = chosen.proxy[option.name] or {}
        table.insert(chosen.proxy[option.name], value)
      else
        chosen.proxy[option.name] = value
      end
    end }
  end
  return spec
end

--- "NAME:all" is a driver with each of its variants.
local function spread(list)
  local all = {}
  for _, word in ipairs(list) do
    local name = word:match "^(.*):all$"
    local variants, why = { word }, nil
    if name then variants, why = drivers.all_variants(name) end
    if not variants then return nil, why end
    table.move(variants, 1, #variants, #all + 1, all)
  end
  return all
end

--- The systems that were chosen.
-- @return a list, see closerace.system; or nil and a sentence
function system.chosen(chosen)
  local n = (chosen.sut and 1 or 0) + (chosen.proxy_cmd and 1 or 0) + (chosen.client_cmd and 1 or 0)
    + (next(chosen.proxy) and 1 or 0)
  if n > 1 then return nil, "--sut, --proxy-cmd, --client-cmd and the options of our own proxy exclude one another" end
  for _, name in ipairs { "request", "answer" } do
    if chosen["client_" .. name] and not chosen.client_cmd then
      return nil, ("--client-%s: goes with --client-cmd"):format(name)
    end
  end
  if chosen.proxy_cmd then
    local one, why = systems.command(chosen.proxy_cmd)
    return one and { one }, why and "--proxy-cmd: " .. why
  elseif chosen.client_cmd then
    local one, why = systems.client_command(chosen.client_cmd, chosen.client_request, chosen.client_answer)
    return one and { one }, why and "--client-cmd: " .. why
  elseif not chosen.sut then
    return { systems.own(chosen.proxy) }
  end
  local names, why = spread(chosen.sut)
  local list, is_there = {}, {}
  for _, name in ipairs(names or {}) do
    local one
    one, why = systems.driven(name)
    if not one then break end
    -- A variant may have been named beside `all`; its rows would be there twice.
    if not is_there[one.name] then list[#list + 1] = one end
    is_there[one.name] = true
  end
  if why then return nil, "--sut: " .. why end
  return list
end

--- The command that plays a row's cell again: its system says with which options.
function system.replay(r)
  local options
  local client_command, answers = systems.read_client_command(r.system)
  if r.system:find "^closerace%-proxy" then
    options = r.system:gsub("^closerace%-proxy", ""):gsub(" ([%w_]+)=", function(name)
      return (" --%s "):format(name:gsub("_", "-"))
    end)
  elseif client_command then
    options = (" --client-cmd %s%s%s"):format(client_command, r.request == "get" and "" or " --client-request "
      .. r.request, answers and " --client-answer" or "")
  else
    -- A command has $LISTEN in it, so its name is quoted already; a driver's file may be anywhere.
    options = r.system:find "^'" and " --proxy-cmd " .. r.system or " --sut " .. systems.quoted(r.system)
  end
  return ("closerace trial %s%s"):format(r.cell, options)
end

-- The column where an option's text begins.
local AT = 24

--- Lines of help.
function system.help()
  local lines = {}
  local function add(option, text) lines[#lines + 1] = fold.option(option, text, AT) end
  add("--sut LIST", "programs that are installed, each NAME[:VARIANT][:SETTING=VALUE]…; NAME:all is a program with "
    .. "each of its variants (closerace list --sut): " .. table.concat(drivers.names, ", "))
  add("--proxy-cmd COMMAND", "any other proxy, a line for the shell: 'prog --listen $LISTEN --to $BACKEND'")
  add("--client-cmd COMMAND", "any HTTP client, a line for the shell that is run for each cell: 'prog $URL'; with "
    .. "'prog $WARM $GATE $URL' it first asks for those, over connections that it keeps: only then a connection can "
    .. "be used, or be idle when it is closed")
  add("--client-request NAME", "the request that COMMAND makes for $URL (default get)")
  add("--client-answer", "what COMMAND writes to stdout is the answer's body, and is judged")
  lines[#lines + 1] = "  without these, our own proxy, with these options:"
  for _, option in ipairs(core.proxy_options()) do
    add("--" .. option.name:gsub("_", "-"), ("%s (%s%s)"):format(option.help, option.allowed,
      option.value ~= "" and "; default " .. option.value or ""))
  end
  return table.concat(lines, "\n")
end

--- What went wrong with the system, as who typed its options may read it.
function system.plain(err)
  return (plain(err):gsub("lab:proxy: ([%w_]+): ", function(name) return ("--%s: "):format(name:gsub("_", "-")) end))
end

--- Did a command's line fail because its program does not exist?  The shell says so.
function system.lacks_program(one, err)
  return one.is_line and tostring(err):find "sh: [^\n]-: [%a ]*not found" ~= nil
end

return system
