--- Run the fuzz targets, or keep what they found.
--
--   lua5.4 tests/fuzz/run.lua SECONDS TARGET …     each so long; new inputs go to build/fuzz/found
--   lua5.4 tests/fuzz/run.lua keep TARGET …        what was found, into the kept corpus, minimised
--
-- A finding leaves its input below build/fuzz/findings, is told with the command that shows it again,
-- and makes the exit status 1.

local BUILD = "build/fuzz"
local CORPUS = "tests/fuzz/corpus"
local LONGEST = 2048                    -- bytes of an input
local FILE_LIMIT = 140                  -- inputs kept for a target

local SETTINGS = "ASAN_OPTIONS=quarantine_size_mb=4:malloc_context_size=12:detect_leaks=1"
  .. " UBSAN_OPTIONS=print_stacktrace=1"

local function run(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read "a"
  local _, _, code = pipe:close()
  return output, code
end

local function made(directory)
  run(("mkdir -p '%s'"):format(directory))
  return directory
end

local function lines_of(command)
  local lines = {}
  for line in run(command):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function seeds_of(target)
  local directory = made(("%s/seeds/%s"):format(BUILD, target))
  run(("lua5.4 tests/fuzz/seeds.lua %s '%s'"):format(target, directory))
  return directory
end

local function fuzz(target, seconds)
  local found, findings = made(("%s/found/%s"):format(BUILD, target)), made(BUILD .. "/findings")
  local log = ("%s/%s.log"):format(BUILD, target)
  local prefix = ("%s/%s-"):format(findings, target)
  local command = "%s %s/fuzzer/%s -max_total_time=%d -max_len=%d -timeout=10 -rss_limit_mb=1024"
    .. " -dict=tests/fuzz/http.dict -print_final_stats=1 -artifact_prefix=%s %s %s %s >%s 2>&1"
  local _, status = run(command:format(SETTINGS, BUILD, target, seconds, LONGEST, prefix, found,
    made(("%s/%s"):format(CORPUS, target)), seeds_of(target), log))
  local file = assert(io.open(log))
  local text = file:read "a"
  file:close()
  local n, per_second = text:match "number_of_executed_units: (%d+)", text:match "average_exec_per_sec: +(%d+)"
  local edges, features, inputs
  for c, f, i in text:gmatch "cov: (%d+) ft: (%d+) corp: (%d+)" do edges, features, inputs = c, f, i end
  print(("%-10s %9s executions  %6s/s  %5s edges  %6s features  %5s inputs"):format(target, n or "?",
    per_second or "?", edges or "?", features or "?", inputs or "?"))
  if status == 0 then return true end
  local input = text:match "Test unit written to (%S+)"
  print(("%s: %s"):format(target, text:match "\n(tests/fuzz/[%w_]+%.c:%d+: [^\n]+)"
    or text:match "\nSUMMARY: ([^\n]+)" or "see " .. log))
  if input then print(("again:     %s/fuzzer/%s %s"):format(BUILD, target, input)) end
  print(("log:       %s"):format(log))
  return false
end

--- A small set with the same coverage; of it as many as are kept, the largest first: they do most.
local function keep(target)
  local kept, found = ("%s/%s"):format(CORPUS, target), ("%s/found/%s"):format(BUILD, target)
  local merged = ("%s/merged/%s"):format(BUILD, target)
  run(("rm -rf '%s'"):format(merged))
  local command = "%s %s/fuzzer/%s -set_cover_merge=1 -use_counters=0 -max_len=%d -timeout=10"
    .. " %s %s %s %s >%s/merge.log 2>&1"
  local _, status = run(command:format(SETTINGS, BUILD, target, LONGEST, made(merged), made(kept), seeds_of(target),
    made(found), BUILD))
  if status ~= 0 then
    print(target .. ": see " .. BUILD .. "/merge.log")
    return false
  end
  run(("rm -f '%s'/*"):format(kept))
  local names = lines_of(("ls -S '%s'"):format(merged))
  for i, name in ipairs(names) do
    if i <= FILE_LIMIT then run(("cp '%s/%s' '%s/%s'"):format(merged, name, kept, name:sub(1, 12))) end
  end
  print(("%-10s %d inputs cover what there is, %d are kept, %s"):format(target, #names, math.min(#names, FILE_LIMIT),
    run(("du -bsh '%s' | cut -f1"):format(kept)):match "%S+"))
  return true
end

local how = arg[1]
local seconds = math.tointeger(tonumber(how))
if #arg < 2 or not (how == "keep" or seconds and seconds > 0) then
  io.stderr:write "usage: lua5.4 tests/fuzz/run.lua SECONDS|keep TARGET …\n"
  os.exit(2)
end
local good = true
for i = 2, #arg do
  local one
  if seconds then one = fuzz(arg[i], seconds) else one = keep(arg[i]) end
  good = one and good
end
os.exit(good and 0 or 1)
