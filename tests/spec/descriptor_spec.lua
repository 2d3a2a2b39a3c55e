--- No descriptor is left behind a lab, in whatever state it is closed.
local lfs = require "lfs"
local race = require "closerace"
local victim = require "victim"
local warm_up = require "warm"

local words = race.words()
local POST = victim.requests.POST
local SIZES = victim.sizes(POST)

local function n_descriptors()
  local n = 0
  for _ in lfs.dir "/proc/self/fd" do n = n + 1 end
  return n
end

local function used(lab)
  local backend = lab:backend()
  local client = victim.client(lab, backend)
  client:raw(victim.WARM):wait()
  return backend, client, backend:conn(1)
end

local states = {
  ["nothing but a backend"] = function(lab) lab:backend() end,
  ["a client that never connected"] = function(lab) lab:client { to = lab:backend() } end,
  ["a connection that was never accepted"] = function(lab) lab:client { to = lab:backend() }:raw(POST) end,
  ["an idle connection"] = function(lab) used(lab) end,
  ["a connection that its client has reset"] = function(lab)
    local _, client = used(lab)
    client:close()
    lab:advance(0)
  end,
  ["a connection that its client has reset, unseen"] = function(lab)
    local _, client = used(lab)
    client:close()
  end,
  ["a connection that its client has half closed"] = function(lab)
    local _, client = used(lab)
    client:half_close()
    lab:advance(0)
  end,
  ["a request on its way"] = function(lab)
    local _, client = used(lab)
    client:raw(POST)
  end,
  ["a request half read"] = function(lab)
    local _, client = used(lab)
    client:raw(POST:sub(1, 30))
    lab:advance(0)
  end,
  ["a request unread, reading held"] = function(lab)
    local _, client, conn = used(lab)
    conn:hold()
    client:raw(POST)
    conn:wait_arrival(#POST)
  end,
  ["a response kept back"] = function(lab)
    local _, client, conn = used(lab)
    conn:hold "sending"
    client:raw(POST)
    lab:advance(0)
  end,
  ["a big response kept back"] = function(lab)
    local _, client, conn = used(lab)
    conn:hold "sending"
    client:start { path = "/bytes/5000000" }
    lab:advance(0)
  end,
  ["an answer delayed"] = function(lab)
    local _, client = used(lab)
    client:start { path = "/delay/1000" }
    client:start { path = "/delay/1000" }
    lab:advance(500)
  end,
  ["a body asked for"] = function(lab)
    local _, client = used(lab)
    client:raw(victim.EXPECTS[1])
    lab:advance(0)
  end,
  ["a body under way"] = function(lab)
    local _, client = used(lab)
    client:start { method = "POST", path = "/echo", open = true }:send(("x"):rep(100000))
    lab:advance(0)
  end,
  ["nonsense"] = function(lab)
    local _, client = used(lab)
    client:raw "nonsense\r\n\r\n"
    lab:advance(0)
  end,
  ["timers armed"] = function(lab)
    local backend = lab:backend { keep_alive_ms = 1000, faults = { { on = "idle", after_ms = 500, close = "rst" } } }
    backend:fault { on = "idle", after_ms = 500, close = "rst", optional = true }
    lab:client { to = backend }:request {}
    local other = lab:client { to = backend }
    other:request {}
    lab:advance(499)
    lab:advance(1)
  end,
  ["a task that waits"] = function(lab)
    local _, client = used(lab)
    lab:task(function() client:start { path = "/delay/1000" }:wait() end)
    lab:advance(10)
  end,
  ["twenty of everything"] = function(lab)
    for _ = 1, 20 do
      local backend = lab:backend()
      local proxy = lab:proxy { to = backend }
      lab:client { to = proxy }:request {}
      lab:client { to = proxy }:start { path = "/delay/10" }
    end
    lab:advance(0)
  end,
}

for _, ending in ipairs(words.endings) do
  if ending ~= "vanish" or race.has "vanish" then
    for _, point in ipairs(victim.points(SIZES)) do
      states[("%s at %s%s"):format(ending, point.on, point.at and " " .. point.at or "")] = function(lab)
        local backend = lab:backend { faults = { { on = point.on, at = point.at, close = ending } } }
        local client = victim.client(lab, backend)
        client:raw(POST)
        lab:advance(0)
      end
    end
    states[ending .. " by hand, before anybody has seen it"] = function(lab)
      local _, client, conn = used(lab)
      client:raw(POST)
      conn:close(ending)
    end
    states[ending .. " by hand, and a request behind it"] = function(lab)
      local _, client, conn = used(lab)
      conn:close(ending)
      client:raw(POST)
      lab:advance(0)
    end
  end
end

local names = {}
for name in pairs(states) do names[#names + 1] = name end
table.sort(names)

describe("a lab that is closed with", function()
  setup(function()
    warm_up()
    -- Warm: what a process opens once, it keeps.
    local lab <close> = race.lab()
    local _, _, conn = used(lab)
    if race.has "vanish" then conn:close "vanish" end
  end)

  for _, name in ipairs(names) do
    it(name .. " leaves no descriptor", function()
      local before = n_descriptors()
      do
        local lab <close> = race.lab()
        states[name](lab)
        assert.is_true(n_descriptors() > before)
      end
      assert.equal(before, n_descriptors())
    end)
  end

  it("several backends, each with a vanished connection, leaves no descriptor", function()
    local can, why = race.has "vanish"
    if not can then return pending(why) end
    local before = n_descriptors()
    do
      local lab <close> = race.lab()
      for _ = 1, 3 do
        local _, _, conn = used(lab)
        conn:close "vanish"
      end
    end
    assert.equal(before, n_descriptors())
  end)

  it("a failed assertion leaves none either", function()
    local before = n_descriptors()
    assert.error(function()
      local lab <close> = race.lab()
      used(lab)
      error "no"
    end)
    assert.equal(before, n_descriptors())
  end)
end)

describe("a lab that nobody closed", function()
  it("is closed when it is collected", function()
    local before = n_descriptors()
    do used(race.lab()) end
    collectgarbage()
    collectgarbage()
    assert.equal(before, n_descriptors())
  end)
end)

describe("a backend that lives long", function()
  it("holds no descriptor of connections that are over", function()
    local lab <close> = race.lab()
    local backend = lab:backend { faults = { { on = "response_end", close = "fin", times = 1000, optional = true } } }
    local client = lab:client { to = backend }
    client:request {}
    lab:advance(0)
    local before = n_descriptors()
    for _ = 1, 200 do client:request {} end
    lab:advance(0)
    assert.equal(201, backend.n_conns)
    assert.equal(before, n_descriptors())
  end)
end)
