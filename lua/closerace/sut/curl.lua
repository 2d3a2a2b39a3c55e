--- curl, the program.  It keeps connections from one URL of its command line to the next.  A request on a used
--- connection that ended without a byte of response is sent again on a fresh one, whatever its method; --retry sends
--- again what failed otherwise.
return {
  title = "curl",
  program = "curl",
  package = "curl",
  version = { args = { "--version" }, pattern = "curl ([%d.]+)" },
  kind = "command",
  argv = { "$PROGRAM", "-q" },
  each = { "-s", "-S", "--http1.1", "--noproxy", "*" },
  between = { "--next" },
  victim = { "--max-time", "2", "-D", "$DIR/heads", "-o", "$DIR/answer", "${retry}" },
  heads = "heads",
  answer = "answer",
  requests = {
    get = {},
    ["get-query"] = {},
    head = { "--head" },
    options = { "-X", "OPTIONS" },
    put = { "-X", "PUT", "-d", "amount=10" },
    delete = { "-X", "DELETE" },
    patch = { "-X", "PATCH", "-d", "amount=10" },
    ["post-empty"] = { "-d", "" },
    ["post-small"] = { "-d", "amount=10" },
    ["post-large"] = { "--data-binary", "@$DIR/body" },
    ["post-chunked"] = { "-H", "Transfer-Encoding: chunked", "-d", "amount=10" },
    ["post-key"] = { "-H", "Idempotency-Key: k1", "-d", "amount=10" },
    ["post-expect"] = { "-H", "Expect: 100-continue", "-d", "amount=10" },
  },
  settings = {
    { name = "retry", help = "how often a request that failed is sent again, a second later",
      values = { { "0", "" }, { "1", "--retry 1 --retry-all-errors" } } },
  },
  variants = {
    { name = "retry", retry = "1" },
  },
  patience_ms = 6000,
  trap = "It sends a POST again, too, on a used connection; `--max-time` is 2 s, for the victim alone.",
}
