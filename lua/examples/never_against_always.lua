-- "On paranoid/broken systems you can always leave client persist on and disable backend persist, but you add some
-- latency."  How much, on this machine, in real time.
local race = require "closerace"

local ROUNDS = 200

local function median_us(policy)
  local lab <close> = race.lab()
  local backend = lab:backend()
  local client  = lab:client { to = lab:proxy { to = backend, reuse = policy } }
  local times = {}
  for i = 1, ROUNDS do
    local start = race.now_ms()
    local reply = client:request { path = "/item" }
    times[i] = (race.now_ms() - start) * 1000
    assert(reply.status == 200)
  end
  table.sort(times)
  return times[ROUNDS // 2], backend.n_conns
end

local never, never_conns = median_us "never"
local always, always_conns = median_us "always"
print(("reuse never:  %4.0f us a request, %d connections"):format(never, never_conns))
print(("reuse always: %4.0f us a request, %d connection"):format(always, always_conns))
print(("the price of never on loopback: %.0f us, and one round trip more on a real network"):format(never - always))

assert(never_conns == ROUNDS and always_conns == 1)
