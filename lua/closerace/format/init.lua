--- The ways in which rows are reported, by name.  A format is made with a sink and the matrix; it is given each row, and
-- then the summary.

return {
  names = { "table", "jsonl", "tap", "junit" },
  table = require "closerace.format.people",
  jsonl = require "closerace.format.jsonl",
  tap = require "closerace.format.tap",
  junit = require "closerace.format.junit",
}
