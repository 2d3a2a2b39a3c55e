--- Squid as a reverse proxy.  What it may repeat (idempotent and without a body) rides idle connections and is sent
--- again, forward_max_tries times at most; server_pconn_for_nonretriable lets all other requests ride them, too.
return {
  title = "Squid",
  program = "squid",
  package = "squid",
  version = { args = { "-v" }, pattern = "Version ([%d.]+)" },
  kind = "proxy",
  -- Squid makes three shared-memory segments, named after its service, which nobody needs by name once it listens.
  argv = { "sh", "-c", [[
port=$(printf ':%04X 00000000:0000 0A' $LISTEN_PORT)
( ( until grep -q "$port" /proc/net/tcp; do sleep 0.02; kill -0 $$ || break; done
    rm -f /dev/shm/closerace$LISTEN_PORT-cf__*.shm ) >/dev/null 2>&1 & )
exec "$PROGRAM" -N -n closerace$LISTEN_PORT -f "$CONFIG"]] },
  config = [[
http_port $LISTEN accel no-vhost defaultsite=127.0.0.1
cache_peer 127.0.0.1 parent $BACKEND_PORT 0 originserver no-query no-digest no-netdb-exchange connect-fail-limit=1000000
never_direct allow all
http_access allow all
cache deny all
cache_mem 0
memory_pools off
max_filedescriptors 1024

server_pconn_for_nonretriable ${pconn-for-nonretriable} all
forward_max_tries ${forward-max-tries}

# Squid looks at whole seconds: two may be over after little more than one, but one at once.
connect_timeout 2 seconds
peer_connect_timeout 2 seconds
read_timeout 2 seconds
forward_timeout 4 seconds

visible_hostname closerace
access_log none
cache_store_log none
cache_log /dev/null
pid_filename none
netdb_filename none
coredump_dir none
hosts_file none
dns_nameservers 127.0.0.1
pinger_enable off
icp_port 0
htcp_port 0
snmp_port 0
shutdown_lifetime 0 seconds
]],
  settings = {
    { name = "pconn-for-nonretriable", help = "may a request that cannot be sent again ride an idle connection",
      values = { { "none", "deny" }, { "all", "allow" } } },
    { name = "forward-max-tries", help = "attempts of one request, the first included", values = { "25", "1" } },
  },
  variants = {
    { name = "pconn-for-all", ["pconn-for-nonretriable"] = "all" },
    { name = "one-try", ["pconn-for-nonretriable"] = "all", ["forward-max-tries"] = "1" },
  },
  patience_ms = 7000,
  trap = "The backend's first connection is Squid's own: it looks whether its peer is there, and closes it "
    .. "without a request. A connection is idle a moment after the client has its answer.",
}
