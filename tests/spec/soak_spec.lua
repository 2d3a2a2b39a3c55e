--- A slice of the soak with random faults, always the same one; and that it would find what it looks for.
local judge = require "faults.judge"
local plan = require "faults.plan"
local run = require "faults.run"

describe("random faults from the backend, with retry idempotent", function()
  local soak = run.new { seed = 7, requests = 3000, again = 10 }
  local failed = soak:play()
  local books = soak.books

  it("make our proxy do nothing that it may not", function()
    assert.is_nil(failed, failed and failed.trouble .. "\n" .. failed.text)
    assert.is_true(books.n_requests >= 3000)
  end)

  it("come out the same where a round is played again, alone", function()
    assert.is_nil(failed, failed and failed.trouble .. "\n" .. failed.text)
    assert.equal(books.n_rounds // 10, books.n_played_again)
  end)

  it("are met by half of the requests, and are of every point and ending", function()
    assert.is_true(books.n_faulty > 1000, books.n_faulty)
    assert.is_true(#books:never_fired() < 5, table.concat(books:never_fired(), ", "))
    assert.is_true(books.actions.retry > 100 and books.actions.elsewhere > 0 and books.actions["give up"] > 500)
  end)

  it("are told in a table, with every method and verdict", function()
    local text = tostring(books)
    for _, word in ipairs { "TRACE", "POST", "ghost", "request_byte", "stall", "digest" } do
      assert.truthy(text:find(word, 1, true), word)
    end
  end)
end)

describe("the soak", function()
  it("finds out a proxy that repeats everything, and a replay of that round shows where", function()
    local soak = run.new { seed = 7, requests = 3000, retry = "always" }
    local failed = soak:play()
    assert.truthy(failed)
    assert.truthy(failed.trouble:find "twice" or failed.trouble:find "R2", failed.trouble)
    local outcomes, text, trouble = soak:replay(failed.round)
    assert.equal(failed.trouble, trouble)
    assert.truthy(outcomes:find(failed.text:match "[^\n]+", 1, true), outcomes)
    assert.truthy(text:find("<-- " .. trouble, 1, true))
    assert.truthy(text:find("upstream 1", 1, true), "the timeline")
  end)

  it("draws the same from the same seed, and something else from another", function()
    local function first(seed, n)
      local lab = plan.lab(seed, plan.lab_of(n))
      local texts = {}
      for _, turn in ipairs(plan.round(seed, n, lab)) do
        for _, request in ipairs(turn) do texts[#texts + 1] = run.request_text(request) end
      end
      return table.concat(texts, "\n")
    end
    assert.equal(first(1, 1), first(1, 1))
    assert.are_not.equal(first(1, 1), first(1, 2))
    assert.are_not.equal(first(1, 1), first(2, 1))
  end)
end)

-- What the stage hands over of a POST that went well, with some of it changed.
local function facts(changes)
  local one = {
    request = { method = "POST", idempotent = false, path = "/item" }, sendings = { { executed = 1, answered = 100,
      whole = true, mark = 1 } },
    reply = { status = 200, mark = 1, invalid = false },
    verdict = { name = "clean", executed = 1, attempts = 1, altered = 0, reached = false, unseen = false,
      told = { status = 200, complete = true, closed = false, truncated = false, timeout = false } },
  }
  for key, value in pairs(changes) do
    if type(value) == "table" and #value == 0 then
      for name, part in pairs(value) do one[key][name] = part end
    else
      one[key] = value
    end
  end
  return one
end

local SENT, RAN = { request = 1, executed = 0, answered = 0 }, { request = 1, executed = 1, answered = 0 }
local DROPPED = { complete = false, closed = true, truncated = false, timeout = false }
local TIMEOUT = { complete = false, closed = false, truncated = false, timeout = true }

describe("what a request must never come to", function()
  local lab = { proxy = { retries = 1, response_timeout_ms = 60000 } }

  local function told(changes) return judge.trouble(facts(changes), lab) end

  it("a POST that ran twice", function()
    assert.equal("executed twice", told { verdict = { name = "twice" }, sendings = { RAN, RAN } })
    assert.is_nil(told { verdict = { name = "twice", reached = true }, sendings = { RAN, RAN },
      request = { method = "GET", idempotent = true } })
  end)

  it("a POST that was sent twice, or a GET that was sent again once part of its answer was passed on", function()
    assert.truthy(told({ sendings = { SENT, RAN } }):find "R2")
    assert.truthy(told({ request = { idempotent = true },
      sendings = { { executed = 1, answered = 9, whole = true, mark = 1 }, RAN } }):find "R5")
  end)

  it("a response that is garbled, unless nobody could tell", function()
    assert.equal("garbled", told { verdict = { name = "garbled" } })
    local cut = { executed = 1, answered = 9, whole = true, mark = 1, ended = true, ending = "fin",
      response_head = 5, until_close = false }
    assert.equal("garbled", told { verdict = { name = "garbled", reached = true }, sendings = { cut } })
    cut.until_close = true
    assert.is_nil(told { verdict = { name = "garbled", reached = true }, sendings = { cut },
      request = { close_delimited = true } })
  end)

  it("an answer from nowhere, or none that is HTTP", function()
    assert.equal("phantom", told { verdict = { name = "phantom" } })
    assert.equal("the client got what is no HTTP response", told { reply = { invalid = true } })
  end)

  it("a request that was changed on its way, or sent too often", function()
    assert.equal("executed with another content", told { verdict = { altered = 1 } })
    assert.equal("sent more often than retries allows", told { request = { idempotent = true },
      sendings = { SENT, SENT, RAN } })
  end)

  it("a client that waits for ever, unless the proxy was told to", function()
    local hung = { verdict = { name = "hung", reached = true, told = TIMEOUT }, sendings = { { executed = 0,
      answered = 0, ended = true, ending = "stall" } } }
    assert.equal("hung", told(hung))
    assert.is_nil(judge.trouble(facts(hung), { proxy = { retries = 1, response_timeout_ms = 0 } }))
    hung.sendings[1].ending = "fin"
    assert.equal("hung", judge.trouble(facts(hung), { proxy = { retries = 1, response_timeout_ms = 0 } }))
  end)

  it("a client that is told nothing, unless it left, or waits behind another", function()
    local dropped = { verdict = { name = "ghost", reached = true, told = DROPPED } }
    assert.equal("the client was told nothing", told(dropped))
    dropped.behind = true
    assert.is_nil(told(dropped))
    dropped.behind, dropped.aborted = false, true
    assert.is_nil(told(dropped))
  end)

  it("a failure without a fault", function()
    assert.equal("failed although nothing was in its way", told { verdict = { name = "refused" } })
    assert.is_nil(told { verdict = { name = "refused", reached = true } })
  end)
end)
