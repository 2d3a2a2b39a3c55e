--- closerace request: requests over one connection, one after the other, none of them ever repeated.

local arguments = require "closerace.command.arguments"
local core = require "closerace.core"
local count_of = require "closerace.count"

local USAGE = [[
usage: closerace request [OPTION]… URL… [--next [OPTION]… URL…]…

Sends requests to one HTTP/1.1 server, each when the one before was answered,
over one connection as long as the server keeps it open.  None is ever sent
again, whatever became of it.  A line tells each: the status where the whole
answer came, or else closed, reset, truncated, timeout, refused or invalid; the
bytes of the answer's body; whether it went out on the same connection as the
one before.

  -X, --request METHOD   default GET, with -d POST
  -d, --data BODY        the body, as it is
  -H, --header LINE      NAME: VALUE; may be repeated
      --id ID            sent as X-Closerace-Id: its name in the ledger
  -n, --times N          each URL N times (default 1)
      --next             the options before it are for the URLs before it alone
      --timeout-ms N     how long to wait for each answer (default 60000)
      --help             this text

A URL is [http://]HOST[:PORT][/PATH]; all are of the same server.

exit status: 0 each was answered whole, whatever the status; 1 one was not; 2
wrong usage; 130 interrupted
]]

local MAX_TIMES, TIMEOUT_MS, MAX_TIMEOUT_MS = 100000, 60000, 86400000

local DAY_MS = 86400000

--- For `read`: a whole number up to so much.
local function count_to(most)
  return function(text)
    local n = arguments.count(text)
    if n and n <= most then return n end
    return nil, ("a whole number from 1 to %d"):format(most)
  end
end

local function read_word(what)
  return function(text)
    if text:find "^[%w!#$%%&'*+.^_`|~-]+$" then return text end
    return nil, what
  end
end

--- "NAME: VALUE" as { name, value }.
local function read_header(text)
  local name, value = text:match "^([%w!#$%%&'*+.^_`|~-]+):[ \t]*([^%c]*)$"
  if not name then return nil, "NAME: VALUE" end
  local lower = name:lower()
  if lower == "content-length" or lower == "transfer-encoding" then
    return nil, "NAME: VALUE, but not the framing, which is made from the body"
  end
  return { name, value }
end

local function has_header(headers, name)
  for _, header in ipairs(headers) do
    if header[1]:lower() == name then return true end
  end
  return false
end

-- --------------------------------------------------------------------------- the URLs --

--- "[http://]HOST[:PORT][/PATH]" as { server = "HOST:PORT", host = as the header Host has it, path = }; or nil and a
-- sentence.
local function read_url(url)
  local scheme, rest = url:match "^(%a[%w+.-]*)://(.*)$"
  if scheme and scheme:lower() ~= "http" then return nil, url .. ": only http:// is spoken here, without TLS" end
  local authority, path = (rest or url):match "^([^/?#]*)([^#]*)"
  if path:find "[%c ]" then return nil, url .. ": no blanks or control characters in a URL; write %20" end
  if authority:find("@", 1, true) then
    return nil, url .. ": a name and a password are not sent; use -H 'Authorization: …'"
  end
  if authority == "" or authority:find "^:" then return nil, url .. ": a host is missing" end
  local has_port = authority:find "%]:[^:]*$" or authority:find "^[^%[]*:"
  authority = authority:lower()
  return {
    server = has_port and authority or authority .. ":80", host = authority,
    path = path:find "^/" and path or "/" .. path,
  }
end

--- The client of all requests; or nil and a sentence.
local function connect(lab, server, timeout_ms)
  local good, client = pcall(lab.client, lab, { to = server, timeout_ms = timeout_ms })
  if good then return client end
  local port = server:match "^localhost:(.*)$"
  if port then return connect(lab, "127.0.0.1:" .. port, timeout_ms) end
  return nil, ("%s: expected HOST:PORT, with an IPv4 address or localhost, and a port from 1 to 65535"):format(server)
end

-- ---------------------------------------------------------------------- the command line --

--- The options of one group, for arguments.parse.
local function options_of(group, run)
  return {
    { name = "request", short = "X", value = "METHOD", read = read_word "a method",
      set = function(word) group.method = word end },
    { name = "data", short = "d", value = "BODY", set = function(body) group.body = body end,
      read = function(body)
        if group.body then return nil, "one body" end
        return body
      end },
    { name = "header", short = "H", value = "NAME: VALUE", read = read_header,
      set = function(header) table.insert(group.headers, header) end },
    { name = "id", value = "ID", read = read_word "a word", set = function(id) group.id = id end },
    { name = "times", short = "n", value = "N", read = count_to(MAX_TIMES), set = function(n) group.times = n end },
    { name = "timeout-ms", value = "N", read = count_to(MAX_TIMEOUT_MS), set = function(n) run.timeout_ms = n end },
    { name = "help", short = "h", set = function() run.help = true end },
  }
end

--- The words between one --next and another.
local function split(args)
  local groups = { {} }
  for _, word in ipairs(args) do
    if word == "--next" then
      groups[#groups + 1] = {}
    else
      table.insert(groups[#groups], word)
    end
  end
  return groups
end

--- Add a group's requests to the list.  Returns nil, or what is wrong.
local function add_group(run, args)
  local group = { headers = {}, times = 1 }
  local urls, why = arguments.parse("closerace request", args, options_of(group, run))
  if not urls then return why end
  if run.help then return nil end
  if #urls == 0 then return "closerace request: no URL is given; see closerace request --help" end
  for _, text in ipairs(urls) do
    local url, wrong = read_url(text)
    if not url then return "closerace request: " .. wrong end
    run.server = run.server or url.server
    if url.server ~= run.server then
      return ("closerace request: all URLs must be of the same server, not %s and %s"):format(run.server, url.server)
    end
    table.insert(run.requests, { url = url, group = group })
  end
end

local function read(args)
  local run = { requests = {}, timeout_ms = TIMEOUT_MS }
  for _, words in ipairs(split(args)) do
    local why = add_group(run, words)
    if why then return nil, why end
  end
  return run
end

-- --------------------------------------------------------------------------- the requests --

--- The bytes of a request.
local function compose(request)
  local url, group = request.url, request.group
  local method = group.method or (group.body and "POST" or "GET")
  local lines = { ("%s %s HTTP/1.1"):format(method, url.path) }
  local function add(name, value) lines[#lines + 1] = ("%s: %s"):format(name, value) end
  if not has_header(group.headers, "host") then add("Host", url.host) end
  if group.id then add("X-Closerace-Id", group.id) end
  for _, header in ipairs(group.headers) do add(header[1], header[2]) end
  if group.body then
    if not has_header(group.headers, "content-type") then add("Content-Type", "application/x-www-form-urlencoded") end
    add("Content-Length", #group.body)
  end
  return method, table.concat(lines, "\r\n") .. "\r\n\r\n" .. (group.body or "")
end

local function say(told, reply, is_same, method, request, id)
  local size = count_of(#reply.body, "byte")
  print(("%-9s  %10s  %s connection  %s %s%s"):format(told, size, is_same and "same" or "new ", method,
    request.url.path, id ~= "" and " id=" .. id or ""))
end

--- Send a request and wait for its answer.
-- @return is it complete; and the number of its connection
local function send(client, request, last_conn)
  local method, bytes = compose(request)
  local exchange = client:raw(bytes)
  local reply = exchange:wait()
  say(tostring(reply), reply, reply.conn == last_conn, method, request, exchange.id)
  return reply.complete, reply.conn
end

local function play(run)
  local lab <close> = core.lab { real_time = true, timeline = false, deadline_ms = DAY_MS }
  local client, why = connect(lab, run.server, run.timeout_ms)
  if not client then
    io.stderr:write("closerace request: ", why, "\n")
    return 2
  end
  local n, n_bad, conn = 0, 0, nil
  for _, request in ipairs(run.requests) do
    for _ = 1, request.group.times do
      local is_complete
      lab:deadline(DAY_MS)
      is_complete, conn = send(client, request, conn)
      n, n_bad = n + 1, n_bad + (is_complete and 0 or 1)
    end
  end
  if n_bad == 0 then return 0 end
  io.stderr:write(("closerace request: %d of %s got no complete answer\n"):format(
    n_bad, count_of(n, "request")))
  return 1
end

return function(args)
  local run, why = read(args)
  if not run then
    io.stderr:write(why, "\n")
    return 2
  elseif run.help then
    io.write(USAGE)
    return 0
  end
  -- What the backend says between two requests stands between their lines.
  io.stdout:setvbuf "line"
  return play(run)
end
