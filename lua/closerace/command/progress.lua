--- How far it is, on stderr: a bar where a person looks, a plain line now and then elsewhere.

local core = require "closerace.core"

local Progress = {}
Progress.__index = Progress

local WIDTH = 30

function Progress.new(n, is_quiet)
  local is_terminal = core.is_terminal "stderr" and os.getenv "TERM" ~= "dumb"
  local now = core.now_ms()
  return setmetatable({
    n = n, done = 0, is_quiet = is_quiet, is_terminal = is_terminal, start = now, shown = now,
    every_ms = is_terminal and 100 or 10000,
  }, Progress)
end

local function time_left(ms)
  local s = math.ceil(ms / 1000)
  if s < 100 then return s .. " s" end
  return s < 6000 and ("%d min"):format(s // 60) or ("%.1f h"):format(s / 3600)
end

function Progress:step()
  self.done = self.done + 1
  if self.is_quiet then return end
  local now = core.now_ms()
  if now - self.shown < self.every_ms then return end
  self.shown = now
  local rate = self.done / (now - self.start)
  local text = ("%d of %d, %.0f/s, %s left"):format(
    self.done, self.n, rate * 1000, time_left((self.n - self.done) / rate))
  if self.is_terminal then
    local full = self.done * WIDTH // self.n
    io.stderr:write(("\r\27[K[%s%s] %s"):format(("#"):rep(full), (" "):rep(WIDTH - full), text))
  else
    io.stderr:write(text, "\n")
  end
end

function Progress:stop()
  if self.is_terminal and not self.is_quiet then io.stderr:write "\r\27[K" end
end

return Progress
