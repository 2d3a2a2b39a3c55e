--- Run every check, quietly, and say at the end what came of it.
--
--   lua5.4 tests/run.lua [PASS …]      from the checkout, everything built
--
-- A pass is one way to run the tests: "plain" (which also looks at the source), "sanitized" (the
-- programs of build/address-undefined) or "valgrind"; without a word, the first two.
-- Each group of tests gets a line; what failed is shown with all that it said.  The last line is
-- "N passed, N failed[, N skipped]"; the exit status is 1 where anything failed or a group was empty.

local now_s = require "system".monotime

local BUILD = "build"
local SANITIZED = BUILD .. "/address-undefined"
local CAUGHT = 99                       -- the exit status of a sanitizer's or valgrind's complaint

-- --------------------------------------------------------------------- commands --

--- Run a shell command to its end.
-- @return what it wrote, and its exit status (128 + n for a signal)
local function run(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1 </dev/null"))
  local output = pipe:read "a"
  local _, kind, code = pipe:close()
  return output, kind == "signal" and 128 + code or code
end

local function lines_of(command)
  local lines = {}
  for line in run(command):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

--- A command in the environment of a pass; one that hangs must not hang the machine that tests.
local function in_pass(pass, command, preload)
  local words = { ("tests/patient.sh env CLOSERACE_BUILD=%s"):format(pass.build) }
  for _, setting in ipairs(pass.env or {}) do words[#words + 1] = ("'%s'"):format(setting) end
  if preload and pass.preload then words[#words + 1] = ("LD_PRELOAD='%s'"):format(pass.preload) end
  words[#words + 1] = pass.wrap
  words[#words + 1] = command
  return table.concat(words, " ")
end

-- ---------------------------------------------------------------------- results --

local function new_result()
  return { passed = 0, failed = 0, skipped = {}, shown = {} }
end

local function show(result, title, output)
  result.shown[#result.shown + 1] = ("--- %s\n%s"):format(title, output)
end

local function fail(result, title, output)
  result.failed = result.failed + 1
  show(result, title, output)
end

local function expect(result, title, good, output)
  if good then
    result.passed = result.passed + 1
  else
    fail(result, title, output)
  end
end

local function status_text(status)
  if status > 128 then return ("killed by signal %d"):format(status - 128) end
  return ("exit status %d"):format(status)
end

--- Read TAP.
-- @return counts: passed, failed, skipped (reasons), planned (nil: no plan), and the output without what passed
local function read_tap(output)
  local tap = { passed = 0, failed = 0, skipped = {} }
  local rest = {}
  for line in output:gmatch "[^\n]*" do
    local no, text = line:match "^(n?o?t? ?)ok %d+ %- (.*)$"
    local reason = text and text:match "# SKIP%s*(.*)$"
    if no == "not " then
      tap.failed = tap.failed + 1
      rest[#rest + 1] = line
    elseif no == "" and reason then
      tap.skipped[#tap.skipped + 1] = reason
    elseif no == "" then
      tap.passed = tap.passed + 1
    else
      tap.planned = tonumber(line:match "^1%.%.(%d+)$") or tap.planned
      rest[#rest + 1] = line
    end
  end
  return tap, table.concat(rest, "\n")
end

--- Add a TAP program's results.  It must have said what it planned, done it, and ended accordingly.
local function add_tap(result, title, output, status)
  local tap, rest = read_tap(output)
  local n = tap.passed + tap.failed + #tap.skipped
  local trouble
  if not tap.planned then
    trouble = "no plan, " .. status_text(status)
  elseif tap.planned ~= n then
    trouble = ("%d tests planned, %d run, %s"):format(tap.planned, n, status_text(status))
  elseif (status == 0) ~= (tap.failed == 0) then
    trouble = ("%d failed, but %s"):format(tap.failed, status_text(status))
  elseif n == 0 then
    trouble = "no test"
  end
  result.passed = result.passed + tap.passed
  result.failed = result.failed + tap.failed
  table.move(tap.skipped, 1, #tap.skipped, #result.skipped + 1, result.skipped)
  if trouble then
    fail(result, ("%s: %s"):format(title, trouble), rest)
  elseif tap.failed > 0 then
    show(result, title, rest)
  end
end

-- ----------------------------------------------------------------------- groups --
-- Each takes a pass and returns a result.

local function unit(pass)
  local result = new_result()
  for _, source in ipairs(lines_of "ls tests/unit/*_test.c") do
    local program = source:gsub("^tests", pass.build):gsub("%.c$", "")
    add_tap(result, program, run(in_pass(pass, program)))
  end
  return result
end

--- The inputs that the fuzz targets keep, without a fuzzer.
local function corpus(pass)
  local result = new_result()
  for _, target in ipairs(lines_of "ls tests/fuzz/corpus") do
    local program = ("%s/corpus/%s"):format(pass.build, target)
    add_tap(result, program, run(in_pass(pass, ("%s tests/fuzz/corpus/%s/*"):format(program, target))))
  end
  return result
end

local function specs(pass)
  local result = new_result()
  local command = 'lua5.4 "$(command -v busted)" --output=TAP'
  add_tap(result, "busted", run(in_pass(pass, command, true)))
  return result
end

--- What `closerace run` said of each script: its state and the text under its line.
local function read_run(output)
  local found, last = {}, nil
  for line in output:gmatch "[^\n]*" do
    local state, title = line:match "^(%a+) +(%S+)"
    if state == "ok" or state == "FAIL" or state == "VARIED" or state == "skip" then
      last = { state = state, title = title, lines = {} }
      found[title] = last
    end
    if last then last.lines[#last.lines + 1] = line end
  end
  return found
end

local function examples(pass)
  local result, n_bad = new_result(), 0
  local files = {}
  for _, file in ipairs(lines_of "ls lua/examples/*.lua") do
    files[#files + 1] = file
  end
  local output, status = run(in_pass(pass, ("%s/closerace run %s"):format(pass.build, table.concat(files, " "))))
  local found = read_run(output)
  for _, file in ipairs(files) do
    local one = found[file:match "([^/]+)%.lua$"] or { state = "not run", lines = { output } }
    if one.state == "skip" then
      result.skipped[#result.skipped + 1] = one.lines[1]:gsub("^skip%s+", "")
    else
      expect(result, file, one.state == "ok", table.concat(one.lines, "\n"))
      if one.state ~= "ok" then n_bad = n_bad + 1 end
    end
  end
  if (status == 0 or status == 77) ~= (n_bad == 0) then
    fail(result, "closerace run: " .. status_text(status), output)
  end
  return result
end

--- A target of the Makefile counts as one test.
local function target(name)
  return function()
    local result = new_result()
    local output, status = run((os.getenv "MAKE" or "make") .. " -s " .. name)
    expect(result, "make " .. name, status == 0, output)
    return result
  end
end

--- Mistakes made on purpose, in C called from Lua: is the watchman awake?
local function canaries(pass)
  local result = new_result()
  for _, mistake in ipairs { "canary_leak", "canary_overflow" } do
    local script = ('package.loadlib("%s/lib/canary.so", "%s")()'):format(pass.build, mistake)
    local output, status = run(in_pass(pass, ("lua5.4 -e '%s'"):format(script), true))
    expect(result, mistake .. " went unnoticed: " .. status_text(status), status == CAUGHT, output)
  end
  return result
end

-- ----------------------------------------------------------------------- passes --

--- The runtime libraries that a sanitized module needs in a program that was not built with them.
local function runtimes(module)
  local list = {}
  for path in run("ldd " .. module):gmatch "(%S*/lib[aut]+b?san%.so%S*)" do list[#list + 1] = path end
  return list
end

local passes = {}

function passes.plain()
  return {
    build = BUILD,
    groups = { "lint", target "lint", "layers", target "layers", "manual", target "manual-check",
      "unit", unit, "corpus", corpus, "specs", specs, "examples", examples },
  }
end

function passes.sanitized()
  local preload = runtimes(SANITIZED .. "/lib/closerace/core.so")
  preload[#preload + 1] = "./" .. SANITIZED .. "/lib/canary.so"
  return {
    build = SANITIZED,
    prefix = "sanitized ",
    preload = table.concat(preload, ":"),
    env = {
      ("ASAN_OPTIONS=detect_leaks=1:halt_on_error=1:exitcode=%d"):format(CAUGHT),
      ("UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=%d"):format(CAUGHT),
      "LSAN_OPTIONS=print_suppressions=0",
    },
    groups = { "canaries", canaries, "unit", unit, "corpus", corpus, "specs", specs, "examples", examples },
  }
end

function passes.valgrind()
  return {
    build = BUILD,
    prefix = "valgrind ",
    wrap = ("valgrind --quiet --sim-hints=lax-ioctls --error-exitcode=%d --leak-check=full"
      .. " --show-leak-kinds=definite,possible"
      .. " --errors-for-leak-kinds=definite,possible --suppressions=tests/valgrind.supp"):format(CAUGHT),
    groups = { "canaries", canaries, "unit", unit, "specs", specs, "examples", examples },
  }
end

-- --------------------------------------------------------------------- reporting --

local function counts_text(counts)
  local text = ("%d passed, %d failed"):format(counts.passed, counts.failed)
  return counts.skipped > 0 and ("%s, %d skipped"):format(text, counts.skipped) or text
end

local function report(name, result, seconds)
  local counts = { passed = result.passed, failed = result.failed, skipped = #result.skipped }
  print(("%-20s %-36s %7.1f s"):format(name, counts_text(counts), seconds))
  for _, reason in ipairs(result.skipped) do print("    skipped: " .. reason) end
  for _, text in ipairs(result.shown) do print(text) end
  io.stdout:flush()
  return counts
end

local function run_group(pass, name, group, total)
  local start = now_s()
  local result = group(pass)
  if result.passed + result.failed + #result.skipped == 0 then fail(result, name, "no test was found") end
  local counts = report((pass.prefix or "") .. name, result, now_s() - start)
  for key, n in pairs(counts) do total[key] = total[key] + n end
end

local function main(names)
  local total = { passed = 0, failed = 0, skipped = 0 }
  if #names == 0 then names = { "plain", "sanitized" } end
  for _, name in ipairs(names) do
    local pass = assert(passes[name], "no such pass: " .. name)()
    for i = 1, #pass.groups, 2 do run_group(pass, pass.groups[i], pass.groups[i + 1], total) end
  end
  print(counts_text(total))
  return total.failed == 0 and 0 or 1
end

local good, status = xpcall(main, function(err)
  return tostring(err):find "interrupted!" and "interrupted" or debug.traceback(err)
end, arg)
if not good then io.stderr:write("tests/run.lua: ", status, "\n") end
os.exit(good and status or status == "interrupted" and 130 or 1)
