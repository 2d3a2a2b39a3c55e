--- In one word, what the client was told: the status of a whole response, or what came instead.
-- @param told  verdict.told
return function(told)
  if told.complete then return tostring(told.status) end
  for _, word in ipairs { "timeout", "truncated", "reset" } do
    if told[word] then return word end
  end
  return "closed"
end
