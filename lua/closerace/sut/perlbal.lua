--- Perlbal.  It never sends a request twice, and forgets the client whose backend closed without an answer.
--- persist_backend lets requests ride idle connections, connect_ahead opens some before they are needed, verify_backend
--- asks each new one OPTIONS * before it trusts it with a request; an idle one is not asked again.

return {
  title = "Perlbal",
  program = "perlbal",
  package = "perlbal",
  version = { args = { "--version" }, pattern = "version ([%d.]+)" },
  kind = "proxy",
  argv = { "$PROGRAM", "--config=$CONFIG" },
  env = { "PERL_HASH_SEED=0" },
  config = [[
CREATE POOL origin
POOL origin ADD $BACKEND

CREATE SERVICE clients
SET role = reverse_proxy
SET listen = $LISTEN
SET pool = origin
SET persist_client = on
SET persist_backend = ${persist_backend}
SET backend_persist_cache = 20
SET verify_backend = ${verify_backend}
SET connect_ahead = ${connect_ahead}
SET buffer_uploads_path = $DIR
SET buffer_uploads = ${buffer_uploads}
SET idle_timeout = 1
SET persist_client_idle_timeout = 2
ENABLE clients
]],
  settings = {
    { name = "persist_backend", help = "keep connections to the backend alive", values = { "on", "off" } },
    { name = "verify_backend", help = "ask a new connection OPTIONS * first", values = { "off", "on" } },
    { name = "connect_ahead", help = "how many connections to have open in advance", values = { "0", "1", "2" } },
    { name = "buffer_uploads", help = "write slow, large or chunked requests to disk first", values = { "off", "on" } },
  },
  variants = {
    { name = "not-persistent", persist_backend = "off" },
    { name = "verify", verify_backend = "on" },
    { name = "ahead", connect_ahead = "2" },
    { name = "ahead-only", persist_backend = "off", connect_ahead = "2" },
    { name = "verify-ahead", verify_backend = "on", connect_ahead = "2" },
    { name = "buffered", buffer_uploads = "on" },
  },
  patience_ms = 300,
  trap = "A client that it forgets is closed by its idle timeout, 10 s later here and 30 s and more by default; it "
    .. "counts as hung long before that. With `verify_backend` the first "
    .. "request on a connection is OPTIONS. With `connect_ahead` there are connections before the first request; "
    .. "with both, the second request rides another one than the first. After a connection that was reset "
    .. "while new no other is opened for 1 s, after an OPTIONS whose answer forbids keep-alive none is sent for "
    .. "60 s. Which of two connections rides first that became idle at once, Perl's hash order decides, which "
    .. "is random for each process; here `PERL_HASH_SEED` makes it always the same. Without `buffer_uploads` a chunked "
    .. "request is refused with 400.",
}
