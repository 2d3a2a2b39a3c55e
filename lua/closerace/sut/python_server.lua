--- The server around a Python library: each request that comes is made again by forward(method, path, headers, body,
--- chunked), which returns status, headers and body, or raises.  The file server.py of the drivers for such libraries.

return [[
import http.server
import selectors
import socket

COPIED = ("X-Closerace-Id", "Idempotency-Key", "Content-Type")


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
            status, received, body = self.forward(self.command, self.path, headers, body, chunked)
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


def serve(forward):
    Handler.forward = staticmethod(forward)
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
]]
