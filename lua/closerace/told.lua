--- In one word, what the client was told: the status of a whole response, or what came instead.  A program that knows
-- of no status may take its request for a success.
-- @param told  verdict.told
return function(told)
  if told.complete then return tostring(told.status or "success") end
  for _, word in ipairs { "timeout", "truncated", "reset", "failed" } do
    if told[word] then return word end
  end
  return "closed"
end
