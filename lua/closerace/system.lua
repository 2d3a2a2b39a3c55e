--- Systems under test: what stands between the client and the backend.
-- A system is a table:
--   name         as a row and a command line say it
--   kind         "ours", "proxy" or "client"; is_ours
--   open         function(lab, backend): starts it, returns what a client connects to
--   patience_ms  after which nobody waits for it any more
--   unique       every request needs a URL of its own
--   slow         many of it at once are too many
--   lacks        why it cannot be tested here
--   is_line      a line for the shell is what starts it
-- A client command is run once for each cell instead of being opened:
--   is_command     it is one
--   run            function(lab, backend, job): starts it; job says what it is to ask for
--   warms          how often it asks for a warming URL first; nil: as often as it is told
--   waits          it then asks for a URL that lets it wait
--   lacks_request  function(request): why it does not make that one; nil: it does
--   request        the only one it makes
--   knows_body     its content is the request's, to the byte
--   reads          function(sut): the response that it was given, or its body alone; nil: it does not say
--   answers        it is a command whose stdout is that body

local axes = require "closerace.matrix.axes"
local core = require "closerace.core"
local drivers = require "closerace.sut"

local systems = {}

-- Longer than all timeouts of our own proxy together; its time is virtual.
local OWN_PATIENCE_MS = 3600000
local PATIENCE_MS = 5000

--- A word as a shell would read it.
local function quoted(text)
  if text:find "^[%w_./:,=+@#-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end
systems.quoted = quoted

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
    name = name_of(options), kind = "ours", is_ours = true, patience_ms = OWN_PATIENCE_MS,
    verifies = options.verify == "options",
    open = function(lab, backend)
      local more = { to = backend }
      for name, value in pairs(options) do more[name] = value end
      return lab:proxy(more)
    end,
  }
end

--- Start a program.  Where that fails, its words are told, and no place in our own source.
local function launch(lab, options)
  local good, sut = pcall(lab.sut, lab, options)
  if good then return sut end
  error((tostring(sut):gsub("^[^\n]-lab:sut: ", "")), 0)
end

--- Start a program: fill in what the lab does not know.
local function start(lab, backend, program)
  local words = { PROGRAM = program.path, USER = os.getenv "USER" or "root" }
  for name, word in pairs(program.words or {}) do words[name] = word end
  local function fill(text)
    return (text:gsub("%$(%u+)", words):gsub("%${([%w_-]+)}", program.texts))
  end
  local function fill_all(list)
    local filled = {}
    for key, text in pairs(list or {}) do filled[key] = fill(text) end
    return filled
  end
  return launch(lab, {
    to = backend, argv = fill_all(program.argv), env = fill_all(program.env), files = fill_all(program.files),
    config = program.config and fill(program.config), apart = program.apart,
  })
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
      return launch(lab, { to = backend, argv = argv, files = files })
    end,
  }
end

-- ------------------------------------------------------------- lines for the shell --

-- What the lab fills in, wherever a word begins with it: a line's own $DIR and $LISTENER must not be taken for it.
local FILLED = { "LISTEN", "BACKEND", "CONFIG", "DIR" }

local WHERE_TO_LISTEN, WHERE_TO_SEND = { "LISTEN", "LISTEN_PORT", "LISTEN_FD" }, { "BACKEND", "BACKEND_PORT" }

--- How often a line for the shell has a variable.
local function count_variable(command, name)
  local _, n = command:gsub("%$" .. name .. "%f[^%w_]", "")
  local _, more = command:gsub("%${" .. name .. "%f[^%w_]", "")
  return n + more
end

local function has_variable(command, names)
  for _, name in ipairs(names) do
    if count_variable(command, name) > 0 then return true end
  end
  return false
end

