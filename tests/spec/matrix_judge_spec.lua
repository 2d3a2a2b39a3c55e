--- What the rules say of given facts, each from both sides.
local axes = require "closerace.matrix.axes"
local judge = require "closerace.matrix.judge"

local told = {
  answer = { status = 200, complete = true }, error = { status = 502, complete = true }, closed = {},
  timeout = { timeout = true },
}

local function sending(changes)
  local s = {
    request = 2, whole = true, executed = 0, answered = 0, response_head = 150, until_close = false, ended = true,
    ending = "rst", after_end = false,
  }
  for name, value in pairs(changes or {}) do s[name] = value end
  return s
end

local good = sending { executed = 1, answered = 200, ended = false, mark = 7 }

--- Facts of a cell; the next request is in good order unless it is given.
local function facts(name, sendings, more)
  local f = {
    verdict = { name = name, told = told.error, reached = true, order = "crossing", unseen = false },
    reply = { status = 502 }, sendings = sendings, attempts = {}, n_held = 0,
    next_verdict = { name = "clean", told = told.answer }, next_reply = { status = 200, mark = 9 },
    next_sendings = { sending { executed = 1, answered = 100, ended = false, mark = 9 } },
  }
  for key, value in pairs(more or {}) do f[key] = value end
  return f
end

local function cell(changes)
  local c = { request = "post-small", connection = "reused", point = "arrival", ending = "rst", order = "crossing",
              second = "none", response = "cl" }
  for name, value in pairs(changes or {}) do c[name] = value end
  for axis, name in pairs(c) do c[axis] = assert(axes[axis][name], name) end
  return c
end

local get = { request = "get" }
local answer = { reply = { status = 200, mark = 7 } }

local foreign = { reply = { status = 200, mark = 3 } }

--- Without CAP_NET_RAW: something more may have been sent.
local function unseen(name, more)
  local f = { verdict = { name = name, told = told.error, reached = true, order = "crossing", unseen = true } }
  for key, value in pairs(more or {}) do f[key] = value end
  return f
end

local early = { point = "request_head", ending = "413+plain", order = "caused" }
local stale = { ending = "408+fin" }
local ended_408 = sending { ending = "fin" }
local told_408 = { reply = { status = 408, mark = 3 } }

