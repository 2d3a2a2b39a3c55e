--- Which cells there are, in which order, and what they are called.
-- A plan is a list of blocks; a block is what its cells have in common, all but the byte offset.  So tens of millions
-- of cells are counted, and shared out, without being made.

local axes = require "closerace.matrix.axes"
local count_of = require "closerace.count"
local impossible = require "closerace.matrix.impossible"
local nearest = require "closerace.nearest"

local Plan = {}
Plan.__index = Plan

-- ----------------------------------------------------------------------------- ids --

--- request/connection/point[@N]/ending/order/second/response[/client]
local function id_of(cell)
  return cell.request.name .. "/" .. cell.connection.name .. "/" .. cell.point.name
    .. (cell.at and "@" .. cell.at or "") .. "/" .. cell.ending.name .. "/" .. cell.order.name .. "/"
    .. cell.second.name .. "/" .. cell.response.name .. (axes.is_natural(cell) and "" or "/" .. cell.client.name)
end

local function parse_offset(text)
  if text == "mid" then return "mid" end
  local at = math.tointeger(tonumber(text))
  if at and at ~= 0 then return at end
end

local function unknown(what, word, allowed)
  return nil, ("%s: '%s' is unknown; %sallowed: %s"):format(
    what, word, nearest.hint(word, allowed), table.concat(allowed, ", "))
end

