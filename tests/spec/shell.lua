--- Programs, processes and temporary folders for specs.
--
-- The programs are those of the build under test: CLOSERACE_BUILD, or "build".  A process that is started
-- must be ended with process:wait(); nothing here waits for time to go by.

local shell = {}

local here = io.popen("pwd"):read "l"
local build = os.getenv "CLOSERACE_BUILD" or "build"

shell.checkout = here
shell.build = build:sub(1, 1) == "/" and build or here .. "/" .. build

--- A word of a command line, quoted.
function shell.quoted(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- The path of a program of ours.
function shell.program(name)
  return shell.quoted(shell.build .. "/" .. name)
end

--- make, without what an outer make handed down.
shell.make = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s"

local function slurp(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

--- Write a file.
function shell.write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
  return path
end

-- ----------------------------------------------------------------------- folders --

local folders = {}

--- Make a temporary folder; shell.clean() removes it.
function shell.folder()
  local folder = io.popen("mktemp -d /tmp/spec-XXXXXX"):read "l"
  folders[#folders + 1] = folder
  return folder
end

function shell.clean()
  for _, folder in ipairs(folders) do os.execute("rm -rf " .. shell.quoted(folder)) end
  folders = {}
end

--- The names in a folder, sorted.
function shell.names(folder)
  local names = {}
  for name in io.popen("ls -A " .. shell.quoted(folder)):lines() do names[#names + 1] = name end
  return names
end

-- ---------------------------------------------------------------------- commands --

--- Run a command to its end.
-- @return a table: status (128 + n for a signal), stdout, stderr
function shell.run(command)
  local errors = os.tmpname()
  local pipe = io.popen(("{ %s\n} 2>%s </dev/null"):format(command, errors))
  local result = { stdout = pipe:read "a" }
  local _, kind, code = pipe:close()
  result.status = kind == "signal" and 128 + code or code
  result.stderr = slurp(errors)
  os.remove(errors)
  return result
end

-- --------------------------------------------------------------------- processes --

local Process = {}
Process.__index = Process

--- Start a command that is a single program; its stdout and stderr are read with read_until().
function shell.start(command)
  local pipe = io.popen("echo $$; exec " .. command .. " 2>&1 </dev/null")
  return setmetatable({ pipe = pipe, pid = tonumber(pipe:read "l"), output = "" }, Process)
end

--- Read lines until one has the pattern.
-- @return what the pattern captured
function Process:read_until(pattern)
  for line in self.pipe:lines "L" do
    self.output = self.output .. line
    if line:find(pattern) then return line:match(pattern) end
  end
  error(("it ended without a line like '%s':\n%s"):format(pattern, self.output), 2)
end

function Process:signal(name)
  assert(os.execute(("kill -%s %d"):format(name, self.pid)))
end

--- Wait for its end.
-- @return its status (128 + n for a signal)
function Process:wait()
  self.output = self.output .. self.pipe:read "a"
  local _, kind, code = self.pipe:close()
  return kind == "signal" and 128 + code or code
end

--- Is there a process with that id?
function shell.exists(pid)
  return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) == true
end

return shell
