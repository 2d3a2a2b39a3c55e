--- A million requests with random faults from the backend, many clients, every form of request and response: whatever
-- the backend does, no POST is executed twice, no response is garbled, nobody waits for ever, nothing is leaked.
--
--   closerace run tests/soak/faults.lua
--
-- In the environment: REQUESTS (1000000), SEED (1), RETRY (idempotent), ROUND: play that one alone and show how it
-- went; SANITIZED: memory is not measured, it is the sanitizer's.

local race = require "closerace"
package.path = (arg[0]:match "^.*/" or "./") .. "?.lua;" .. package.path
local run = require "faults.run"

local function number(name, otherwise)
  local text = os.getenv(name) or ""
  if text == "" then return otherwise end
  return math.tointeger(tonumber(text)) or error(("%s: expected a whole number, got '%s'"):format(name, text), 0)
end

local REQUESTS = number("REQUESTS", 1000000)
local SEED = number("SEED", 1)
local ROUND = number "ROUND"
local RETRY = os.getenv "RETRY" or "idempotent"
local SANITIZED = os.getenv "SANITIZED" == "1"

-- From so many requests on, every pair of close point and ending must have come.
local ENOUGH = 100000
-- By how much memory may grow, in kB: from the most that was measured in the first half to the least in the last tenth.
-- The ups and downs in between are malloc's, which now keeps more of it and now less.
local GROWTH_KB = 512

if ROUND then
  local _, text, trouble = run.new({ seed = SEED, retry = RETRY }):replay(ROUND)
  print(text)
  assert(not trouble, trouble)
  return
end

-- ------------------------------------------------------------------------ measuring --

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local pid = read "/proc/self/stat":match "%d+"

local function n_descriptors()
  local pipe, n = io.popen(("ls /proc/%s/fd"):format(pid)), 0
  for _ in pipe:lines() do n = n + 1 end
  pipe:close()
  return n
end

local start_ms = race.now_ms()

-- Between two labs, when all of both is gone.
local function measure(books)
  collectgarbage()
  return {
    n_requests = books.n_requests,
    seconds = (race.now_ms() - start_ms) / 1000,
    rss_kb = tonumber(read "/proc/self/status":match "VmRSS:%s+(%d+)"),
    lua_kb = collectgarbage "count",
    digest = books.digest,
  }
end

local function tenth_text(t)
  local line = "%8d requests %6.1f s  RSS %6d to %6d kB, Lua %3.0f kB  %2d descriptors  %5d in TIME_WAIT  digest %016x"
  return line:format(t.n_requests, t.seconds, t.least_kb, t.most_kb, t.lua_kb, t.descriptors, t.time_wait, t.digest)
end

-- -------------------------------------------------------------------------- playing --

local tenths, least_kb, most_kb = {}, math.huge, 0

local function progress(books)
  local now = measure(books)
  least_kb, most_kb = math.min(least_kb, now.rss_kb), math.max(most_kb, now.rss_kb)
  if books.n_requests < REQUESTS / 10 * (#tenths + 1) then return end
  now.least_kb, now.most_kb, least_kb, most_kb = least_kb, most_kb, math.huge, 0
  now.descriptors = n_descriptors()
  now.time_wait = tonumber(read "/proc/net/sockstat":match "TCP: .- tw (%d+)")
  tenths[#tenths + 1] = now
  io.stderr:write(tenth_text(now), "\n")
end

local soak = run.new { seed = SEED, requests = REQUESTS, retry = RETRY, progress = progress }
local failed = soak:play()
if failed then
  error(("%s\n%s\nseed %d, round %d of %d requests so far; play it again with\n"
    .. "  SEED=%d ROUND=%d RETRY=%s closerace run tests/soak/faults.lua"):format(failed.trouble, failed.text,
    failed.seed, failed.round, soak.books.n_requests, failed.seed, failed.round, failed.retry), 0)
end

local second, half, last = tenths[2] or tenths[1], 0, tenths[#tenths]
for i = 1, #tenths // 2 do half = math.max(half, tenths[i].most_kb) end
print(("seed %d, retry %s"):format(SEED, RETRY))
print(soak.books)
print ""
for _, tenth in ipairs(tenths) do print(tenth_text(tenth)) end
print(("%.0f s, %.0f requests/s"):format(last.seconds, last.n_requests / last.seconds))

local never = soak.books:never_fired()
assert(last.n_requests < ENOUGH or #never == 0, "never fired: " .. table.concat(never, ", "))
assert(last.descriptors == second.descriptors, "descriptors are leaked")
if SANITIZED or last.n_requests < ENOUGH then return end
assert(last.least_kb <= half + GROWTH_KB, "memory is leaked")