--- The cell of an id, or nil and what is wrong with it.
local function parse(id)
  local parts = {}
  for part in (id .. "/"):gmatch "(.-)/" do parts[#parts + 1] = part end
  if #parts == #axes.names - 1 then parts[#axes.names] = parts[2] == "fresh" and "first" or "later" end
  if #parts ~= #axes.names then
    return nil, ("'%s' has %s; a cell's id has %d or %d: "
      .. "request/connection/point[@N]/ending/order/second/response[/client]"):format(
      id, count_of(#parts, "part"), #axes.names - 1, #axes.names)
  end
  local cell = {}
  for i, axis in ipairs(axes.names) do
    local word, at = parts[i], nil
    if axis == "point" then word, at = word:match "^([^@]*)@?(.*)$" end
    local value = axes[axis][word]
    if not value then return unknown(axis, word, axes.words(axis)) end
    cell[axis] = value
    if axis == "point" then
      cell.at = at ~= "" and parse_offset(at) or nil
      if value.offsets and not cell.at then
        return nil, ("%s: a byte offset is needed, such as %s@1, @mid or @-1"):format(word, word)
      elseif not value.offsets and at ~= "" then
        return nil, ("%s: takes no byte offset"):format(word)
      end
    end
    local rule = impossible.rule(cell, axis)
    if rule then return nil, ("%s: there is no such cell: %s"):format(id, rule.name) end
  end
  cell.id = id_of(cell)
  return cell
end

--- The offset as a number: from the front, from the end, or the middle.
local function resolve(at, size)
  if at == "mid" then return size // 2 end
  return at < 0 and size + at or at
end

-- -------------------------------------------------------------------------- blocks --

-- How many cells does a block have?  Offsets of a full plan run over the whole message, but for those of 5 MiB.
local function count_offsets(plan, block)
  local kind = block.point.offsets
  if not kind then return 1 end
  local size = (plan.full or plan.kind == "ours") and plan.size(block.request, block.response, kind)
  if not plan.full or size > 65536 then return #axes.offsets_of(block, plan.kind) end
  return (size - 2) // plan.stride + 1
end

local function offset_of(plan, block, n)
  if not block.point.offsets then return nil end
  if not plan.full or plan.size(block.request, block.response, block.point.offsets) > 65536 then
    return axes.offsets_of(block, plan.kind)[n]
  end
  return 1 + (n - 1) * plan.stride
end

local function is_wanted(plan, axis, value, cell)
  local wanted = plan.wanted[axis]
  -- The large body is chosen for an early refusal (R9); for more it has to be asked for.
  if axis == "ending" and cell.request.name == "post-large" and not plan.full and not plan.wanted.request
    and value.status ~= 413 then
    return false
  end
  if wanted then return wanted[value.name] end
  return plan.full or axes.is_chosen(axis, value, cell, plan.kind)
end

--- Why the system cannot play a value; nil where it can.
local function lacks(plan, axis, value, cell)
  if plan.is_command and axis == "client" and value.name == "first" and cell.connection.uses > 0 then
    return impossible.NOT_USED
  end
  if axis ~= "order" or not value.held then return nil end
  if plan.kind ~= "ours" then return impossible.NOT_OURS end
  if value.held == "verifying" and not plan.verifies then return impossible.UNASKED end
end

local function add_blocks(plan, cell, depth)
  local axis = axes.names[depth]
  if not axis then
    local block = {}
    for _, name in ipairs(axes.names) do block[name] = cell[name] end
    block.first, block.n = plan.total + 1, count_offsets(plan, block)
    plan.total = plan.total + block.n
    plan.blocks[#plan.blocks + 1] = block
    return
  end
  for _, value in ipairs(axes[axis]) do
    cell[axis] = value
    if is_wanted(plan, axis, value, cell) then
      local rule = impossible.rule(cell, axis)
      local why = rule and rule.name or lacks(plan, axis, value, cell)
      if why then
        plan.left_out[why] = (plan.left_out[why] or 0) + 1
      else
        add_blocks(plan, cell, depth + 1)
      end
    end
  end
  cell[axis] = nil
end

-- -------------------------------------------------------------------------- public --

--- Make a plan.
-- @param options.wanted  axis name → set of value names; an axis that is absent has its chosen values, or all with full
-- @param options.full    every value, every offset
-- @param options.stride  with full: every n-th offset
-- @param options.verifies  does the proxy come to its checkpoint "verifying"?
-- @param options.kind    of system: "ours" (default), or "proxy", "client": external programs, which nobody can hold
-- @param options.is_command  it is run once for each cell
-- @param options.size    function(request, response, "request" | "response"): bytes on the wire
function Plan.new(options)
  local plan = setmetatable({
    wanted = options.wanted or {}, full = options.full, stride = options.stride or 1, size = options.size,
    verifies = options.verifies, kind = options.kind or "ours", is_command = options.is_command,
    blocks = {}, total = 0, left_out = {},
  }, Plan)
  add_blocks(plan, {}, 1)
  return plan
end

--- A plan without any cell.
function Plan.none()
  return setmetatable({ wanted = {}, left_out = {}, blocks = {}, total = 0 }, Plan)
end

local function cell_of(plan, block, index)
  local cell = {
    request = block.request, connection = block.connection, point = block.point, ending = block.ending,
    order = block.order, second = block.second, response = block.response, client = block.client,
    at = offset_of(plan, block, index - block.first + 1), id = nil,
  }
  cell.id = id_of(cell)
  return cell
end

--- Walk over every step-th cell, from the first-th on.
-- @param is_mine  function(k): is the k-th of these wanted?  nil: all are
-- @return an iterator over index and cell
function Plan:cells(first, step, is_mine)
  local k, b = 0, 1
  first, step = first or 1, step or 1
  return function()
    repeat k = k + 1 until not is_mine or is_mine(k) or first + (k - 1) * step > self.total
    local index = first + (k - 1) * step
    local block = self.blocks[b]
    while block and index >= block.first + block.n do
      b = b + 1
      block = self.blocks[b]
    end
    if block then return index, cell_of(self, block, index) end
  end
end

--- How many cells does such a walk visit?
function Plan:count(first, step)
  if first > self.total then return 0 end
  return (self.total - first) // step + 1
end

--- What the rules left out: a list of { rule, n }, the most frequent first.
function Plan:exclusions()
  local list = {}
  for name, n in pairs(self.left_out) do list[#list + 1] = { rule = name, n = n } end
  table.sort(list, function(a, b) return a.n > b.n or a.n == b.n and a.rule < b.rule end)
  return list
end

return { new = Plan.new, none = Plan.none, parse = parse, resolve = resolve }
