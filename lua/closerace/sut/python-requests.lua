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
  argv = { "$PROGRAM", "-I", "-B", "$CONFIG" },
  config = [[
import http.server
import requests
import selectors
import socket

from requests.adapters import HTTPAdapter
from urllib3 import Retry

COPIED = ("X-Closerace-Id", "Idempotency-Key", "Content-Type")
session = requests.Session()
session.trust_env = False
session.mount("http://", HTTPAdapter(${retries}))


def forward(method, path, headers, body, chunked):
    response = session.request(
        method, "http://$BACKEND" + path, headers=headers, timeout=1, allow_redirects=False,
        data=iter([body] if body else []) if chunked else body or None)
    return response.status_code, response.headers, response.content


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    timeout = 5

    def read_chunks(self):
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if size == 0:
                break
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def pass_on(self):
        chunked = "Transfer-Encoding" in self.headers
        if chunked:
            body = self.read_chunks()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: self.headers[name] for name in COPIED if name in self.headers}
        try:
            status, received, body = forward(self.command, self.path, headers, body, chunked)
            headers = {name: received[name] for name in ("X-Closerace-Mark", "Content-Type") if name in received}
        except Exception as error:
            status, headers = 502, {"X-Client-Error": "1"}
            body = f"{type(error).__name__}: {error}\n".encode()
        if status < 200:
            # The library takes an interim response for the final one; nobody else would wait for no more.
            status, headers["X-Client-Status"] = 200, str(status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.command == "HEAD" or status in (204, 304):
            body = b""
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    do_GET = do_HEAD = do_OPTIONS = do_PUT = do_DELETE = do_POST = do_PATCH = pass_on

    def handle_expect_100(self):
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def log_message(self, *args):
        pass

    # Not until the client closes, but for what has arrived: one thread serves all clients.
    def handle(self):
        pass

    def finish(self):
        pass

    def ready(self):
        while True:
            self.connection.settimeout(self.timeout)
            self.close_connection = True
            try:
                self.handle_one_request()
            except OSError:
                return False
            if self.close_connection:
                return False
            self.connection.setblocking(False)
            if not self.rfile.peek(1):
                return True


listener = socket.socket(fileno=$LISTEN_FD)
listener.setblocking(False)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is not listener:
            if not key.data.ready():
                selector.unregister(key.fileobj)
                key.fileobj.close()
            continue
        try:
            client, address = listener.accept()
        except OSError:
            continue
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client, selectors.EVENT_READ, Handler(client, address, None))
]],
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
