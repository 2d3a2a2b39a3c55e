--- lighttpd.  mod_proxy opens a connection for each request and says Connection: close: no request ever rides an idle
--- connection, so there is no keep-alive race, and what fails once it was sent is told (500), never sent again.

return {
  title = "lighttpd",
  program = "lighttpd",
  package = "lighttpd",
  version = { args = { "-v" }, pattern = "lighttpd/([%d.]+)" },
  kind = "proxy",
  argv = { "$PROGRAM", "-D", "-f", "$CONFIG" },
  config = [[
server.modules = ( "mod_proxy" )
server.document-root = "$DIR"
server.upload-dirs = ( "$DIR" )
server.bind = "127.0.0.1"
server.port = $LISTEN_PORT
server.max-keep-alive-idle = 30
server.stream-request-body = ${stream-request-body}
server.stream-response-body = 1
proxy.server = ( "" => (
  ( "host" => "127.0.0.1", "port" => $BACKEND_PORT, "connect-timeout" => 1, "write-timeout" => 1,
    "read-timeout" => 1, "disable-time" => 0 )
) )
]],
  settings = {
    { name = "stream-request-body", help = "0: read the whole request before sending any of it",
      values = { "0", "1", "2" } },
  },
  variants = {
    { name = "streaming", ["stream-request-body"] = "2" },
  },
  patience_ms = 3400,
  trap = "It never keeps a connection to the backend alive, whatever is set: only a fresh connection measures "
    .. "lighttpd. Its timeouts are whole seconds, looked at once a second: a stall is told after some 3 s.",
}
