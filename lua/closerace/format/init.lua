--- The ways in which rows are reported, by name.
-- A format is made with a function that writes, and what it needs to know of the run (see command/outputs.lua); it is
-- given each row, and then the sums.

return {
  names = { "table", "compare", "jsonl", "tap", "junit" },
  table = require "closerace.format.people",
  compare = require "closerace.format.compare",
  jsonl = require "closerace.format.jsonl",
  tap = require "closerace.format.tap",
  junit = require "closerace.format.junit",
}
