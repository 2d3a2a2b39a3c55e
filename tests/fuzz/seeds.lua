--- What the fuzz targets begin with, beside the kept corpus: plain exchanges, each with something done to it.
--
--   lua5.4 tests/fuzz/seeds.lua TARGET DIRECTORY
--
-- The bytes from 0xf0 on are the targets' actions; session.c and upstream.c name them.

local PLAIN = "\0\0\0"                  -- every option at its default
local SMALL = "\0\0\x10"                -- small buffers
local CHECKPOINTS = 15
local N_POLICIES = 20                   -- of retry and reuse together

local GET = "GET /a HTTP/1.1\r\nHost: t\r\n\r\n"
local POST = "POST /p?q HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
local CHUNKED = "POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n"
local OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

local list = {}

local function seed(...)
  list[#list + 1] = table.concat { ... }
end

local seeds = {}

function seeds.session()
  local CUT, FIN, RST, TIMER, ANSWER, PAD = "\xf0", "\xf1", "\xf2", "\xf3", "\xf4", "\xf5"
  local HOLD, RELEASE, LIMIT, BACKEND_RST, BACKEND_FIN, CLIENT_DEAF = "\xf6", "\xf7", "\xf8", "\xf9", "\xfa", "\xfc"
  local N_MODES = 22

  for _, bytes in ipairs {
    GET, POST, CHUNKED, GET .. GET .. POST .. CHUNKED .. GET,
    "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n" .. GET,
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" .. GET,
    "OPTIONS * HTTP/1.1\r\nHost: t\r\nConnection: x-a, close\r\nX-A: 1\r\n\r\n" .. GET,
    "PUT http://u/ HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n" .. CUT .. "ok",
    GET:sub(1, 20), GET:sub(1, 20) .. TIMER, GET .. RST, ANSWER .. "\x14" .. GET .. RST,
    POST:sub(1, -2) .. FIN, POST:sub(1, -2) .. TIMER, POST .. LIMIT .. "\8" .. POST .. CUT .. BACKEND_RST .. RELEASE,
  } do seed(PLAIN, bytes) end
  seed(SMALL, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4000\r\n\r\n", PAD, "\x28", GET)
  seed(SMALL, ANSWER, "\9", CLIENT_DEAF, GET, CUT, CLIENT_DEAF)

  -- Two framings, and fields that two readers could read differently.
  for _, fields in ipairs {
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: +5\r\n",
    "Transfer-Encoding: x\r\n", "Transfer-Encoding: chunked, chunked\r\n", "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding:\r\n chunked\r\n",
    "Host: u\r\n", "X: 1\n", "X: \0\r\n", "X\r\n", ": x\r\n", "Connection: Content-Length\r\nContent-Length: 5\r\n",
  } do seed(PLAIN, "POST / HTTP/1.1\r\nHost: t\r\n", fields, "\r\n0\r\n\r\n", GET) end

  for mode = 0, N_MODES - 1 do
    local answer = ANSWER .. string.char(mode)
    seed(PLAIN, answer, GET, CUT, GET)
    seed(PLAIN, GET, CUT, answer, POST, CUT, GET)
    seed(PLAIN, answer, CHUNKED, GET)
  end
  for checkpoint = 0, CHECKPOINTS - 1 do
    local hold = HOLD .. string.char(checkpoint)
    seed(PLAIN, GET, hold, POST, CUT, BACKEND_FIN, CUT, RELEASE, GET)
    seed(PLAIN, hold, GET, CUT, BACKEND_RST, RELEASE)
  end
  for policy = 0, N_POLICIES - 1 do
    seed(string.char(policy), "\0\0", GET, CUT, ANSWER, "\x0c", ANSWER, "\x0c", POST, ANSWER, "\x0b", GET)
  end
end

function seeds.upstream()
  local CUT, FIN, RST, TIMER, ASK, PAD = "\xf0", "\xf1", "\xf2", "\xf3", "\xf4", "\xf5"
  local HOLD, RELEASE, LIMIT, CLIENT_DEAF = "\xf6", "\xf7", "\xf8", "\xfc"
  local N_ASKS = 11
  local GET_IT, HEAD_IT, POST_IT = "\0", "\1", "\2"

  local BY_CHUNKS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: v\r\n\r\n"
  local BY_CLOSE = "HTTP/1.1 200 OK\r\n\r\nok"
  local HINTS = "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"
  local OLD = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
  local STALE = "HTTP/1.1 408 Late\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

  for ask = 0, N_ASKS - 1 do
    local asked = PLAIN .. string.char(ask)
    for _, bytes in ipairs { OK, BY_CHUNKS, BY_CLOSE .. FIN, HINTS .. OK, OLD } do
      seed(asked, bytes)
      seed(asked, bytes, ASK, GET_IT, OK)
    end
    for _, bytes in ipairs { OK, BY_CHUNKS, BY_CLOSE } do
      seed(asked, bytes:sub(1, -2), FIN)
      seed(asked, bytes:sub(1, -2), RST)
      seed(asked, bytes:sub(1, 20), CUT, bytes:sub(21))
    end
    seed(asked, "HTTP/1.1 204 No\r\n\r\n", ASK, HEAD_IT,
      "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", ASK, GET_IT, OK)
    seed(asked, OK, ASK, POST_IT, STALE, FIN, OK)
    for _, bytes in ipairs { FIN .. OK, RST .. OK, HINTS .. FIN .. OK, TIMER } do seed(asked, bytes) end
  end

  local got = PLAIN .. GET_IT
  for _, fields in ipairs {
    "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 2\r\nContent-Length: 3\r\n",
    "Content-Length: 2, 2\r\n", "Transfer-Encoding: x\r\n", "X: 1\n", "X: \0\r\n", "X\r\n",
    "Keep-Alive: timeout=1, max=2\r\nContent-Length: 2\r\n", "Connection: X, close\r\nX: 1\r\nContent-Length: 2\r\n",
  } do seed(got, "HTTP/1.1 200 OK\r\n", fields, "\r\nok", ASK, GET_IT, OK) end
  seed(got, "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n")
  seed(got, OK, "HTTP/1.1 200 OK")
  seed(got, OK, CUT, "HTTP/1.1 200 OK\r\n\r\n", ASK, GET_IT, OK)
  seed(got, OK, ASK, GET_IT, ASK, HEAD_IT, ASK, POST_IT, OK, CUT, OK:sub(1, -3), CUT, OK)
  seed(SMALL, GET_IT, CLIENT_DEAF, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", (PAD .. "\xff"):rep(8), CUT,
    CLIENT_DEAF)
  seed(SMALL, GET_IT, CLIENT_DEAF, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6400\r\n",
    (PAD .. "\xff"):rep(2), CUT, CLIENT_DEAF)
  seed(got, LIMIT, "\4", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nk", ASK, POST_IT,
    "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", RST, RELEASE)
  for checkpoint = 0, CHECKPOINTS - 1 do
    local hold = HOLD .. string.char(checkpoint)
    seed(got, OK, hold, ASK, POST_IT, RST, RELEASE, OK)
    seed(got, OK, hold, ASK, GET_IT, FIN, RELEASE, OK)
  end
  for policy = 0, N_POLICIES - 1 do
    seed(string.char(policy), "\0\0", GET_IT, FIN, FIN, RST, OK, ASK, POST_IT, RST, RST, OK)
  end
end

local target, directory = arg[1], arg[2]
if not (seeds[target] and directory) then
  io.stderr:write "usage: lua5.4 tests/fuzz/seeds.lua session|upstream DIRECTORY\n"
  os.exit(2)
end
seeds[target]()
for i, bytes in ipairs(list) do
  local file = assert(io.open(("%s/seed-%03d"):format(directory, i), "wb"))
  file:write(bytes)
  assert(file:close())
end
