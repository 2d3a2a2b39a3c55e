-- What wrk sends: two images for each post; and its totals as one line that can be read.
-- luacheck: globals wrk init request done

local image, post
local n = 0

-- wrk knows its Host only from here on.
function init()
  image = wrk.format("GET", "/pixel/1.gif")
  post = wrk.format("POST", "/echo", nil, ("y"):rep(20000))
end

function request()
  n = n + 1
  return n % 3 == 0 and post or image
end

function done(summary)
  local errors = summary.errors
  print(("totals requests=%d errors=%d"):format(summary.requests,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
