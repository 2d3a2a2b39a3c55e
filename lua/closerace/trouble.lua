--- What the machine lacks: where that shows in the middle of a run, nothing that was played means anything.

local words = {
  "out of descriptors", "Too many open files", "out of memory or descriptors", "the interface lo has to be up",
}

--- Is that error about such a lack?  Then it is raised again, as the sentence that it is.
return function(why)
  why = tostring(why)
  for _, word in ipairs(words) do
    if why:find(word, 1, true) then error((why:gsub("^%[[^%]]*%]:%d+: ", "")), 0) end
  end
end
