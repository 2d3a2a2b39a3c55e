--- Python, requests: one Session.  By default nothing is sent again; `retries` gives its adapter a Retry of urllib3,
--- which spares POST and PATCH unless it is told otherwise.
return {
  title = "Python requests",
  program = "/usr/bin/python3",
  package = "python3-requests",
  version = {
    args = { "-c", "import requests; print('requests', requests.__version__)" },
    pattern = "requests ([%d.]+)",
  },
  kind = "client",
  argv = { "$PROGRAM", "-E", "-s", "-B", "$CONFIG" },
  config = [[
import requests
from requests.adapters import HTTPAdapter
from server import serve
from urllib3 import Retry

session = requests.Session()
session.trust_env = False
session.mount("http://", HTTPAdapter(${retries}))


def forward(method, path, headers, body, chunked):
    response = session.request(
        method, "http://$BACKEND" + path, headers=headers, timeout=1, allow_redirects=False,
        data=iter([body] if body else []) if chunked else body or None)
    return response.status_code, response.headers, response.content


serve(forward)
]],
  files = { ["server.py"] = require "closerace.sut.python_server" },
  settings = {
    { name = "retries", help = "max_retries of the adapter; any means POST too", values = {
      { "default", "" },
      { "one", "max_retries=Retry(1)" },
      { "three", "max_retries=3" },
      { "any", "max_retries=Retry(1, allowed_methods=None)" },
    } },
  },
  variants = {
    { name = "one", retries = "one" },
    { name = "any", retries = "any" },
  },
  patience_ms = 5000,
  trap = "The timeout is 1 s for each attempt. Before it uses a connection again, it looks whether that is readable. "
    .. "The length of a body is not checked: a cut one is a complete response.",
}