--- Start a line for the shell.
-- @param words  those that the lab fills in: as $WORD wherever it stands, in any quotes; ${WORD…} is left to the shell
-- @param env    a list of NAME=VALUE beside them
local function launch_line(lab, backend, command, words, env, is_apart)
  local is_word = {}
  for _, word in ipairs(words) do
    is_word[word] = true
    if command:find("%${" .. word .. "%f[^%w_]") then env[#env + 1] = ("%s=$%s"):format(word, word) end
  end
  local line = command:gsub("%$(%u[%w_]*)", function(name)
    for _, word in ipairs(FILLED) do
      if name:find("^" .. word) and not is_word[name] then return "${" .. name .. "}" end
    end
  end)
  return launch(lab, { to = backend, argv = { "sh", "-c", line }, env = env, apart = is_apart })
end

-- ------------------------------------------------------------------ client commands --

--- The last response of those whose heads `curl -D` and its like write; nil where it is not whole.  A program that
-- sends again may write the head of a response that was cut in front of it.
local function read_response(heads, body)
  local head
  for whole in heads:gmatch "(HTTP/1%.%d .-\r?\n)\r?\n" do head = whole:match ".*(HTTP/1%.%d .*)" end
  if not head or not heads:find "\n\r?\n$" then return nil end
  local mark = head:match "\n[Xx]%-[Cc]loserace%-[Mm]ark: *(%d+)"
  return { status = math.tointeger(head:match "^HTTP/1%.%d (%d%d%d)"), mark = math.tointeger(mark), body = body }
end

local function read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a" or ""
end

--- The words of a command line; one that is nothing but a setting may stand for several, or none.
local function add_words(argv, list, texts)
  for _, word in ipairs(list) do
    local setting = word:match "^%${([%w_-]+)}$"
    if setting then
      for part in texts[setting]:gmatch "%S+" do argv[#argv + 1] = part end
    else
      argv[#argv + 1] = word
    end
  end
end

--- The command line of a driver for one cell: what it asks for before, and the victim behind it, each with its options.
local function command_line(driver, texts, job)
  local argv, before = {}, {}
  for i = 1, job.n_warm do before[i] = job.warm end
  before[#before + 1] = job.gate
  add_words(argv, driver.argv, texts)
  if before[1] then
    for _, list in ipairs { driver.each, before, driver.between } do add_words(argv, list, texts) end
  end
  for _, list in ipairs { driver.each, driver.victim, driver.requests[job.request.name], { job.url } } do
    add_words(argv, list, texts)
  end
  return argv
end

--- A driver's program that is run once for each cell.
local function driven_command(system, chosen, path)
  local driver = chosen.driver
  system.is_command, system.waits, system.knows_body = true, true, true
  function system.lacks_request(request)
    return not driver.requests[request.name] and ("%s makes no request %s"):format(chosen.name, request.name) or nil
  end
  function system.run(lab, backend, job)
    return start(lab, backend, {
      path = path, argv = command_line(driver, chosen.texts, job), env = driver.env, texts = chosen.texts, apart = true,
      files = { body = job.request.body or "" },
    })
  end
  function system.reads(sut)
    return read_response(read_file(sut.dir .. "/" .. driver.heads), read_file(sut.dir .. "/" .. driver.answer))
  end
  return system
end

-- In the name of a command whose stdout is the answer's body.
local ANSWERS = " answer=stdout"

--- Any client, by its command line.
-- @param command  a line for the shell, with $URL; it may have $WARM (several times) and $GATE
-- @param request  the request of the matrix that it makes; nil: get
-- @param answers  its stdout is the answer's body
-- @return a system; or nil and what is wrong
function systems.client_command(command, request, answers)
  request = request or "get"
  if not axes.request[request] then
    return nil, ("the request '%s' is unknown; allowed: %s"):format(request, table.concat(axes.words "request", ", "))
  end
  local n = count_variable(command, "URL")
  if n ~= 1 then
    return nil, ("%s: what the program is to ask for"):format(
      n == 0 and "$URL is missing" or "$URL must stand there once")
  end
  return {
    name = quoted(command) .. (answers and ANSWERS or ""), command = command, patience_ms = PATIENCE_MS,
    kind = "client", is_command = true, request = request, warms = count_variable(command, "WARM"),
    waits = count_variable(command, "GATE") > 0,
    lacks_request = function(other)
      return other.name ~= request and ("the command makes the request %s only"):format(request) or nil
    end,
    run = function(lab, backend, job)
      local env = { "URL=" .. job.url, "WARM=" .. job.warm, "GATE=" .. (job.gate or "") }
      return launch_line(lab, backend, command, WHERE_TO_SEND, env, true)
    end,
    answers = answers, is_line = true,
    reads = function(sut) return answers and { body = sut.output } or nil end,
  }
end

-- --------------------------------------------------------------------- other systems --

local function not_installed(driver)
  local from = driver.package and (" (Debian: %s)"):format(driver.package) or ""
  return driver.program .. " is not installed" .. from
end

--- A program that a driver describes.
-- @param text  "NAME[:VARIANT][:SETTING=VALUE]…", see closerace.sut
-- @return a system; or nil and what is wrong with the text
function systems.driven(text)
  local chosen, why = drivers.choose(text)
  if not chosen then return nil, why end
  local driver = chosen.driver
  local path = core.find_program(driver.program)
  local system = {
    name = chosen.name, driver = driver, patience_ms = driver.patience_ms or PATIENCE_MS, unique = driver.unique,
    slow = driver.slow, kind = driver.kind == "command" and "client" or driver.kind or "proxy",
    lacks = not path and not_installed(driver) or nil,
    open = function(lab, backend)
      return start(lab, backend, {
        path = path, argv = driver.argv, env = driver.env, files = driver.files, config = driver.config,
        texts = chosen.texts,
      })
    end,
  }
  return driver.kind == "command" and driven_command(system, chosen, path) or system
end

--- Any other program, by its command line.
-- @param command  a line for the shell, with $LISTEN or $LISTEN_FD, and $BACKEND
function systems.command(command)
  if not has_variable(command, WHERE_TO_LISTEN) then
    return nil, "$LISTEN (or $LISTEN_PORT, $LISTEN_FD) is missing: where the program is to listen"
  elseif not has_variable(command, WHERE_TO_SEND) then
    return nil, "$BACKEND (or $BACKEND_PORT) is missing: where the program is to send requests"
  end
  local words = { table.unpack(WHERE_TO_LISTEN) }
  table.move(WHERE_TO_SEND, 1, #WHERE_TO_SEND, #words + 1, words)
  return {
    name = quoted(command), kind = "proxy", patience_ms = PATIENCE_MS, is_line = true,
    open = function(lab, backend) return launch_line(lab, backend, command, words, {}) end,
  }
end

--- What a name says of a client command.
-- @return the command as a shell would read it, and whether its stdout is the answer's body; nil where it is another's
function systems.read_client_command(name)
  if not name:find "^'" or count_variable(name, "URL") == 0 or has_variable(name, WHERE_TO_LISTEN) then return nil end
  local command = name:match("^('.*')" .. ANSWERS .. "$")
  return command or name, command ~= nil
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
