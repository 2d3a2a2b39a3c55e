--- The commands of the program.  Each takes its arguments and returns the exit status.

local core = require "closerace.core"

local USAGE = [[
closerace makes HTTP keep-alive close races happen on demand.

  closerace matrix [OPTION]…      every close race there is, judged
  closerace trial CELL            one cell of the matrix again, with its timeline
  closerace natural [OPTION]…     races that nobody decides, counted: rates
  closerace diff OLD NEW          what changed from one baseline to another
  closerace merge FILE…           shares of a matrix put together
  closerace run [OPTION]… FILE…   run scripts and say what became of each request
  closerace list                  every word: close points, endings, orders, requests, checkpoints, verdicts …;
                                  with --sut: programs that can be tested
  closerace proxy OPTION…         the reverse proxy alone
  closerace backend OPTION…       the backend alone, with its faults
  closerace --help | --version

Each has a --help of its own.

exit status: 0 all held; 1 a script failed, a verdict varied, a rule was broken;
2 wrong usage; 77 everything was skipped; 130 interrupted; 70 trouble of
closerace's own
]]

local commands = {}

function commands.run(args)
  return require "closerace.run"(args)
end

for _, name in ipairs { "matrix", "trial", "natural", "diff", "merge", "request" } do
  commands[name] = function(args) return require("closerace.command." .. name)(args) end
end

--- A title and words, in lines of 80 columns.
local function show(title, words)
  local line = ("%-12s"):format(title)
  for _, word in ipairs(words) do
    if #line + 2 + #word > 80 then
      print(line)
      line = (" "):rep(12)
    end
    line = line .. "  " .. word
  end
  print(line)
end

--- The programs that can be put under test, whether they are here, and what can be chosen of them.
local function list_systems()
  local drivers, systems = require "closerace.sut", require "closerace.system"
  for _, name in ipairs(drivers.names) do
    local system = systems.driven(name)
    local driver = system.driver
    print(("%-20s %s %s"):format(name, driver.title, systems.version(system) or system.lacks or ""))
    for _, variant in ipairs(driver.variants or {}) do
      local words = {}
      for _, setting in ipairs(driver.settings) do
        if variant[setting.name] then words[#words + 1] = ("%s=%s"):format(setting.name, variant[setting.name]) end
      end
      print(("    :%-20s %s"):format(variant.name, table.concat(words, ", ")))
    end
    for _, setting in ipairs(driver.settings or {}) do
      print(("    :%s=%s\n        %s"):format(setting.name, table.concat(drivers.words(setting), "|"), setting.help))
    end
  end
  return 0
end

function commands.list(args)
  if args[1] == "--sut" and not args[2] then return list_systems() end
  if args[1] then
    io.stderr:write(("closerace list: '%s': it takes nothing, or --sut\n"):format(args[#args]))
    return 2
  end
  local words, axes = core.words(), require "closerace.matrix.axes"
  show("points", words.points)
  show("endings", words.endings)
  show("orders", table.move({ "close-first", "request-first" }, 1, 2, #words.orders + 1, words.orders))
  show("requests", axes.words "request")
  show("connections", axes.words "connection")
  show("second", axes.words "second")
  show("responses", axes.words "response")
  show("clients", axes.words "client")
  show("systems", require("closerace.sut").names)
  show("checkpoints", words.checkpoints)
  show("reuse", words.reuse)
  show("retry", words.retry)
  print "\nverdicts, in the order in which they are judged"
  for _, verdict in ipairs(words.verdicts) do
    print(("  %-8s %s"):format(verdict.word, verdict.meaning))
  end
  return 0
end

commands["--help"] = function()
  io.write(USAGE)
  return 0
end
commands["-h"] = commands["--help"]
commands.help = commands["--help"]

commands["--version"] = function()
  print("closerace " .. core.version)
  return 0
end

return function(args)
  local name = table.remove(args, 1)
  if not name then
    io.stderr:write(USAGE)
    return 2
  end
  local command = commands[name]
  if not command then
    io.stderr:write(("closerace: '%s' is not a command; allowed: matrix, trial, natural, diff, merge, run, list, "
      .. "proxy, backend, --help, --version\n"):format(name))
    return 2
  end
  local status = command(args)
  return core.is_interrupted() and 130 or status
end
