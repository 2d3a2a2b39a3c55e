--- Python, http.client: one HTTPConnection, used again and again.  It never sends a request again and has no setting
--- for it: a race is an exception, and the program has to close the connection before the next request.
return {
  title = "Python http.client",
  program = "/usr/bin/python3",
  package = "python3",
  version = { args = { "--version" }, pattern = "Python ([%d.]+)" },
  kind = "client",
  argv = { "$PROGRAM", "-E", "-s", "-B", "$CONFIG" },
  config = [[
import http.client
from server import serve

backend = http.client.HTTPConnection("$BACKEND", timeout=1)


def forward(method, path, headers, body, chunked):
    try:
        if chunked:
            backend.request(method, path, iter([body] if body else []), headers)
        else:
            backend.request(method, path, body or None, headers)
        response = backend.getresponse()
        return response.status, response.headers, response.read()
    except Exception:
        backend.close()
        raise


serve(forward)
]],
  files = { ["server.py"] = require "closerace.sut.python_server" },
  settings = {},
  variants = {},
  patience_ms = 1500,
  trap = "One second is the longest wait for a byte, not for a response. A head that is cut by a FIN is a complete "
    .. "response for this library, and so is a body without a length.",
}
