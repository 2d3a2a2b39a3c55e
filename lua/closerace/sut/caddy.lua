--- Caddy.  Go's Transport repeats what is idempotent and has no body, when a connection used before was closed. Beyond
--- that, Caddy itself tries again for lb_try_duration: a failed connect, any GET, and what lb_retry_match says.
return {
  title = "Caddy",
  program = "caddy",
  package = "caddy",
  version = { args = { "version" }, pattern = "v?([%d.]+)" },
  kind = "proxy",
  argv = { "$PROGRAM", "run", "--adapter", "caddyfile", "--config", "$CONFIG" },
  env = {
    "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=512MiB",
    "HOME=$DIR", "XDG_DATA_HOME=$DIR/data", "XDG_CONFIG_HOME=$DIR/config.d",
  },
  config = [[
{
	admin off
	auto_https off
	log {
		output stderr
		level ERROR
	}
}

http://:$LISTEN_PORT {
	bind 127.0.0.1
	reverse_proxy $BACKEND {
		lb_try_duration ${lb-try-duration}
		lb_try_interval 50ms
		${lb-retries}
		${lb-retry-match}
		transport http {
			dial_timeout 1s
			response_header_timeout 1s
			read_timeout ${read-timeout}
			write_timeout 1s
			keepalive 60s
		}
	}
}
]],
  settings = {
    { name = "lb-try-duration", help = "how long Caddy tries again", values = { { "none", "0s" }, "500ms" } },
    { name = "lb-retries", help = "how often it tries again", values = { { "any", "" }, { "one", "lb_retries 1" } } },
    { name = "read-timeout", help = "of one read from the backend; the response's head has 1 s",
      values = { "2s", "500ms" } },
    { name = "lb-retry-match", help = "what is tried again after more than a failed connect",
      values = { { "default", "" }, { "all", "lb_retry_match path *" } } },
  },
  variants = {
    { name = "lb-try", ["lb-try-duration"] = "500ms" },
    { name = "lb-match-all", ["lb-try-duration"] = "500ms", ["lb-retries"] = "one", ["lb-retry-match"] = "all" },
  },
  patience_ms = 4000,
  trap = "Two layers repeat, and their attempts add up: `lb_retries` counts only those of the outer one. Go's garbage "
    .. "collector, where it runs during a race, changes the order of the goroutines; here it is off (`GOGC`), up to "
    .. "512 MiB.",
}
