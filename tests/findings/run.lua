--- Play what docs/findings.md is written from.
--
--   build/closerace run tests/findings/run.lua      from the checkout
--
-- For each system a file of rows in build/findings, and versions.json beside them.  SYSTEMS=haproxy,perlbal plays only
-- those; ROUNDS=10 plays each so often and compares the tables.

local core = require "closerace.core"
local cjson = require "cjson"
local drivers = require "closerace.sut"
local lists = dofile "tests/findings/systems.lua"
local systems = require "closerace.system"

local CLOSERACE = "build/closerace"
local DIR = "build/findings"

local function sh(command)
  local good, how, number = os.execute(command)
  if core.is_interrupted() or how == "signal" or number == 130 then error("interrupted", 0) end
  return good and 0 or number
end

--- A file's name from a system's.
local function file_of(name, ending)
  return ("%s/%s%s"):format(DIR, name:gsub("[:=]", "-"), ending)
end

local function say(format, ...)
  io.stderr:write(format:format(...), "\n")
end

--- As many processes as there are processors.
local function count_processors()
  local pipe <close> = assert(io.popen "nproc")
  return math.tointeger(pipe:read "n") or 1
end

local JOBS = count_processors()

--- Play a system; the exit status 1 tells that it breaks a rule, which is no failure here.
local function play(name, path)
  local start = core.now_ms()
  local status = sh(("%s matrix -q -j %d --sut %s --save %s >%s"):format(
    CLOSERACE, JOBS, name, path, file_of(name, ".txt")))
  if status > 1 then error(("closerace matrix --sut %s: exit status %d"):format(name, status), 0) end
  return (core.now_ms() - start) / 1000
end

local function compare(name, n_rounds, path)
  for round = 2, n_rounds do
    local again = file_of(name, ".again")
    play(name, again)
    if sh(("%s diff -q %s %s >%s.diff"):format(CLOSERACE, path, again, path)) ~= 0
      or sh(("cmp -s %s %s"):format(path, again)) ~= 0 then
      say("  round %d differs: %s diff %s %s", round, CLOSERACE, path, again)
      os.rename(again, ("%s.%d"):format(path, round))
    end
  end
end

local function wanted()
  local only = os.getenv "SYSTEMS"
  if not only then return nil end
  local set = {}
  for name in only:gmatch "[^,]+" do set[name] = true end
  return set
end

local function main()
  local versions, only = {}, wanted()
  local n_rounds = math.tointeger(tonumber(os.getenv "ROUNDS" or "1")) or 1
  sh("mkdir -p " .. DIR)
  for _, kind in ipairs { "proxies", "clients" } do
    for _, group in ipairs(lists[kind]) do
      local system = assert(systems.driven(group.name))
      versions[group.name] = { title = drivers.find(group.name).title, version = systems.version(system) }
    end
  end
  local file = assert(io.open(DIR .. "/versions.json", "w"))
  file:write(cjson.encode(versions), "\n")
  file:close()
  for _, kind in ipairs { "proxies", "clients" } do
    for _, group in ipairs(lists[kind]) do
      for _, name in ipairs(group) do
        local system = assert(systems.driven(name))
        if only and not only[group.name] then
          goto next
        elseif system.lacks then
          say("%-40s skipped: %s", name, system.lacks)
        else
          say("%-40s %.1f s", name, play(name, file_of(name, ".jsonl")))
          compare(name, n_rounds, file_of(name, ".jsonl"))
        end
        ::next::
      end
    end
  end
  if not only then
    sh(("%s natural -q --seed 1 --sut %s --format jsonl -o %s/natural.jsonl"):format(CLOSERACE, lists.natural, DIR))
  end
end

main()
