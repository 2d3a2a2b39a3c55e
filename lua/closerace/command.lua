--- The commands of the program.  Each takes its arguments and returns the exit status.

local core = require "closerace.core"

local USAGE = [[
closerace makes HTTP keep-alive close races happen on demand.

  closerace run [OPTION …] FILE…   run scripts and say what became of each request
  closerace list                   close points, endings, orders, checkpoints, policies, verdicts
  closerace proxy OPTION…          the reverse proxy alone (closerace proxy --help)
  closerace backend OPTION…        the fault-injecting backend alone (closerace backend --help)
  closerace --help | --version

closerace run --help tells more.  Exit status: 0 all held; 1 a script failed or a verdict varied;
2 wrong usage; 77 everything was skipped; 130 interrupted.
]]

local commands = {}

function commands.run(args)
  return require "closerace.run"(args)
end

function commands.list()
  local words = core.words()
  local function show(title, list)
    print(("%-12s %s"):format(title, table.concat(list, "  ")))
  end
  show("points", words.points)
  show("endings", words.endings)
  show("orders", words.orders)
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
    io.stderr:write(("closerace: '%s' is not a command; allowed: run, list, proxy, backend, --help, --version\n")
      :format(name))
    return 2
  end
  return command(args)
end
