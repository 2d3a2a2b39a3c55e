--- Write docs/findings.md from what tests/findings/run.lua has played.  Nothing is in it that was not measured.
--
--   lua5.4 tests/findings/write.lua                 from the checkout

package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
local cjson = require "cjson"
local claims = dofile "tests/findings/claims.lua"
local lists = dofile "tests/findings/systems.lua"

local DIR, PAGE = "build/findings", "docs/findings.md"

-- ------------------------------------------------------------------------- reading --

local function lines_of(path)
  local file = io.open(path)
  if not file then return nil end
  local list = {}
  for line in file:lines() do list[#list + 1] = line end
  file:close()
  return list
end

local function decode(line)
  local r = cjson.decode(line)
  for name, value in pairs(r) do
    if value == cjson.null then r[name] = nil end
  end
  return r
end

--- What was measured of a system: { name =, rows =, by_cell = }; nil where nothing was.
local measured = setmetatable({}, { __index = function(self, name)
  local lines = lines_of(("%s/%s.jsonl"):format(DIR, name:gsub("[:=]", "-")))
  if not lines then return nil end
  local system = { name = name, rows = {}, by_cell = {} }
  for i, line in ipairs(lines) do
    local r = decode(line)
    r.offset = r.cell:match "@([^/]+)"
    system.rows[i], system.by_cell[r.cell] = r, r
  end
  self[name] = system
  return system
end })

local versions = decode(assert(lines_of(DIR .. "/versions.json"), "play first: make findings")[1])

-- ------------------------------------------------------------------------- writing --

local page = {}
local function write(format, ...)
  page[#page + 1] = select("#", ...) > 0 and format:format(...) or format
end

local function write_table(head, rows)
  write("| " .. table.concat(head, " | ") .. " |")
  write("|" .. ("---|"):rep(#head))
  for _, row in ipairs(rows) do write("| " .. table.concat(row, " | ") .. " |") end
  write ""
end

local function title_of(name)
  local base, rest = name:match "^([^:]*):?(.*)$"
  local title = versions[base].title
  return rest == "" and title or ("%s `%s`"):format(title, rest)
end

-- -------------------------------------------------------------------------- tables --

--- What is in a box: what became of the request, and what broke a rule.
local function box(r)
  if not r then return "" end
  if r.state == "skipped" or r.state == "undecided" then return r.state end
  if r.state == "failed" then return "failed" end
  if r.why then return "–" end
  local text = r.verdict
  if text ~= "clean" and text ~= "hung" then text = text .. " " .. r.told end
  if r.attempts > 1 then text = text .. (" ×%d"):format(r.attempts) end
  for _, finding in pairs(r.rules) do
    if finding == "broken" and r.violation then return ("**%s**"):format(text) end
  end
  return text
end

--- The races of the tables: a title, and what stands in a cell's id behind the request.
local races = {
  { "idle, the end was seen (FIN)", "reused/idle/fin/settled/none/cl" },
  { "idle, nobody was told", "reused/idle/vanish/crossing/none/cl" },
  { "crossing FIN", "reused/arrival/fin/crossing/none/cl" },
  { "crossing reset", "reused/arrival/rst/crossing/none/cl" },
  { "request read, then FIN", "reused/request_end/fin/caused/none/cl" },
  { "request read, then reset", "reused/request_end/rst/caused/none/cl" },
  { "executed, then FIN", "reused/executed/fin/caused/none/cl" },
  { "executed, then reset", "reused/executed/rst/caused/none/cl" },
  { "the same on a fresh connection", "fresh/executed/rst/caused/none/cl" },
  { "executed, then reset, twice", "reused/executed/rst/caused/same/cl" },
  { "executed, then silence", "reused/executed/stall/caused/none/cl" },
  { "103, then FIN", "reused/interim/fin/caused/none/cl" },
  { "one byte of the response, then FIN", "reused/response_byte@1/fin/caused/none/cl" },
  { "half of the body (length known), then FIN", "reused/response_byte@mid/fin/caused/none/cl" },
  { "half of the body (length known), then reset", "reused/response_byte@mid/rst/caused/none/cl" },
  { "half of the body (chunked), then FIN", "reused/response_byte@mid/fin/caused/none/chunked" },
  { "408 and FIN cross the request", "reused/arrival/408+fin/crossing/none/cl" },
  { "unsolicited 200 and FIN before the request", "reused/idle/200+fin/settled/none/cl" },
}

--- A race that is not part of that request's cells has no row.
local function race_table(request, names)
  local head, rows = { "`" .. request .. "`" }, {}
  for _, name in ipairs(names) do
    if measured[name] then head[#head + 1] = title_of(name) end
  end
  for _, race in ipairs(races) do
    local row, is_played = { race[1] }, false
    for _, name in ipairs(names) do
      local system = measured[name]
      local r = system and system.by_cell[request .. "/" .. race[2]]
      if system then row[#row + 1] = box(r) end
      is_played = is_played or r ~= nil
    end
    if is_played then rows[#rows + 1] = row end
  end
  write_table(head, rows)
end

local COUNTED = { "R1", "R2", "R3", "R4", "R5", "R8", "R9" }

local function count_rules(system)
  local counts = { played = 0, missed = 0, undecided = 0, skipped = 0 }
  for _, r in ipairs(system.rows) do
    if r.verdict then counts.played = counts.played + 1 end
    if r.why and r.verdict then counts.missed = counts.missed + 1 end
    if counts[r.state] then counts[r.state] = counts[r.state] + 1 end
    for _, rule in ipairs(COUNTED) do
      if r.rules[rule] == "broken" or r.next_rules[rule] == "broken" then counts[rule] = (counts[rule] or 0) + 1 end
    end
  end
  return counts
end

local function sum_table(groups)
  local rows = {}
  for _, group in ipairs(groups) do
    for _, name in ipairs(group) do
      local system = measured[name]
      if system then
        local counts = count_rules(system)
        local row = { title_of(name), tostring(counts.played), tostring(counts.missed), tostring(counts.undecided),
          tostring(counts.skipped) }
        for _, rule in ipairs(COUNTED) do row[#row + 1] = counts[rule] and tostring(counts[rule]) or "" end
        rows[#rows + 1] = row
      end
    end
  end
  write_table({ "system", "cells", "not reached", "undecided", "refused", table.unpack(COUNTED) }, rows)
end

-- -------------------------------------------------------------------------- claims --

local function is_one_of(value, wanted)
  if type(wanted) ~= "table" then return value == wanted end
  for _, one in ipairs(wanted) do
    if one == value then return true end
  end
  return false
end

local function fits(r, condition)
  for name, wanted in pairs(condition) do
    local good
    if name == "broken" then
      good = r.rules[wanted] == "broken"
    elseif name == "next_broken" then
      good = r.next_rules[wanted] == "broken"
    else
      good = is_one_of(r[name], wanted)
    end
    if not good then return false, name end
  end
  return true
end

--- The rows that a claim is about: played, and as they were meant.
local function rows_of(system, where)
  local list = {}
  for _, r in ipairs(system.rows) do
    if r.verdict and not r.why and fits(r, where) then list[#list + 1] = r end
  end
  return list
end

local function prove(claim, name, where, is)
  local list = rows_of(measured[name], where)
  if #list == 0 then error(("%s: no cell of %s is meant"):format(claim.title, name), 0) end
  for _, r in ipairs(list) do
    local good, field = fits(r, is)
    if not good then
      error(("%s: %s of %s contradicts it: %s is %s"):format(claim.title, r.cell, name, field, tostring(r[field])), 0)
    end
  end
  return #list
end

--- The three sentences of a claim, proved.
local function tell(claim)
  local n = prove(claim, claim.system, claim.where, claim.is)
  local cure = claim.cure
  if cure.none then
    for _, name in ipairs(cure.none) do prove(claim, name, claim.where, claim.is) end
  else
    local where = {}
    for name, wanted in pairs(claim.where) do where[name] = wanted end
    for name, wanted in pairs(cure.where or {}) do where[name] = wanted end
    prove(claim, cure.variant, where, cure.is)
  end
  write("**%s.** %s %s %s", claim.title, claim.what:gsub("{n}", tostring(n)), claim.rule, claim.change)
  write ""
end

--- Was everything measured that a claim is about?
local function is_measured(claim)
  for _, name in ipairs(claim.cure.none or { claim.cure.variant }) do
    if not measured[name] then return false end
  end
  return measured[claim.system] ~= nil
end

--- The claims about a program and its variants; those about what is not here are no findings.
local function claims_about(base)
  local list = {}
  for _, claim in ipairs(claims) do
    if claim.system:match "^[^:]*" == base and is_measured(claim) then list[#list + 1] = claim end
  end
  return list
end

-- ---------------------------------------------------------------------- the page --

local function count(name, where, is)
  local n, of = 0, 0
  for _, r in ipairs(rows_of(measured[name], where)) do
    of = of + 1
    if fits(r, is) then n = n + 1 end
  end
  return n, of
end

local REQUESTS = { "get", "put", "post-empty", "post-small", "post-chunked" }
local UNSAFE = { "post-empty", "post-small", "post-chunked" }

local function write_head()
  write "# What is wrong with them"
  write ""
  write [[
Written by `make findings` from what `closerace matrix --sut …` measured; whatever is said here, the program that
writes this page has checked against every row of its kind. The words are those of [matrix.md](matrix.md). A box says
what became of the request and what the client was told: `refused` it never ran, `ghost` it ran and the client does
not know, `twice` it ran twice, `hung` the client waits, `garbled` what it got is not its answer or not all of it; ×N
is how many sendings the backend met; **bold** breaks a rule; – the race did not come about (the request took a fresh
connection).]]
  write ""
  local list = {}
  for _, kind in ipairs { "proxies", "clients" } do
    for _, group in ipairs(lists[kind]) do
      if measured[group.name] then
        local v = versions[group.name]
        list[#list + 1] = v.title .. (v.version and " " .. v.version or "")
      end
    end
  end
  write("Measured: %s, each as Debian packages it, configured as in `lua/closerace/sut`.", table.concat(list, ", "))
  write ""
end

local function default_names(groups)
  local names = {}
  for i, group in ipairs(groups) do names[i] = group.name end
  return names
end

local function write_proxies()
  write "## Proxies: what becomes of a request\n"
  write "On a connection that has carried one request, with a client that has, too, and the program's defaults.\n"
  for _, request in ipairs(REQUESTS) do race_table(request, default_names(lists.proxies)) end
  write "## Proxies: rules broken\n"
  write("Cells in which the request, or the client's next one, broke a rule. R1, R2, R5 and R8 are violations, the "
    .. "others advice. `refused`: the program does not take such a request at all.\n")
  sum_table(lists.proxies)
end

local function write_claims()
  write "## Findings\n"
  for _, group in ipairs(lists.proxies) do
    local has_own_section = group.name == "perlbal" or group.name == "haproxy"
    local list = measured[group.name] and not has_own_section and claims_about(group.name) or {}
    if #list > 0 then
      write("### %s\n", title_of(group.name))
      for _, claim in ipairs(list) do tell(claim) end
    end
  end
end

local function write_perlbal()
  if not measured.perlbal then return end
  local twice, of = count("perlbal", { request = UNSAFE }, { verdict = "twice" })
  local many, all = count("perlbal", {}, { attempts = { 0, 1 } })
  local seen, idle = count("perlbal", { point = "idle", order = "settled", ending = { "fin", "rst", "half", "plain" } },
    { verdict = "clean" })
  write "## Perlbal: dormando's question\n"
  write "> I'd be curious to know what real bugs perlbal has relative to backend keepalives, so we can document them at"
  write "> least.\n"
  write([[
It has none of the kind that was feared: of %d cells with a POST %s, and in %d of all %d cells the backend met the
request once at most. It looks at its idle connections: where the end of one could be seen before the request came,
the request got its answer in %d of %d cells. What it lacks is the other half of the rule, to tell the client.]],
    of, twice == 0 and "none ran twice" or twice .. " ran twice", many, all, seen, idle)
  write ""
  for _, claim in ipairs(claims_about "perlbal") do tell(claim) end
  write "What its settings change, for a GET and for a POST:\n"
  for _, request in ipairs { "get", "post-small" } do race_table(request, lists.proxies[2]) end
end

local function write_haproxy()
  if not measured.haproxy then return end
  write "## HAProxy beside Willy's rules\n"
  local rows = {}
  local function rule(text, answer, ...) rows[#rows + 1] = { text, answer:format(...) } end
  local where = { request = UNSAFE, second = "none" }
  local n, of = count("haproxy", where, { attempts = { 0, 1 } })
  rule("“HTTP only allows you to send an idempotent request over a keep-alive connection”",
    "By default a POST rides a used connection, once that is the client's own; in %d of %d cells it is sent once at "
    .. "most.", n, of)
  n, of = count("haproxy:none", { connection = "reused", point = { "arrival", "executed" } }, { attempts = 1 })
  rule("“you just apply a classical back-off algorithm and reconnect and push your request again”",
    "Not by default: `retry-on conn-failure` is about connecting. With `retry-on none` %d of %d crossing or executed "
    .. "requests are sent once.", n, of)
  n, of = count("haproxy:empty", { request = UNSAFE, point = { "arrival", "executed" }, ending = { "fin", "rst" },
    connection = "reused", client = "later" }, { broken = "R2" })
  rule("“Non-idempotent methods MUST NOT be automatically retried”",
    "With `retry-on empty-response` %d of %d POSTs whose used connection ended are.", n, of)
  n, of = count("haproxy:empty", { point = "executed", ending = { "fin", "rst" }, second = "same",
    connection = "reused", client = "later" }, { attempts = 3 })
  rule("“The automatic retry SHOULD NOT be repeated if the second sequence of requests fails”",
    "It is repeated up to `retries` (3) times: a third sending in %d of %d cells in which the second failed, too.",
    n, of)
  n, of = count("haproxy:empty-no-post", { request = UNSAFE }, { broken = "R2" })
  rule("“an intermediary with a list of retryable URLs” may retry",
    "`http-request disable-l7-retry if …` is such a list, turned around; with METH_POST %s of %d POSTs breaks R2.",
    n == 0 and "none" or tostring(n), of)
  write_table({ "the rule", "measured" }, rows)
  for _, claim in ipairs(claims_about "haproxy") do tell(claim) end
  write "What its settings change, for a GET and for a POST:\n"
  for _, request in ipairs { "get", "post-small" } do race_table(request, lists.proxies[1]) end
end

local function write_clients()
  local names = {}
  for _, name in ipairs(default_names(lists.clients)) do
    if measured[name] then names[#names + 1] = name end
  end
  if #names == 0 then return end
  write "## Clients: who retries what\n"
  write("The same races, which hit a client library as they hit a proxy. ×2 is a retry nobody asked for; what the "
    .. "library reported as an error is 502 here, for a command its exit status.\n")
  for _, request in ipairs(REQUESTS) do race_table(request, names) end
  sum_table(lists.clients)
end

local function percent(rate) return ("%.1f"):format(100 * rate) end

local function write_natural()
  local lines = lines_of(DIR .. "/natural.jsonl")
  if not lines then return end
  local rows = {}
  for _, line in ipairs(lines) do
    local r = decode(line)
    if measured[r.system] then
      rows[#rows + 1] = { title_of(r.system), r.request, ("%g ms"):format(r.close_after_ms), ("%d"):format(r.trials),
        ("%d"):format(r.crossed), ("%s %% (%s–%s)"):format(
          percent(r.failed_rate), percent(r.failed_low), percent(r.failed_high)), ("%d"):format(r.met_twice) }
    end
  end
  write "## How often it happens by itself\n"
  write("Rates, not certainties ([natural.md](natural.md)): the backend closes an idle connection so long after its "
    .. "answer, unannounced, while the client goes on. With Wilson's interval at 95 %.\n")
  write_table({ "system", "request", "closed after", "trials", "crossed", "failed", "met twice" }, rows)
end

local function write_undecided()
  local rows = {}
  for _, group in ipairs(lists.proxies) do
    local system, n, of = measured[group.name], 0, 0
    for _, r in ipairs(system and system.rows or {}) do
      if r.order == "close-first" or r.order == "request-first" then
        of = of + 1
        if r.state == "undecided" then n = n + 1 end
      end
    end
    if system then rows[#rows + 1] = { title_of(group.name), tostring(of), tostring(n) } end
  end
  write "## What the order does not decide\n"
  write("Where the close and the request are both queued before the program looks, and it does not always come to the "
    .. "same, the cell is undecided: it is no verdict.\n")
  write_table({ "system", "queued cells", "undecided" }, rows)
end

write_head()
write_proxies()
write_perlbal()
write_haproxy()
write_claims()
write_clients()
write_natural()
write_undecided()

local file = assert(io.open(PAGE, "w"))
file:write((table.concat(page, "\n"):gsub("\n\n\n+", "\n\n"):gsub("\n*$", "\n")))
file:close()
print("written: " .. PAGE)
