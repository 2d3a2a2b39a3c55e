--- How much of a message two sockets take that nobody reads: an early refusal means something only to a program that
-- is still sending then (RFC 9112 9.6).

local buffers = {}

--- The n-th of three numbers: the least, the first and the largest size of a buffer (tcp(7)); nil where there are none.
local function read(name, n)
  local file = io.open("/proc/sys/net/ipv4/" .. name)
  if not file then return nil end
  local text <close> = file
  local i = 0
  for number in text:read "a":gmatch "%d+" do
    i = i + 1
    if i == n then return math.tointeger(number) end
  end
end

--- Why a message of so many bytes can be in the sockets' buffers, whole; nil where it cannot.
-- The sender's buffer grows while it sends, the receiver's only while that reads.
function buffers.hold(size)
  local sent, received = read("tcp_wmem", 3), read("tcp_rmem", 2)
  if not sent or not received or sent + received < size then return nil end
  return ("the sockets' buffers (tcp_wmem and tcp_rmem: %d and %d bytes) take the whole body"):format(sent, received)
end

return buffers
