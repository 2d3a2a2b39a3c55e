--- Python, urllib3: a PoolManager.  `retries` says how often a request is sent again; by default three times, and never
--- a POST or PATCH of which something was sent.
return {
  title = "Python urllib3",
  program = "/usr/bin/python3",
  package = "python3-urllib3",
  version = {
    args = { "-c", "import urllib3; print('urllib3', urllib3.__version__)" },
    pattern = "urllib3 ([%d.]+)",
  },
  kind = "client",
  argv = { "$PROGRAM", "-E", "-s", "-B", "$CONFIG" },
  config = [[
import urllib3
from server import serve

http_pool = urllib3.PoolManager(retries=${retries}, timeout=1)


def forward(method, path, headers, body, chunked):
    response = http_pool.request(
        method, "http://$BACKEND" + path, headers=headers, redirect=False,
        body=iter([body] if body else []) if chunked else body or None, chunked=chunked)
    return response.status, response.headers, response.data


serve(forward)
]],
  files = { ["server.py"] = require "closerace.sut.python_server" },
  settings = {
    { name = "retries", help = "how often, and which methods: any means POST too", values = {
      { "default", "urllib3.Retry.DEFAULT" },
      { "none", "False" },
      { "one", "urllib3.Retry(1)" },
      { "any", "urllib3.Retry(1, allowed_methods=None)" },
    } },
  },
  variants = {
    { name = "any", retries = "any" },
  },
  patience_ms = 5000,
  trap = "The timeout is 1 s for each attempt, four attempts by default. Before it uses a connection again, it looks "
    .. "whether that is readable. The length of a body is not checked: a cut one is a complete response.",
}
