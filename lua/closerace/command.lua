--- The commands of the program.  Each takes its arguments and returns the exit status.

local arguments = require "closerace.command.arguments"
local core = require "closerace.core"
local fold = require "closerace.fold"
local nearest = require "closerace.nearest"

local USAGE = [[
closerace makes HTTP keep-alive close races happen on demand.

  closerace matrix [OPTION]…    every close race there is, judged
  closerace trial CELL          one cell of the matrix again, with its timeline
  closerace natural [OPTION]…   races that nobody decides, counted: rates
  closerace diff OLD NEW        what changed from one baseline to another
  closerace merge FILE…         shares of a matrix put together
  closerace run FILE…           run scripts, say what became of each request
  closerace list                every word there is; --sut: what can be tested
  closerace proxy OPTION…       the reverse proxy alone
  closerace backend OPTION…     the backend alone, with its faults
  closerace request URL…        requests over one connection, never repeated
  closerace --help | --version

Each has a --help of its own.

exit status: 0 all held; 1 a script failed, a verdict varied, a rule was broken;
2 wrong usage; 77 everything was skipped; 130 interrupted; 70 trouble of
closerace's own
]]

-- In the order of the usage.
local NAMES = { "matrix", "trial", "natural", "diff", "merge", "run", "list", "proxy", "backend", "request" }

local commands = {}

local function unknown(name)
  io.stderr:write(("closerace: '%s' is not a command; %sallowed: %s, --help, --version\n"):format(
    name, nearest.hint(name, NAMES), table.concat(NAMES, ", ")))
  return 2
end

function commands.run(args)
  return require "closerace.run"(args)
end

for _, name in ipairs { "matrix", "trial", "natural", "diff", "merge", "request" } do
  commands[name] = function(args) return require("closerace.command." .. name)(args) end
end

--- A title and words, in lines of 80 columns.
local function show(title, words)
  print(fold.text(("%-13s "):format(title), table.concat(words, " "), 14))
end

local LIST_USAGE = [[
usage: closerace list [--sut]

Shows every word there is: close points, endings, orders, requests, connections,
checkpoints, verdicts …

  --sut    programs that can be put under test, whether they are here, and what
           can be chosen of them
  --help   this text

exit status: 0; 2 wrong usage
]]

--- The programs that can be put under test, whether they are here, and what can be chosen of them.
local function list_systems()
  local drivers, systems = require "closerace.sut", require "closerace.system"
  for _, name in ipairs(drivers.names) do
    local system = systems.driven(name)
    local driver = system.driver
    print(fold.option(name, ("%s %s"):format(driver.title, systems.version(system) or system.lacks or ""), 22))
    for _, variant in ipairs(driver.variants or {}) do
      local words = {}
      for _, setting in ipairs(driver.settings) do
        if variant[setting.name] then words[#words + 1] = ("%s=%s"):format(setting.name, variant[setting.name]) end
      end
      print(fold.text(("    :%-20s "):format(variant.name), table.concat(words, ", "), 26))
    end
    for _, setting in ipairs(driver.settings or {}) do
      print(fold.text(("    :%s="):format(setting.name), table.concat(drivers.words(setting), " | "), 8))
      print(fold.text((" "):rep(8), setting.help, 8))
    end
  end
  return 0
end

function commands.list(args)
  local wants_systems, wants_help
  local rest, why = arguments.parse("closerace list", args, {
    { name = "sut", set = function() wants_systems = true end },
    { name = "help", short = "h", set = function() wants_help = true end },
  })
  if rest and rest[1] then why = ("closerace list: '%s': it takes nothing, or --sut"):format(rest[1]) end
  if why then
    io.stderr:write(why, "\n")
    return 2
  elseif wants_help then
    io.write(LIST_USAGE)
    return 0
  elseif wants_systems then
    return list_systems()
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

commands["--help"] = function(args)
  if args[1] then return commands[args[1]] and commands[args[1]] { "--help" } or unknown(args[1]) end
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
  if not command then return unknown(name) end
  local status = command(args)
  return core.is_interrupted() and 130 or status
end
