--- Systems under test: what stands between the client and the backend.
-- A system is a table:
--   name         as a row and a command line say it
--   kind         "ours", "proxy" or "client"; is_ours
--   open         function(lab, backend): starts it, returns what a client connects to
--   patience_ms  after which nobody waits for it any more
--   unique       every request needs a URL of its own
--   slow         many of it at once are too many
--   lacks        why it cannot be tested here

local core = require "closerace.core"
local drivers = require "closerace.sut"

local systems = {}

-- Longer than all timeouts of our own proxy together; its time is virtual.
local OWN_PATIENCE_MS = 3600000
local PATIENCE_MS = 5000

local function quoted(text)
  if text:find "^[%w_./:,=+@#-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The options that are not as they are by default, as a shell would read them.
local function name_of(options)
  local parts = { "closerace-proxy" }
  for _, option in ipairs(core.proxy_options()) do
    local value = options[option.name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      if tostring(one) ~= option.value then
        parts[#parts + 1] = ("%s=%s"):format(option.name, quoted(tostring(one)))
      end
    end
  end
  return table.concat(parts, " ")
end

--- Our own proxy, in the lab's own process.
-- @param options  of lab:proxy, but for `to`
function systems.own(options)
  return {
    name = name_of(options), kind = "ours", is_ours = true, patience_ms = OWN_PATIENCE_MS, verifies = options.verify == "options",
    open = function(lab, backend)
      local more = { to = backend }
      for name, value in pairs(options) do more[name] = value end
      return lab:proxy(more)
    end,
  }
end

--- Start a program: fill in what the lab does not know.
local function start(lab, backend, program)
  local words = { PROGRAM = program.path, USER = os.getenv "USER" or "root" }
  local function fill(text)
    return (text:gsub("%$(%u+)", words):gsub("%${([%w_-]+)}", program.texts))
  end
  local function fill_all(list)
    local filled = {}
    for key, text in pairs(list or {}) do filled[key] = fill(text) end
    return filled
  end
  return lab:sut {
    to = backend, argv = fill_all(program.argv), env = fill_all(program.env), files = fill_all(program.files),
    config = program.config and fill(program.config),
  }
end

--- Our own proxy as a process of its own, so that time is real.
-- @param options  of lab:proxy, but for `to`
-- @param words    the command that starts it, without options
function systems.alone(options, words)
  local argv = table.move(words, 1, #words, 1, {})
  table.move({ "--listen", "fd@$LISTEN_FD", "--upstream", "$BACKEND" }, 1, 4, #argv + 1, argv)
  local files = {}
  for name, value in pairs(options) do
    if name == "retry_list" then
      files[name], value = table.concat(type(value) == "table" and value or { value }, "\n") .. "\n", "$DIR/" .. name
    end
    table.move({ "--" .. name:gsub("_", "-"), tostring(value) }, 1, 2, #argv + 1, argv)
  end
  return {
    name = name_of(options), patience_ms = PATIENCE_MS,
    open = function(lab, backend)
      return lab:sut { to = backend, argv = argv, files = files }
    end,
  }
end

--- A program that a driver describes.
-- @param text  "NAME[:VARIANT][:SETTING=VALUE]…", see closerace.sut
-- @return a system; or nil and what is wrong with the text
function systems.driven(text)
  local chosen, why = drivers.choose(text)
  if not chosen then return nil, why end
  local driver = chosen.driver
  local path = core.find_program(driver.program)
  return {
    name = chosen.name, driver = driver, patience_ms = driver.patience_ms or PATIENCE_MS, unique = driver.unique,
    slow = driver.slow, kind = driver.kind or "proxy",
    lacks = not path and ("%s is not installed (Debian: %s)"):format(driver.program, driver.package) or nil,
    open = function(lab, backend)
      return start(lab, backend, {
        path = path, argv = driver.argv, env = driver.env, files = driver.files, config = driver.config,
        texts = chosen.texts,
      })
    end,
  }
end

--- Any other program, by its command line.
-- @param command  a line for the shell, with $LISTEN or $LISTEN_FD, and $BACKEND
function systems.command(command)
  if not command:find "%$LISTEN" then
    return nil, "$LISTEN (or $LISTEN_PORT, $LISTEN_FD) is missing: where the program is to listen"
  elseif not command:find "%$BACKEND" then
    return nil, "$BACKEND (or $BACKEND_PORT) is missing: where the program is to send requests"
  end
  return {
    name = quoted(command), kind = "proxy", patience_ms = PATIENCE_MS,
    open = function(lab, backend)
      return lab:sut { to = backend, argv = { "sh", "-c", "exec " .. command } }
    end,
  }
end

--- What a system's program calls its version; nil where nobody knows.
function systems.version(system)
  local driver = system.driver
  local how = driver and driver.version
  if not how or system.lacks then return nil end
  local words = { quoted(core.find_program(how.program or driver.program)) }
  for _, word in ipairs(how.args) do words[#words + 1] = quoted(word) end
  local pipe <close> = assert(io.popen(table.concat(words, " ") .. " 2>&1 </dev/null"))
  return pipe:read "a":match(how.pattern)
end

return systems
