--- Node.js, the global fetch (undici).  It has no setting for retry; a request that it has not begun to send waits for
--- another connection, one that was begun fails.
return {
  title = "Node.js fetch",
  program = "node",
  package = "nodejs",
  version = { args = { "-p", "'node ' + process.versions.node + ', undici ' + process.versions.undici" },
    pattern = "node ([%d.]+)" },
  kind = "client",
  argv = { "$PROGRAM", "--single-threaded", "--v8-pool-size=0", "$CONFIG" },
  env = { "UV_THREADPOOL_SIZE=1", "NODE_OPTIONS=", "NODE_NO_WARNINGS=1" },
  config = [[
"use strict";
const http = require("http");
const copied = ["X-Closerace-Id", "Idempotency-Key", "Content-Type"];

async function forward(request, body) {
  const headers = {};
  for (const name of copied)
    if (request.headers[name.toLowerCase()] !== undefined)
      headers[name] = request.headers[name.toLowerCase()];
  const options = { method: request.method, headers, redirect: "manual", signal: AbortSignal.timeout(1000) };
  if (request.headers["transfer-encoding"] !== undefined) {
    options.duplex = "half";
    options.body = new ReadableStream({
      start(controller) {
        if (body.length > 0)
          controller.enqueue(new Uint8Array(body));
        controller.close();
      },
    });
  } else if (body.length > 0) {
    options.body = body;
  }
  const response = await fetch("http://$BACKEND" + request.url, options);
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
}

// An error of fetch says "fetch failed"; the reason is its cause.
function words(error) {
  const said = [];
  for (let e = error; e; e = e.cause)
    said.push(typeof e.code === "string" ? e.code + " " + e.message : e.message);
  return said.join(": ") + "\n";
}

function answer(request, response, result) {
  const headers = {};
  for (const name of ["X-Closerace-Mark", "Content-Type", "X-Client-Error"])
    if (result.headers.get(name) !== null)
      headers[name] = result.headers.get(name);
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
      headers: new Headers({ "X-Client-Error": "1" }),
      body: Buffer.from(words(error)),
    })));
});
server.keepAliveTimeout = 0;
server.listen({ fd: $LISTEN_FD });
fetch;  // it is loaded when it is first named: now, not with the first request
]],
  settings = {},
  variants = {},
  patience_ms = 1500,
  trap = "It closes its connection behind a HEAD. The timeout is `AbortSignal.timeout(1000)`, for the whole of a "
    .. "request; that of undici is 300 s.",
}
