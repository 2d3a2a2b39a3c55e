// An origin for ordinary clients: what a web application answers with, beyond what closerace-backend serves.
//
//   node tests/clients/origin.js        prints "listening on 127.0.0.1:PORT"; SIGTERM ends it
//
// Nothing here waits for time to go by: what shall happen later is asked for by another request.
'use strict';

const http = require('http');
const zlib = require('zlib');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');

const TEXT = Buffer.from('The quick brown fox jumps over the lazy dog.\n'.repeat(100));
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64');
const PIECE = Buffer.from('0123456789abcdef'.repeat(4096));

const counts = {};                      // requests by the first word of their path
let waiting = [];                       // continuations that /told lets go

const json = (res, value, headers) => {
  const body = JSON.stringify(value);
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers });
  res.end(body);
};

const resources = {
  // What was received, as the origin sees it.
  seen(req, res) {
    req.resume().on('end', () => json(res, {
      method: req.method, url: req.url, version: req.httpVersion, headers: req.rawHeaders, trailers: req.rawTrailers,
    }));
  },

  // The body comes back when it is whole.
  echo(req, res) {
    const pieces = [];
    req.on('data', (piece) => pieces.push(piece)).on('end', () => {
      const body = Buffer.concat(pieces);
      res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length }).end(body);
    });
  },

  // The body comes back while it is still on its way, behind a head that did not wait for any of it.
  mirror(req, res) {
    res.writeHead(200, { 'Content-Type': 'application/octet-stream' });
    res.flushHeaders();
    req.pipe(res);
  },

  // Let those go on who wait.
  told(req, res) {
    const go = waiting;
    waiting = [];
    for (const on of go) on();
    json(res, go.length);
  },

  cookies(req, res) {
    json(res, req.headers.cookie ?? '', { 'Set-Cookie': ['a=1; Path=/', 'b="2 3"; HttpOnly'] });
  },

  redirect(req, res) {
    res.writeHead(Number(new URL(req.url, 'http://x').searchParams.get('status')), { Location: '/seen?landed' });
    res.end();
  },

  text(req, res) {
    const headers = { 'Accept-Ranges': 'bytes', ETag: '"t1"', 'Content-Type': 'text/plain' };
    const range = /^bytes=(\d+)-(\d*)$/.exec(req.headers.range ?? '');
    if (req.headers['if-none-match'] === headers.ETag) return void res.writeHead(304, headers).end();
    if (!range) return void res.writeHead(200, { ...headers, 'Content-Length': TEXT.length }).end(TEXT);
    if (Number(range[1]) >= TEXT.length)
      return void res.writeHead(416, { ...headers, 'Content-Range': `bytes */${TEXT.length}` }).end();
    const part = TEXT.subarray(Number(range[1]), range[2] === '' ? undefined : Number(range[2]) + 1);
    const last = Number(range[1]) + part.length - 1;
    headers['Content-Range'] = `bytes ${range[1]}-${last}/${TEXT.length}`;
    res.writeHead(206, { ...headers, 'Content-Length': part.length }).end(part);
  },

  gzip(req, res) {
    const body = zlib.gzipSync(TEXT);
    res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': body.length }).end(body);
  },

  trailers(req, res) {
    res.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum' });
    res.write('some ');
    res.write('bytes\n');
    res.addTrailers({ 'X-Sum': '11' });
    res.end();
  },

  // Two interim responses before the final one.
  hints(req, res) {
    res.writeEarlyHints({ link: '</style.css>; rel=preload' });
    res.writeProcessing();
    json(res, 'final');
  },

  // Server-sent events: the second one leaves only when somebody has told that the first one arrived.
  events(req, res) {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    res.write('data: first\n\n');
    waiting.push(() => res.end('data: second\n\n'));
  },

  // So many MiB, as fast as they are taken.
  async mebibytes(req, res) {
    res.writeHead(200, { 'Content-Type': 'application/octet-stream' });
    const n = Number(req.url.split('/')[2]);
    await pipeline(Readable.from(Array(16 * n).fill(PIECE), { objectMode: false }), res);
  },

  // Bytes without end, until the client goes away; then a line says so.
  endless(req, res) {
    res.writeHead(200, { 'Content-Type': 'application/octet-stream' });
    const more = () => { while (res.write(PIECE)); };
    res.on('drain', more).on('close', () => console.log('endless closed'));
    more();
  },

  // A page of 30 parts whose script writes in it what came of them.
  page(req, res) {
    const images = Array.from({ length: 15 }, (_, i) => `<img src="/pixel/${i}.gif">`);
    const scripts = Array.from({ length: 15 }, (_, i) => `<script src="/script/${i}.js"></script>`);
    res.writeHead(200, { 'Content-Type': 'text/html' });
    res.end(`<!DOCTYPE html><title>page</title><p id="result">unfinished</p>
      <script>var ran = 0;</script>${scripts.join('')}${images.join('')}<script src="/main/"></script>`);
  },

  pixel(req, res) {
    res.writeHead(200, { 'Content-Type': 'image/gif', 'Content-Length': PIXEL.length }).end(PIXEL);
  },

  script(req, res) {
    res.writeHead(200, { 'Content-Type': 'text/javascript' }).end('ran += 1;\n');
  },

  main(req, res) {
    res.writeHead(200, { 'Content-Type': 'text/javascript' }).end(`(${inPage})();\n`);
  },

  favicon(req, res) {
    res.writeHead(204).end();
  },

  // How many requests there were, by path.
  counts(req, res) {
    json(res, counts);
  },
};

// Runs in the browser.
async function inPage() {
  const say = (text) => { document.getElementById('result').textContent = text; };
  try {
    await new Promise((resolve) => { addEventListener('load', resolve); });
    const drawn = [...document.images].filter((image) => image.complete && image.naturalWidth === 1).length;
    const sent = 'y'.repeat(200000);
    const echo = await fetch('/echo', { method: 'POST', body: sent });
    const same = echo.status === 200 && await echo.text() === sent;
    const events = [];
    await new Promise((resolve, reject) => {
      const source = new EventSource('/events');
      source.onerror = reject;
      source.onmessage = (event) => {
        events.push(event.data);
        if (events.length === 2) { source.close(); resolve(); } else fetch('/told').catch(reject);
      };
    });
    say(`images=${drawn} scripts=${ran} post=${same} events=${events.join()}`);
  } catch (error) {
    say(`failed: ${error}`);
  }
}

const server = http.createServer({ maxHeaderSize: 1 << 20 }, (req, res) => {
  const word = /^\/(\w*)/.exec(req.url)?.[1] ?? '';
  const resource = Object.hasOwn(resources, word) ? resources[word] : resources.seen;
  counts[word] = (counts[word] ?? 0) + 1;
  resource(req, res);
});

server.keepAliveTimeout = 0;            // never closes an idle connection: closing is the backend's part
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
