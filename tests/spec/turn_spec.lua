--- The lab and a program take turns on one processor.
-- Each test is a process of its own, since it confines itself to a processor for good.

local core = require "closerace.core"

local function count_processors()
  local pipe <close> = assert(io.popen "nproc")
  return math.tointeger(pipe:read "n")
end

local N_PROCESSORS = count_processors()

-- Real-time priorities, as /proc says it (sched(7)).
local OTHER, FIFO, BATCH = 0, 1, 3

--- What fn(say) says, in a process that may use one processor only, if it is to be confined.
local function elsewhere(is_confined, fn)
  local worker <close> = core.worker(function(emit)
    if is_confined then core.pin(1) end
    fn(emit)
  end)
  local lines = {}
  for line in function() return worker:read() end do lines[#lines + 1] = line end
  assert.same({ "exit", 0 }, { worker:status() }, table.concat(lines, "\n"))
  return lines
end

local function start(lab, script, is_free)
  local backend = lab:backend()
  local sut = lab:sut {
    to = backend,
    argv = { "perl", "-MSocket", "-e", "$| = 1; " .. script, "$LISTEN_FD", "$BACKEND_PORT" },
  }
  repeat lab:advance(1) until sut.output:find "up"
  assert(lab:rest())
  if not is_free then sut:line_up() end
  return sut, backend
end

--- The scheduling policy of a program.
local function policy_of(is_confined, is_free)
  local said = elsewhere(is_confined, function(emit)
    local lab <close> = core.lab()
    local sut = start(lab, "print qq(up\\n); sleep", is_free)
    local file <close> = assert(io.open(("/proc/%d/stat"):format(sut.pid)))
    local fields, n = file:read("a"):match "%) (.*)", 2
    for field in fields:gmatch "%S+" do
      n = n + 1
      if n == 41 then emit(field) end
    end
  end)
  return math.tointeger(tonumber(said[1]))
end

-- Without the right to it there is SCHED_BATCH.
local function may_rank() return policy_of(true, false) == FIFO end

-- A thread that waits with a timeout; it tells where that was cut short.
local WAITS = [[
  socketpair(A, B, AF_UNIX, SOCK_STREAM, 0);
  setsockopt(A, SOL_SOCKET, SO_RCVTIMEO, pack("l!l!", 60, 0));
  print "up\n";
  while (1) { print "cut short\n" unless defined sysread(A, $byte, 1) }
]]

-- Three processes wait for the first one, which wakes them in turn and then speaks, as soon as somebody connects.
local WAKES = [[
  open LISTENER, "+<&=", $ARGV[0];
  for my $n (1 .. 3) {
    pipe my $read, my $write;
    push @writes, $write;
    next if fork;
    sysread $read, my $byte, 1;
    syswrite STDOUT, $n;
    sleep;
  }
  print "up ";
  accept my $conn, LISTENER;
  syswrite $_, "x" for reverse @writes;
  syswrite STDOUT, "0";
  sleep;
]]

-- It tells of each who connects.
local MEETS = [[open LISTENER, "+<&=", $ARGV[0]; print "up "; while (accept my $conn, LISTENER) { print "met " }]]

-- It has two connections to the backend, and opens another one for each that ends; not for ever, so that a test ends.
local REPLACES = [[
  my ($port, @open) = $ARGV[1];
  sub dial { socket my $conn, PF_INET, SOCK_STREAM, 0; connect $conn, sockaddr_in($port, INADDR_LOOPBACK); $conn }
  print "up ";
  @open = (dial(), dial());
  for (1 .. 40) {
    my $set = "";
    vec($set, fileno $_, 1) = 1 for @open;
    select $set, undef, undef, undef;
    @open = map { vec($set, fileno $_, 1) ? (print("again "), close $_, dial())[2] : $_ } @open;
  }
]]

local function cuts(is_confined)
  return elsewhere(is_confined, function(emit)
    local lab <close> = core.lab()
    local sut = start(lab, WAITS)
    for _ = 1, 20 do
      lab:turn(function() end)
      assert(lab:rest())
    end
    emit(sut.output:find "cut short" and "cut short" or "not noticed")
  end)[1]
end

describe("sut:line_up", function()
  it("gives real-time priority on one processor; else none", function()
    local confined = policy_of(true, false)
    assert.is_true(confined == FIFO or confined == BATCH)
    assert.equal(OTHER, policy_of(true, true))
    if N_PROCESSORS > 1 then assert.equal(OTHER, policy_of(false, false)) end
  end)

  it("runs threads in the order in which they were woken", function()
    if not may_rank() then return pending "real-time priorities are not allowed here" end
    for _ = 1, 10 do
      local said = elsewhere(true, function(emit)
        local lab <close> = core.lab()
        local sut = start(lab, WAKES)
        lab:client { to = sut }:start {}
        assert(lab:rest())
        emit(sut.output)
      end)
      assert.same({ "up 0321" }, said)
    end
  end)
end)

describe("lab:turn", function()
  it("is not noticed on one processor; a program that is stopped notices", function()
    if not may_rank() then return pending "real-time priorities are not allowed here" end
    assert.equal("not noticed", cuts(true))
    if N_PROCESSORS > 1 then assert.equal("cut short", cuts(false)) end
  end)

  it("keeps a program from running, confined or not", function()
    for _, is_confined in ipairs { true, false } do
      local said = elsewhere(is_confined, function(emit)
        local lab <close> = core.lab()
        local sut = start(lab, MEETS)
        local client = lab:client { to = sut }
        lab:turn(function()
          client:start {}
          -- On a processor of its own it would not need so long to meet the client.
          local till = core.now_ms() + 20
          repeat lab:advance(0) until core.now_ms() > till
          emit(sut.output)
        end)
        assert(lab:rest())
        emit(sut.output)
      end)
      assert.same({ "up ", "up met " }, said)
    end
  end)

  it("passes an error on, and the program runs again", function()
    for _, is_confined in ipairs { true, false } do
      local said = elsewhere(is_confined, function(emit)
        local lab <close> = core.lab()
        local sut = start(lab, MEETS)
        local good, why = pcall(lab.turn, lab, function() error("no turn", 0) end)
        emit(("%s %s"):format(good, why))
        lab:client { to = sut }:start {}
        assert(lab:rest())
        emit(sut.output)
      end)
      assert.same({ "false no turn", "up met " }, said)
    end
  end)
end)

describe("lab:reset", function()
  it("ends all connections before a program can open others", function()
    for _, is_confined in ipairs { true, false } do
      local said = elsewhere(is_confined, function(emit)
        local lab <close> = core.lab()
        local sut, backend = start(lab, REPLACES)
        for _ = 1, 3 do
          lab:reset()
          assert(lab:rest())
          emit(("%s, connected %d"):format(sut.output, backend.n_conns))
        end
      end)
      local twice = "again again "
      assert.same({
        "up " .. twice .. ", connected 2",
        "up " .. twice .. twice .. ", connected 2",
        "up " .. twice .. twice .. twice .. ", connected 2",
      }, said)
    end
  end)
end)