-- what, cell, facts, the findings about its own request[, kind of system]
local cases = {
  { "a POST that was refused once keeps every rule", {}, facts("refused", { sending() }), {} },
  { "a POST that came twice breaks R2", {}, facts("clean", { sending(), good }, answer), { R2 = "broken" } },
  { "… also where only a piece of it had come", {}, facts("clean", { sending { whole = false }, good }, answer),
    { R2 = "broken" } },
  { "a GET that came twice breaks nothing", get, facts("clean", { sending(), good }, answer), {} },
  { "a POST with a key may come twice", { request = "post-key" }, facts("clean", { sending(), good }, answer),
    { R6 = "permitted" } },
  { "… but not three times", { request = "post-key" }, facts("clean", { sending(), sending(), good }, answer),
    { R2 = "broken", R4 = "broken" } },
  { "a POST that the proxy knew to be repeatable may come twice", {},
    facts("clean", { sending(), good }, { reply = answer.reply, attempts = { { why = "known to be repeatable" } } }),
    { R6 = "permitted" } },
  { "a client should not repeat a POST, and may", {}, facts("clean", { sending(), good }, answer), { R2 = "advice" },
    "client" },
  { "whether a POST came again is unknown where that could not be seen", {},
    facts("refused", { sending() }, unseen "refused"), { R2 = "unknown" } },
  { "… and where it could be seen, all the same, it is known", {},
    facts("clean", { sending(), good }, unseen("clean", answer)), { R2 = "broken", R4 = "unknown" } },
  { "a POST that crossed a 408 may come again", stale, facts("clean", { ended_408, good }, answer), {} },
  { "… as often as a 408 crosses it", stale, facts("clean", { ended_408, ended_408, good }, answer),
    { R4 = "broken" } },
  { "… but not on a fresh connection, where the 408 is its answer", stale,
    facts("clean", { sending { request = 1, ending = "fin" }, good }, answer), { R2 = "broken" } },
  { "… and not after another end", {}, facts("clean", { ended_408, good }, answer), { R2 = "broken" } },
  { "a 408 that crossed a request is better not passed on", stale, facts("garbled", { ended_408 }, told_408),
    { R8 = "advice" } },
  { "… and on a fresh connection is the answer", stale,
    facts("garbled", { sending { request = 1, ending = "fin" } }, told_408), {} },
  { "a GET that was given up after a reset misses R3", get, facts("refused", { sending() }), { R3 = "broken" } },
  { "… and after a FIN", get, facts("ghost", { sending { ending = "fin", executed = 1 } }), { R3 = "broken" } },
  { "… but not where nobody told of the end", get, facts("refused", { sending { ending = "stall" } }), {} },
  { "… nor where it vanished behind the request", get, facts("refused", { sending { ending = "vanish" } }), {} },
  { "… though where it had vanished before, the next byte met a reset", get,
    facts("refused", { sending { ending = "vanish", after_end = true } }), { R3 = "broken" } },
  { "… nor where a response had begun", get, facts("ghost", { sending { answered = 9, executed = 1 } }), {} },
  { "… nor where the response told was the server's own", get,
    facts("refused", { sending { mark = 7 } }, { reply = { status = 413, mark = 7 } }), {} },
  { "a GET that failed twice was retried as it should be", get, facts("refused", { sending(), sending() }), {} },
  { "a third sending is one too many", get, facts("refused", { sending(), sending(), sending() }), { R4 = "broken" } },
  { "… which is unknown after two where more could not be seen", get,
    facts("refused", { sending(), sending() }, unseen "refused"), { R4 = "unknown" } },
  { "a GET may come again after a cut response of which nothing was passed on", get,
    facts("clean", { sending { answered = 9 }, good }, answer), {} },
  { "… and after one that was cut in its body", get,
    facts("clean", { sending { answered = 180, mark = 5 }, good }, answer), {} },
  { "… but not once part of it was passed on", get,
    facts("ghost", { sending { answered = 180, mark = 5 }, good }, { reply = { status = 200, mark = 5 } }),
    { R5 = "broken" } },
  { "a cut response that looks complete breaks R5", get,
    facts("garbled", { sending { mark = 7, answered = 180 } }, answer), { R5 = "broken" } },
  { "… also a close-delimited one, where a reset cut it", get,
    facts("garbled", { sending { mark = 7, answered = 180, until_close = true } }, answer), { R5 = "broken" } },
  { "… but cut by FIN nobody can tell", get,
    facts("garbled", { sending { mark = 7, answered = 180, until_close = true, ending = "fin" } }, answer),
    { R5 = "unknown" } },
  { "… whatever the resource was asked for: what counts is how it was framed there", { response = "close" },
    facts("garbled", { sending { mark = 7, answered = 180, until_close = false, ending = "fin" } }, answer),
    { R5 = "broken" } },
  { "… a head that FIN has cut can be told in every framing", get,
    facts("garbled", { sending { mark = 7, answered = 149, until_close = true, ending = "fin" } }, answer),
    { R5 = "broken" } },
  { "a head that is cut before the mark and looks complete is a cut response", get,
    facts("garbled", { sending { mark = 7, answered = 20, executed = 1 } }, { reply = { status = 200 } }),
    { R5 = "broken" } },
  { "somebody else's response breaks R8", get, facts("garbled", { good }, foreign), { R8 = "broken" } },
  { "… also one that came where a 408 was to be expected", stale, facts("garbled", { ended_408 }, foreign),
    { R8 = "broken" } },
  { "a success without a mark breaks R8", get, facts("garbled", { good }, { reply = { status = 200 } }),
    { R8 = "broken" } },
  { "a phantom breaks R8", get, facts("phantom", {}, answer), { R8 = "broken" } },
  { "an early refusal that was passed on keeps R9", early,
    facts("refused", { sending { mark = 7 } }, { reply = { status = 413, mark = 7 } }), {} },
  { "… one that was lost misses it", early, facts("refused", { sending { mark = 7 } }), { R9 = "broken" } },
  { "what was never sent and given up misses R7", { ending = "rst" }, facts("refused", {}), { R7 = "broken" } },
  { "… which is unknown where it could not be seen", { ending = "rst" }, facts("refused", {}, unseen "refused"),
    { R2 = "unknown", R7 = "unknown" } },
  { "… unless all connections fail", { ending = "rst", second = "all" }, facts("refused", {}), {} },
  { "a client that waits for ever after a reset shows R1 broken", get,
    facts("hung", { sending(), sending() }, { verdict = { name = "hung", told = told.timeout } }), { R1 = "broken" } },
  { "… after a stall it is unknown", get,
    facts("hung", { sending { ending = "stall" } }, { verdict = { name = "hung", told = told.timeout } }),
    { R1 = "unknown" } },
  { "a request behind a settled close must be answered", { point = "idle", ending = "fin", order = "settled" },
    facts("refused", { sending { after_end = true } }), { R1 = "broken" } },
}

