--- Varnish, all requests passed.  A request that failed on a connection used before is sent once more, whatever its
--- method, unless it had a body; VCL can keep the body for that, and can say return (retry) of any failure.
return {
  title = "Varnish",
  program = "varnishd",
  package = "varnish",
  version = { args = { "-V" }, pattern = "varnish%-([%d.]+)" },
  kind = "proxy",
  argv = {
    "$PROGRAM", "-F", "-j", "none", "-n", "$DIR/varnish", "-a", "$LISTEN", "-f", "$CONFIG", "-T", "none",
    "-s", "malloc,1m", "-l", "1m", "-p", "thread_pools=1", "-p", "thread_pool_min=5",
    "-p", "connect_timeout=1", "-p", "first_byte_timeout=1", "-p", "between_bytes_timeout=1",
    "-p", "timeout_idle=60", "-p", "max_retries=${max-retries}",
    "-p", "cc_command=exec gcc -w -O0 -pthread -fpic -shared -o %o %s",
  },
  config = [[
vcl 4.1;
import std;

backend origin {
  .host = "127.0.0.1";
  .port = "$BACKEND_PORT";
}

sub vcl_recv {
  ${body}
  return (pass);
}

sub vcl_backend_fetch {
  # Its number, which grows by a digit now and then.
  unset bereq.http.X-Varnish;
}

sub vcl_backend_error {
  ${retry}
}
]],
  settings = {
    { name = "retry", help = "VCL: retry a fetch that failed", values = { { "none", "" }, { "any", "return (retry);" },
      { "safe", 'if (bereq.method == "GET" || bereq.method == "HEAD") { return (retry); }' } } },
    { name = "max-retries", help = "how often VCL may do that", values = { "4", "1", "0" } },
    { name = "body", help = "is a request's body kept, to be sent again",
      values = { { "streamed", "" }, { "cached", "std.cache_req_body(2MB);" } } },
  },
  variants = {
    { name = "cached-body", body = "cached" },
    { name = "retry", retry = "any", ["max-retries"] = "1", body = "cached" },
  },
  patience_ms = 6000,
  slow = true,
  trap = "The one more sending cannot be switched off. Whether a client sees 503 or a cut response, when the backend "
    .. "ends behind the response's head, is decided by Varnish's own threads.",
}
