--- The system under test on the command line: the options of our own proxy, and how to say them again.

local core = require "closerace.core"

local system = {}

local function is_list(name) return name == "retry_list" end

--- Options for arguments.parse, which fill a table for lab:proxy.
function system.options(proxy)
  local spec = {}
  for i, option in ipairs(core.proxy_options()) do
    spec[i] = { name = option.name, value = option.allowed, set = function(value)
      if is_list(option.name) then
        proxy[option.name] = proxy[option.name] or {}
        table.insert(proxy[option.name], value)
      else
        proxy[option.name] = value
      end
    end }
  end
  return spec
end

--- The command that plays a row's cell again: its system says with which options.
function system.replay(r)
  local options = r.system:gsub("^closerace%-proxy", ""):gsub(" ([%w_]+)=", function(name)
    return (" --%s "):format(name:gsub("_", "-"))
  end)
  return ("closerace trial %s%s"):format(r.cell, options)
end

--- Lines of help.
function system.help()
  local lines = {}
  for i, option in ipairs(core.proxy_options()) do
    lines[i] = ("  --%-22s %s (%s%s)"):format(option.name:gsub("_", "-"), option.help, option.allowed,
      option.value ~= "" and "; default " .. option.value or "")
  end
  return table.concat(lines, "\n")
end

return system
