--- Apache Traffic Server.  connect_attempts_max_retries is how often a request is sent again, when nothing came back;
--- keep_alive_post_out whether one with a body may ride an idle connection.
return {
  title = "Apache Traffic Server",
  program = "traffic_server",
  package = "trafficserver",
  version = { args = { "-V" }, pattern = "Traffic Server ([%d.]+)" },
  kind = "proxy",
  argv = { "$PROGRAM", "-p", "$LISTEN_PORT:ip-in=127.0.0.1" },
  env = { "TS_ROOT=$DIR", "TS_RUNROOT=$DIR/runroot.yaml" },
  files = {
    ["runroot.yaml"] = [[
prefix: $DIR
exec_prefix: $DIR
bindir: /usr/bin
sbindir: /usr/bin
sysconfdir: $DIR/etc
datadir: $DIR/cache
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: $DIR/run
runtimedir: $DIR/run
logdir: $DIR/log
cachedir: $DIR/cache
]],
    ["run/keep"] = "",
    ["log/keep"] = "",
    ["cache/keep"] = "",
    ["etc/storage.config"] = "",
    ["etc/plugin.config"] = "",
    ["etc/ip_allow.yaml"] = [[
ip_allow:
  - apply: in
    ip_addrs: 0/0
    action: allow
    methods: ALL
]],
    ["etc/remap.config"] = [[
map / http://$BACKEND/
]],
    ["etc/records.config"] = [[
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.cache.threads_per_disk INT 1
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.diags.output.status STRING E
CONFIG proxy.config.diags.output.note STRING E
CONFIG proxy.config.diags.output.warning STRING E
CONFIG proxy.config.diags.output.error STRING E
CONFIG proxy.config.diags.output.fatal STRING E
CONFIG proxy.config.diags.output.alert STRING E
CONFIG proxy.config.diags.output.emergency STRING E
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.http.wait_for_cache INT 0
CONFIG proxy.config.hostdb.host_file.path STRING NULL
CONFIG proxy.config.dns.nameservers STRING 127.0.0.1
CONFIG proxy.config.http.keep_alive_post_out INT ${keep-alive-post-out}
CONFIG proxy.config.http.connect_attempts_max_retries INT ${max-retries}
CONFIG proxy.config.http.connect_attempts_max_retries_dead_server INT ${max-retries}
CONFIG proxy.config.http.connect_attempts_rr_retries INT 0
CONFIG proxy.config.http.down_server.cache_time INT 0
CONFIG proxy.config.http.connect_attempts_timeout INT 1
CONFIG proxy.config.http.post_connect_attempts_timeout INT 1
CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 1
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT 60
CONFIG proxy.config.http.keep_alive_no_activity_timeout_out INT 60
]],
  },
  settings = {
    { name = "max-retries", help = "sendings after the first", values = { "3", "1", "0" } },
    { name = "keep-alive-post-out", help = "may a request with a body ride an idle connection",
      values = { { "yes", "1" }, { "no", "0" } } },
  },
  variants = {
    { name = "no-retries", ["max-retries"] = "0" },
  },
  patience_ms = 9000,
  trap = "It looks for timeouts once a second: one of 1 s takes up to 2 s, and each attempt has its own. When the "
    .. "backend ends behind the response's head, its client is closed with or without that head.",
}
