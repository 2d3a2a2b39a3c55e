--- An error as its user may read it: without the places in our own source.
-- @param err  what was raised
return function(err)
  return (tostring(err):gsub("%[closerace[%w._-]*%]:%d+: ", ""))
end
