--- Every reuse policy with every retry policy, for every kind of request.  What is expected follows from the rules of
-- README (R2, R3, R6 and the two columns of policies), which are written down here once more.

local race = require "closerace"

local IDEMPOTENT = { GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true, DELETE = true }
local LIST = { "POST /search*", "PATCH /a/*/z", "* /any" }

--- The requests, and which of them the list names.
local kinds = {
  { name = "GET", method = "GET", path = "/item" },
  { name = "HEAD", method = "HEAD", path = "/item" },
  { name = "GET with a query", method = "GET", path = "/item?x=1", query = true },
  { name = "GET with a cookie", method = "GET", path = "/item", headers = { Cookie = "a=b" }, credentials = true },
  { name = "GET with credentials", method = "GET", path = "/item", headers = { authorization = "Basic eDp5" },
    credentials = true },
  { name = "GET with a body", method = "GET", path = "/item", body = "x" },
  { name = "OPTIONS", method = "OPTIONS", path = "/item" },
  { name = "PUT", method = "PUT", path = "/item", body = "x" },
  { name = "DELETE", method = "DELETE", path = "/item" },
  { name = "POST", method = "POST", path = "/pay", body = "x" },
  { name = "POST without a body", method = "POST", path = "/pay", body = "" },
  { name = "POST, listed", method = "POST", path = "/search", body = "x", listed = true },
  { name = "POST, listed, with a query", method = "POST", path = "/search/a?x=1", body = "x", query = true,
    listed = true },
  { name = "POST with an Idempotency-Key", method = "POST", path = "/pay", body = "x",
    headers = { ["Idempotency-Key"] = "k" }, listed = true },
  { name = "POST whose Idempotency-Key does not go on", method = "POST", path = "/pay", body = "x",
    headers = { ["Idempotency-Key"] = "k", Connection = "idempotency-key" } },
  { name = "GET whose cookie does not go on", method = "GET", path = "/item",
    headers = { Cookie = "a=b", Connection = "Cookie" } },
  { name = "PATCH, listed by a star in the middle", method = "PATCH", path = "/a/b/c/z", body = "x", listed = true },
  { name = "PATCH, not quite listed", method = "PATCH", path = "/a/b/c/zz", body = "x" },
  { name = "POST, listed for any method", method = "POST", path = "/any", body = "x", listed = true },
  { name = "POST, listed with other letters", method = "POST", path = "/SEARCH", body = "x" },
}

local function is_static(kind)
  return (kind.method == "GET" or kind.method == "HEAD") and not (kind.query or kind.credentials or kind.body)
end

local may_ride = {
  never = function() return false end,
  static = is_static,
  idempotent = function(kind) return IDEMPOTENT[kind.method] or false end,
  always = function() return true end,
}

local may_retry = {
  never = function() return false end,
  static = is_static,
  idempotent = function(kind) return IDEMPOTENT[kind.method] or false end,
  listed = function(kind) return IDEMPOTENT[kind.method] or kind.listed or false end,
  always = function() return true end,
}

--- One request behind a warm pool; its first attempt is read whole and never executed.
local function meet(reuse, retry, kind, fault)
  local lab = race.lab()
  local backend = lab:backend { faults = { fault } }
  local proxy = lab:proxy { to = backend, reuse = reuse, retry = retry, retry_list = LIST }
  local client = lab:client { to = proxy }
  client:request { path = "/warm" }
  local reply = client:request { method = kind.method, path = kind.path, headers = kind.headers, body = kind.body,
    id = "v" }
  return reply, lab:verdict "v", proxy:attempts "v", lab
end

describe("a request that is lost before it ran", function()
  for _, reuse in ipairs(race.words().reuse) do
    for _, retry in ipairs(race.words().retry) do
      it(("with reuse %s and retry %s"):format(reuse, retry), function()
        for _, kind in ipairs(kinds) do
          local reply, verdict, tries, lab = meet(reuse, retry, kind, { on = "request_end", id = "v", close = "fin" })
          local rides, again = may_ride[reuse](kind), may_retry[retry](kind)
          local case = ("%s: %s, %s, %s"):format(kind.name, reply, verdict, tries[1].why)
          assert.equal(rides, tries[1].reused, case)
          assert.equal(again and 2 or 1, #tries, case)
          assert.equal(again and 2 or 1, verdict.attempts, case)
          assert.equal(again and 200 or 502, reply.status, case)
          assert.equal(again and "clean" or "refused", verdict.name, case)
          assert.equal(again and "retry" or "give up", tries[1].action, case)
          if again then assert.is_false(tries[2].reused, case) end
          assert.is_true(verdict.reached, case)
          assert.equal("caused", verdict.order, case)
          lab:close()
        end
      end)
    end
  end
end)

describe("a request that ran, but was never answered", function()
  for _, retry in ipairs(race.words().retry) do
    it("with retry " .. retry .. ": whoever recovers it runs it twice", function()
      for _, kind in ipairs(kinds) do
        local _, verdict, tries, lab = meet("always", retry, kind, { on = "executed", id = "v", close = "rst" })
        local again = may_retry[retry](kind)
        local case = ("%s: %s, %s"):format(kind.name, verdict, tries[1].why)
        assert.equal(again and "twice" or "ghost", verdict.name, case)
        assert.equal(again and 2 or 1, verdict.executed, case)
        lab:close()
      end
    end)
  end
end)

describe("the reason", function()
  local function why(retry, kind) return (select(3, meet("always", retry, kind,
    { on = "request_end", id = "v", close = "fin" })))[1].why end

  it("is told in the books and in Proxy-Status", function()
    local get, post = kinds[1], kinds[10]
    assert.equal("retry policy is never", why("never", get))
    assert.equal("static request", why("static", get))
    assert.equal("not a static request", why("static", kinds[3]))
    assert.equal("idempotent method", why("idempotent", get))
    assert.equal("method not idempotent", why("idempotent", post))
    assert.equal("known to be repeatable", why("listed", kinds[12]))
    assert.equal("method not idempotent, request not listed", why("listed", post))
    assert.equal("retry policy is always", why("always", post))
    local reply, _, tries = meet("always", "listed", post, { on = "request_end", id = "v", close = "fin" })
    assert.equal(('closerace; error=connection_terminated; details="%s"'):format(tries[1].why),
      reply.headers["proxy-status"])
  end)
end)
