--- HAProxy.  http-reuse says which requests may ride an idle connection, retry-on which failures are sent again,
--- whatever the method, as long as the whole request fits into one buffer; retries says how often.

return {
  title = "HAProxy",
  program = "haproxy",
  package = "haproxy",
  version = { args = { "-v" }, pattern = "version ([%d.]+)" },
  kind = "proxy",
  argv = { "$PROGRAM", "-db", "-f", "$CONFIG" },
  config = [[
global
  nbthread 1
  maxconn 500
  tune.bufsize ${bufsize}

defaults
  mode http
  timeout connect 1s
  timeout server 1s
  timeout client 1s
  timeout http-request 1s
  timeout http-keep-alive 30s

frontend clients
  bind fd@$LISTEN_FD
  ${buffer-request}option http-buffer-request
  ${disable-l7-retry}
  default_backend origin

backend origin
  http-reuse ${http-reuse}
  retry-on ${retry-on}
  retries ${retries}
  server one $BACKEND pool-purge-delay 60s
]],
  settings = {
    { name = "http-reuse", help = "which requests may ride an idle connection",
      values = { "safe", "never", "aggressive", "always" } },
    { name = "retry-on", help = "which failures are sent again",
      values = {
        "conn-failure", "none", "empty-response", { "conn-and-empty", "conn-failure empty-response" },
        "all-retryable-errors",
      } },
    { name = "retries", help = "how often", values = { "3", "0", "1" } },
    { name = "disable-l7-retry", help = "what is never sent again once it was sent",
      values = { { "nothing", "" }, { "post", "http-request disable-l7-retry if METH_POST" } } },
    { name = "bufsize", help = "tune.bufsize: a longer request is never sent again", values = { "16384", "2097152" } },
    { name = "buffer-request", help = "http-buffer-request: wait for the whole request before sending any of it",
      values = { { "off", "no " }, { "on", "" } } },
  },
  variants = {
    { name = "always", ["http-reuse"] = "always" },
    { name = "never", ["http-reuse"] = "never" },
    { name = "empty", ["retry-on"] = "conn-and-empty" },
    { name = "empty-no-post", ["retry-on"] = "conn-and-empty", ["disable-l7-retry"] = "post" },
    { name = "always-all-errors", ["http-reuse"] = "always", ["retry-on"] = "all-retryable-errors" },
    { name = "empty-large", ["retry-on"] = "conn-and-empty", bufsize = "2097152", ["buffer-request"] = "on" },
    { name = "none", ["retry-on"] = "none" },
  },
  patience_ms = 6000,
  trap = "Except with `http-reuse=always` (or `aggressive`, once a connection was reused), the first request of a "
    .. "client's connection gets a new connection to the backend: the warming requests and the victim must come "
    .. "over one connection. Where that was used before, HAProxy tells a race by closing it without a byte, "
    .. "not by a 502.",
}
