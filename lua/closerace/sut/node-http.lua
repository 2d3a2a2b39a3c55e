--- Node.js, http.request with an Agent that keeps connections alive.  It never sends a request again and has no setting
--- for it: a race is an error event, for the program to handle (`request.reusedSocket` says that it may be one).
return {
  title = "Node.js http",
  program = "node",
  package = "nodejs",
  version = { args = { "--version" }, pattern = "v([%d.]+)" },
  kind = "client",
  argv = { "$PROGRAM", "--single-threaded", "--v8-pool-size=0", "$CONFIG" },
  env = { "UV_THREADPOOL_SIZE=1", "NODE_OPTIONS=", "NODE_NO_WARNINGS=1" },
  config = [[
"use strict";
const http = require("http");
const [host, port] = "$BACKEND".split(":");
const agent = new http.Agent({ keepAlive: true });
const copied = ["X-Closerace-Id", "Idempotency-Key", "Content-Type"];

function forward(request, body) {
  return new Promise((resolve, reject) => {
    const headers = {};
    for (const name of copied)
      if (request.headers[name.toLowerCase()] !== undefined)
        headers[name] = request.headers[name.toLowerCase()];
    if (request.headers["transfer-encoding"] !== undefined)
      headers["Transfer-Encoding"] = "chunked";
    else if (request.headers["content-length"] !== undefined)
      headers["Content-Length"] = body.length;
    const out = http.request({ agent, host, port, method: request.method, path: request.url, headers, timeout: 1000 });
    out.on("timeout", () => out.destroy(new Error("timeout")));
    out.on("error", reject);
    out.on("close", () => reject(new Error("closed without a response")));
    out.on("response", (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", reject);
      response.on("close", () => reject(new Error("response closed")));
      response.on("end", () => response.complete
        ? resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) })
        : reject(new Error("response is not complete")));
    });
    out.end(body.length > 0 ? body : undefined);
  });
}

function answer(request, response, result) {
  const headers = {};
  for (const name of ["X-Closerace-Mark", "Content-Type", "X-Client-Error"])
    if (result.headers[name.toLowerCase()] !== undefined)
      headers[name] = result.headers[name.toLowerCase()];
  const empty = request.method === "HEAD" || result.status === 204 || result.status === 304;
  if (!empty)
    headers["Content-Length"] = result.body.length;
  response.writeHead(result.status, headers);
  response.end(empty ? undefined : result.body);
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("error", () => {});
  request.on("data", (part) => parts.push(part));
  request.on("end", () => forward(request, Buffer.concat(parts)).then(
    (result) => answer(request, response, result),
    (error) => answer(request, response, {
      status: 502,
      headers: { "x-client-error": "1" },
      body: Buffer.from([error.code, error.message].filter(Boolean).join(": ") + "\n"),
    })));
});
server.keepAliveTimeout = 0;
server.listen({ fd: $LISTEN_FD });
]],
  settings = {},
  variants = {},
  patience_ms = 1500,
  trap = "A request's timeout is that of its socket: 1 s without a byte, in either direction.",
}
