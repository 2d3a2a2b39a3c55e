--- A number and what it counts: "1 cell", "2 cells".
-- @param many  where an s is not all that it takes
return function(n, noun, many)
  return ("%d %s"):format(n, n == 1 and noun or many or noun .. "s")
end
