--- Before a cell's race, all must be as the cell says; and whichever command plays it, it comes to the same.
local axes = require "closerace.matrix.axes"
local buffers = require "closerace.matrix.buffers"
local row = require "closerace.matrix.row"
local shell = require "shell"
local stages = require "closerace.matrix.stage"
local systems = require "closerace.system"

local closerace = shell.program "closerace"

--- A proxy of tests/spec/programs, as an option of the command line.
local function proxy_cmd(how)
  return "--proxy-cmd " .. shell.quoted(("perl %s/tests/spec/programs/proxy.pl %s $LISTEN $BACKEND"):format(
    shell.checkout, how))
end

--- The rows of a run, by cell; and the result of the command.
local function matrix(system, wanted)
  local result = shell.run(("%s matrix -q %s %s --format jsonl"):format(closerace, system, wanted))
  local rows = {}
  for line in result.stdout:gmatch "[^\n]+" do
    local r = assert(row.decode(line))
    rows[#rows + 1], rows[r.cell] = r, r
  end
  assert.is_true(#rows > 0, result.stderr)
  return rows, result
end

describe("of a program that looks at its idle connection", function()
  local WANTED = "--request get,head,post-small --connection reused --point idle --ending fin,rst --order settled "
    .. "--second none --client later"
  local METHODS = { get = "GET", head = "HEAD", ["post-small"] = "POST" }

  for _, looks in ipairs { "POST", "GET", "HEAD", "GET,POST", "HEAD,GET,POST", "PUT" } do
    it(("before %s only, R1 is broken by the other requests"):format(looks), function()
      local rows, result = matrix(proxy_cmd("looks=" .. looks), WANTED)
      for _, r in ipairs(rows) do
        local sees = ("," .. looks .. ","):find("," .. METHODS[r.request] .. ",", 1, true) ~= nil
        assert.equal(sees and "clean" or "refused", r.verdict, r.cell)
        assert.equal(not sees and "broken" or nil, r.rules.R1, r.cell)
        assert.is_nil(r.why, r.cell)
      end
      assert.equal(looks == "HEAD,GET,POST" and 0 or 1, result.status)
    end)
  end

  it("before none, a cell on a fresh connection has one all the same", function()
    local rows = matrix(proxy_cmd "looks=none", "--request get,head,post-small --connection fresh --point executed "
      .. "--ending fin --second none")
    for _, r in ipairs(rows) do assert.equal("ghost caused", r.verdict .. " " .. r.decided, r.cell) end
  end)
end)

describe("a cell whose warming request is refused", function()
  it("is not played, says by which answer, and fails the run", function()
    local rows, result = matrix(proxy_cmd "tired",
      "--request get --connection reused-many --point executed --ending fin --second none")
    for _, r in ipairs(rows) do
      assert.equal("failed", r.state, r.cell)
      assert.is_nil(r.verdict)
      assert.matches("the cell was not played: .*answered the warming GET /warm with .*503", r.why)
    end
    assert.equal(1, result.status)
  end)
end)

describe("an upload that is refused while it is being sent", function()
  local CELLS = "--request post-large --connection reused --point request_head --ending 413+plain --second none "
    .. "--client later"

  it("shows R9 by a program that gives up unread what it cannot send", function()
    local rows, result = matrix(proxy_cmd "looks=POST", CELLS)
    assert.equal(1, #rows)
    assert.same({ "advice", "502", "broken" }, { rows[1].state, rows[1].told, rows[1].rules.R9 })
    assert.equal(0, result.status)
  end)

  it("is told to the client by one that reads first: our own", function()
    local rows = matrix("", CELLS)
    assert.same({ "ok", "413" }, { rows[1].state, rows[1].told })
    assert.is_nil(rows[1].rules.R9)
  end)

  it("is longer than what two sockets take, or it is not played", function()
    local body = #axes.request["post-large"].body
    assert.is_nil(buffers.hold(body))
    assert.matches("take the whole body", buffers.hold(65536))
  end)
end)

describe("a queued race of a client's first request", function()
  it("finds the client connected: what is queued is the request", function()
    local program = shell.checkout .. "/tests/spec/programs/proxy.pl"
    local system = assert(systems.command(("perl %s looks=GET,POST $LISTEN $BACKEND"):format(program)))
    local stage <close> = stages.open { system = system, timeline = true }
    local cell = assert(require "closerace.matrix.plan".parse "get/reused/idle/fin/close-first/none/cl/first")
    stage:play(cell)
    local order = {}
    for _, entry in ipairs(stage:trace()) do
      if entry.who == "client" and entry.n == 2 and entry.what == "connect" then order[#order + 1] = "connect" end
      if entry.who == "conn" and entry.what == "ended" then order[#order + 1] = "ended" end
    end
    assert.same({ "connect", "ended" }, { table.unpack(order, #order - 1) })
  end)
end)

describe("closerace trial", function()
  -- So many cells of each system, spread over all of them.
  local N = 5
  local SYSTEMS = { "haproxy", "nginx", "perlbal", "curl", "node-http" }

  local function fields(r)
    local t = {}
    for _, name in ipairs(row.fields) do
      if name ~= "n" and name ~= "of" and name ~= "ms" then t[name] = r[name] end
    end
    return t
  end

  local function agrees(system, wanted)
    local rows = matrix(system, wanted)
    for i = 1, #rows, math.max(1, #rows // N) do
      local trial = shell.run(("%s trial %s %s --json"):format(closerace, rows[i].cell, system))
      assert.same(fields(rows[i]), fields(assert(row.decode(trial.stdout))), trial.stderr)
      assert.equal(rows[i].violation and 1 or 0, trial.status)
    end
  end

  local wanted = "--request get,post-small --connection reused --ending fin,408+fin --second none --response cl"

  it("agrees with the matrix on every cell of our own proxy that was looked at", function()
    agrees("", wanted)
    agrees("--retry always", wanted)
  end)

  it("… and of one that looks before a POST only", function()
    agrees(proxy_cmd "looks=POST", wanted .. " --point idle,arrival,executed")
  end)

  for _, name in ipairs(SYSTEMS) do
    local system = assert(systems.driven(name))
    local sentence = ("… and of %s"):format(name)
    if system.lacks then
      pending(sentence .. " (" .. system.lacks .. ")")
    else
      it(sentence, function()
        agrees("--sut " .. name, wanted .. " --point idle,arrival,executed,response_byte")
      end)
    end
  end
end)
