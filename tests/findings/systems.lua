--- What docs/findings.md compares: each program with its defaults first, then the variants that have a column.

local proxies = {
  { "haproxy", "always", "never", "none", "empty", "empty-no-post", "always-all-errors" },
  { "perlbal", "not-persistent", "verify", "ahead", "verify-ahead", "buffered" },
  { "nginx", "off", "two", "non-idempotent", "two-non-idempotent" },
  { "varnish", "cached-body", "retry" },
  { "squid", "pconn-for-all", "one-try" },
  { "trafficserver", "no-retries" },
  { "apache", "ping", "not-pooled" },
  { "lighttpd", "streaming" },
  { "caddy", "lb-try", "lb-match-all" },
}

local clients = {
  { "curl" },
  { "node-http" }, { "node-fetch" }, { "python-http" },
  { "python-requests", "one", "any" }, { "python-urllib3", "any" },
  { "go", "all-idempotent" }, { "java", "all-methods" }, { "java-urlconnection", "no-retry-post" },
}

local function spread(list)
  local groups = {}
  for i, words in ipairs(list) do
    local group = { name = words[1], words[1] }
    for k = 2, #words do group[k] = ("%s:%s"):format(words[1], words[k]) end
    groups[i] = group
  end
  return groups
end

--- Lists of groups: { name = "haproxy", "haproxy", "haproxy:always", … }
-- natural: those whose natural races are counted, for the command line; others take their time for each of a thousand.
return { proxies = spread(proxies), clients = spread(clients), natural = "haproxy,nginx,caddy,squid" }