describe("of a request the rules say:", function()
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.same(case[4], (judge.findings(cell(case[2]), case[3], case[5] or "proxy")))
    end)
  end

  it("no rule is without a case", function()
    local seen = {}
    for _, case in ipairs(cases) do
      for name in pairs(case[4]) do seen[name] = true end
    end
    for _, name in ipairs(judge.names) do assert.truthy(seen[name], name) end
  end)
end)

describe("of the client's next request the rules say:", function()
  local lost = { next_verdict = { name = "refused", told = told.error }, next_reply = { status = 502 } }
  local function findings(changes, more)
    local f = facts("refused", { sending() }, lost)
    for key, value in pairs(more) do f[key] = value end
    return select(2, judge.findings(cell(changes), f, "proxy"))
  end

  it("lost on a connection that was seen to end, it breaks R1", function()
    assert.same({ R1 = "broken" }, findings({}, { next_sendings = { sending { after_end = true, ending = "fin" } } }))
  end)

  it("lost on one that vanished or stalled, it does not", function()
    for _, ending in ipairs { "vanish", "stall" } do
      assert.same({}, findings({}, { next_sendings = { sending { ending = ending, after_end = true } } }))
    end
  end)

  it("lost where all connections fail, it does not", function()
    assert.same({}, findings({ second = "all" }, { next_sendings = { sending() } }))
  end)

  it("sent twice, it breaks R2", function()
    assert.same({ R2 = "broken" }, findings({}, {
      next_verdict = { name = "clean", told = told.answer }, next_sendings = { sending(), good },
    }))
  end)

  it("with the response of another, it breaks R8", function()
    assert.same({ R8 = "broken" }, findings({}, {
      next_verdict = { name = "garbled", told = told.answer }, next_reply = { status = 200, mark = 3 },
      next_sendings = { good },
    }))
  end)
end)

describe("the race that a cell asks for", function()
  local function missed(changes, verdict, n_held, n_ended)
    return judge.missed(cell(changes), {
      verdict = verdict, n_held = n_held or 0, n_ended = n_ended or 0,
      attempts = { { reused = verdict.reused ~= false } }, sendings = {},
    })
  end

  it("took place where it was decided in that order", function()
    assert.is_nil(missed({}, { order = "crossing", reached = true }))
    assert.is_nil(missed({ point = "idle", order = "settled" }, { order = "settled", reached = false }))
    assert.is_nil(missed({ order = "held:awaiting#1" }, { order = "held", reached = true }, 1))
  end)

  it("was another one where it was not", function()
    assert.equal("decided as settled", missed({}, { order = "settled", reached = true }))
    assert.equal("the request rode another connection", missed({}, { order = "crossing", reached = false }))
    assert.equal("nobody came to that checkpoint", missed({ order = "held:awaiting#1" }, { order = "held" }, 0))
    assert.equal("there was no second attempt", missed({ order = "held:awaiting#2" }, { order = "held" }, 0))
    assert.equal("the request rode a fresh connection",
      missed({}, { order = "crossing", reached = true, reused = false }))
    assert.equal("decided as caused", missed({ order = "held:awaiting#1" }, { order = "caused" }, 1))
  end)

  local queued = { "close-first", "request-first" }

  it("needs an idle connection that is ended, where two things are queued", function()
    for _, order in ipairs(queued) do
      local changes = { point = "idle", ending = "fin", order = order }
      assert.is_nil(missed(changes, { order = "crossing", reached = true }, 0, 1))
      assert.equal("no connection was idle", missed(changes, { order = "none", reached = false }, 0, 0))
    end
  end)

  it("was lost by the close that came behind the request, where that rode a fresh connection all the same", function()
    local verdict = { order = "settled", reached = false, reused = false }
    assert.equal("the request rode a fresh connection",
      missed({ point = "idle", ending = "fin", order = "request-first" }, verdict, 0, 1))
    assert.is_nil(missed({ point = "idle", ending = "fin", order = "close-first" }, verdict, 0, 1))
  end)
end)
