--- nginx.  Any request may ride an idle connection.  proxy_next_upstream says after which failures it is sent again, to
--- the next server, or to the same one where the failed connection was an idle one; non_idempotent: even a POST.

return {
  title = "nginx",
  program = "nginx",
  package = "nginx-light",
  version = { args = { "-v" }, pattern = "nginx/([%d.]+)" },
  kind = "proxy",
  argv = { "$PROGRAM", "-p", "$DIR", "-e", "stderr", "-c", "$CONFIG" },
  config = [[
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;

events {
  worker_connections 500;
}

http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_max_body_size 0;

  upstream origin {
    server $BACKEND max_fails=0;
    ${servers}server $BACKEND max_fails=0;
    keepalive 16;
  }

  server {
    listen $LISTEN;

    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering ${request-buffering};
      proxy_next_upstream ${next-upstream};
      proxy_connect_timeout 1s;
      proxy_send_timeout 1s;
      proxy_read_timeout 1s;
    }
  }
}
]],
  settings = {
    { name = "next-upstream", help = "proxy_next_upstream: after which failures a request is sent again",
      values = {
        { "error-timeout", "error timeout" }, "off", { "non_idempotent", "error timeout non_idempotent" },
      } },
    { name = "servers", help = "how often the upstream lists the server: with one, only an idle connection is replaced",
      values = { { "one", "# " }, { "two", "" } } },
    { name = "request-buffering", help = "read the whole request before sending any of it", values = { "on", "off" } },
  },
  variants = {
    { name = "off", ["next-upstream"] = "off" },
    { name = "non-idempotent", ["next-upstream"] = "non_idempotent" },
    { name = "two", servers = "two" },
    { name = "two-non-idempotent", servers = "two", ["next-upstream"] = "non_idempotent" },
    { name = "unbuffered", ["next-upstream"] = "non_idempotent", ["request-buffering"] = "off" },
  },
  patience_ms = 3000,
  trap = "With one server only what failed on an idle connection is sent again; with `servers=two` also what failed on "
    .. "a fresh one.",
}
