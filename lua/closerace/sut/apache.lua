--- Apache httpd.  It never sends a request again; what decides is which ones ride an idle connection: all, or not the
--- first of a client (proxy-initial-not-pooled).  With ping the server must say 100 before a body leaves.

return {
  title = "Apache httpd",
  program = "apache2",
  package = "apache2-bin",
  version = { args = { "-v" }, pattern = "Apache/([%d.]+)" },
  kind = "proxy",
  argv = { "$PROGRAM", "-D", "FOREGROUND", "-d", "$DIR", "-f", "$CONFIG" },
  config = [[
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule setenvif_module /usr/lib/apache2/modules/mod_setenvif.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User nobody
Group nogroup
ServerName localhost
DefaultRuntimeDir $DIR
PidFile $DIR/pid
ErrorLog $DIR/error.log
Mutex pthread
Listen $LISTEN
StartServers 1
ServerLimit 1
ThreadsPerChild 8
ThreadLimit 8
MinSpareThreads 1
MaxSpareThreads 8
MaxRequestWorkers 8
MaxConnectionsPerChild 0
ProxyRequests off
KeepAlive on
KeepAliveTimeout 30
MaxKeepAliveRequests 0
Timeout 1
ProxyTimeout 1
${initial}SetEnvIf Request_URI . proxy-initial-not-pooled=1
ProxyPass / http://$BACKEND/ retry=0 connectiontimeout=300ms timeout=1 disablereuse=off ${ping}
]],
  settings = {
    { name = "ping", help = "wait so long for a 100 before the body is sent",
      values = { { "off", "" }, { "300ms", "ping=300ms" } } },
    { name = "initial", help = "may the first request of a client's connection ride an idle one",
      values = { { "pooled", "# " }, { "not-pooled", "" } } },
  },
  variants = {
    { name = "ping", ping = "300ms" },
    { name = "not-pooled", initial = "not-pooled" },
  },
  patience_ms = 3000,
  trap = "On the second and later requests of a client's connection a race is told by closing it without a byte, "
    .. "on the first by a 502. With `initial=not-pooled` only a request that is not the first of its client's "
    .. "connection can race. With `ping` a request with a body bears `Expect: 100-continue`.",
}
