// The same traffic straight to a server, and through closerace-backend --upstream: is there any difference?
//
//   node tests/clients/beside.js BACKEND any ADDR:PORT [threads]    behind a server that runs there; threads: which of
//                                                                   a pipeline it answers is chance
//   node tests/clients/beside.js BACKEND http|bare        behind one of this file
//
// Prints a JSON object, kind → { direct, valve }: what the client got and how that ended, and what the server got.
'use strict';

const { spawn } = require('child_process');
const { createHash } = require('crypto');
const { once } = require('events');
const http = require('http');
const net = require('net');
const traffic = require('./traffic.js');

const [program, set, address, threads] = process.argv.slice(2);
const EPHEMERAL = { host: '127.0.0.1', port: 0 };

// What changes from one answer to the next is taken out, and what is long is told in short.
function normal(text) {
  const same = text.replace(/^(Date|Expires|Last-Modified): .*$/gim, '$1: now');

  return same.length < 2000 ? same : `${same.length} bytes, ${createHash('sha256').update(same).digest('hex')}`;
}

// How a socket's other side has ended: what came first, FIN or reset.
function note(socket) {
  const seen = { text: '', end: 'none' };

  socket.on('data', (bytes) => { seen.text += bytes.toString('latin1'); });
  socket.on('end', () => { if (seen.end === 'none') seen.end = 'fin'; });
  socket.on('error', (error) => {
    seen.refused = true;
    if (seen.end === 'none' && error.code === 'ECONNRESET') seen.end = 'reset';
  });
  return seen;
}

// --------------------------------------------------------------------------------------------------- servers --

const pages = {
  '/hello': (q, r) => r.end('hello'),
  '/echo': (q, r) => {
    const pieces = [];

    q.on('data', (piece) => pieces.push(piece)).on('end', () => r.end(Buffer.concat(pieces)));
  },
  '/mirror': (q, r) => { r.writeHead(200, { 'Content-Length': q.headers['content-length'] }); q.pipe(r); },
  '/length': (q, r) => {
    let n = 0;

    q.on('data', (piece) => { n += piece.length; }).on('end', () => r.end(`${n} bytes`));
  },
  '/large': (q, r) => r.end('y'.repeat(500000)),
  '/chunks': (q, r) => { for (let i = 0; i < 50; i++) r.write('z'.repeat(5000)); r.end(); },
  '/trailer': (q, r) => { r.writeHead(200, { Trailer: 'T' }); r.write('body'); r.addTrailers({ T: 'u' }); r.end(); },
  '/hints': (q, r) => { r.writeEarlyHints({ link: '</a.css>; rel=preload' }); r.end('hello'); },
  '/processing': (q, r) => { r.writeProcessing(); r.end('hello'); },
  '/early': (q, r) => { r.writeHead(413, { 'Content-Length': 5 }); r.end('early'); q.resume(); },
};

function serve(q, r) {
  const status = /^\/status\/(\d+)$/.exec(q.url);

  q.on('error', () => {});
  if (status) {
    r.statusCode = +status[1];
    r.end(status[1]);
  } else (pages[q.url] || pages['/hello'])(q, r);
}

const between = (socket) => {
  socket.on('error', () => {}).on('data', (bytes) => socket.write(`<${bytes}>`)).on('end', () => socket.end());
};

function http_server() {
  const server = http.createServer(serve);

  server.keepAliveTimeout = server.headersTimeout = server.requestTimeout = 0;
  server.on('upgrade', (q, socket, first) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    if (first.length > 0) socket.write(`<${first}>`);
    between(socket);
  });
  server.on('connect', (q, socket, first) => {
    if (q.url !== 'x:1') return socket.end('HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno');
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (first.length > 0) socket.write(`<${first}>`);
    return between(socket);
  });
  return server;
}

let playing; // the kind that the bare server plays now …
let client; // … with whom: { socket, seen }

// Wait for one of the socket's events, unless it is closed.
function next(socket) {
  return new Promise((go) => {
    const on = () => {
      for (const name of ['data', 'end', 'close']) socket.off(name, on);
      go();
    };

    if (socket.closed) go();
    else for (const name of ['data', 'end', 'close']) socket.on(name, on);
  });
}

async function act(socket, seen) {
  const kind = traffic.bare[playing];
  let n_sent = 0;

  while (seen.text.length < traffic.request(playing).length) await once(socket, 'data');
  for (const step of kind.serve) {
    if (step === 'close') socket.destroy();
    else if (step.fin) socket.end();
    else if (step.reset) {
      // libuv tells of a reset that comes together with bytes as of a FIN.
      while (client.seen.text.length < n_sent) await next(client.socket);
      socket.resetAndDestroy();
    } else await new Promise((sent) => { socket.write(step.send, sent); n_sent += step.send.length; });
  }
}

const bare_server = () => net.createServer({ allowHalfOpen: true, noDelay: true });

// Start it; its connections are noted in the order in which they end.
async function start() {
  const server = set === 'http' ? http_server() : bare_server();
  const ended = [];

  server.on('connection', (socket) => {
    const seen = note(socket);

    socket.on('end', () => { if (set === 'bare') socket.end(); });
    socket.on('close', () => { ended.push(seen); server.emit('over'); });
    if (set === 'bare') act(socket, seen).catch(() => {});
  });
  server.listen(EPHEMERAL);
  await once(server, 'listening');
  return { ended, server, address: `127.0.0.1:${server.address().port}` };
}

async function start_valve(upstream) {
  const valve = spawn(program, ['--listen', '127.0.0.1:0', '--upstream', upstream],
    { stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';

  for await (const piece of valve.stdout) {
    said += piece;
    const match = /listening on ([\d.:]+)\n/.exec(said);
    if (match) return { valve, address: match[1] };
  }
  throw new Error(`the valve does not listen: ${said}`);
}

// ---------------------------------------------------------------------------------------------------- client --

const START = 'HTTP/1.1 200'.length;
const in_short = (seen) => ({ text: normal(seen.text), end: seen.end });

const play = {
  async send(step, socket) {
    await new Promise((sent) => { socket.write(step.send, 'latin1', sent); });
  },
  async until(step, socket, seen) {
    while (!step.until.test(seen.text) && seen.end === 'none') await next(socket);
  },
  async ended(step, socket, seen) {
    while (seen.end === 'none') await next(socket);
  },
  async fin(step, socket) { socket.end(); },
  async reset(step, socket) { socket.resetAndDestroy(); },
  async push(step, socket, seen) {
    while (!seen.refused && !socket.destroyed) await play.send({ send: '.' }, socket);
  },
};

// Nothing here needs long; what has not moved for a minute never will.
const HUNG_MS = 60000;

// Returns what the client has got, and what the server.
async function play_all(socket, steps, served) {
  const seen = note(socket);
  const last = steps[steps.length - 1];

  client = { socket, seen };
  await once(socket, 'connect');
  for (const step of steps) if (!socket.destroyed) await play[Object.keys(step)[0]](step, socket, seen);
  socket.end();
  if (!last.reset) await play.ended({}, socket, seen);
  if (!socket.closed) await once(socket, 'close');
  while (served && served.ended.length === 0) await once(served.server, 'over');
  return { text: normal(seen.text), end: seen.end, refused: seen.refused, server: served && in_short(served.ended.shift()) };
}

async function run(name, steps, to, served) {
  const [host, port] = to.split(':');
  const socket = net.connect({ host, port, allowHalfOpen: true, noDelay: true });
  let timer;
  const hung = new Promise((go) => { timer = setTimeout(go, HUNG_MS, { end: 'hung' }); });
  const result = await Promise.race([play_all(socket, steps, served), hung]);

  clearTimeout(timer);
  socket.destroy();
  if ((traffic.racing.has(name) || (threads && /pipeline/.test(name))) && result.end !== 'hung') return { text: result.text.slice(0, START), end: 'fin' };
  return result;
}

async function main() {
  const served = set === 'any' ? undefined : await start();
  const direct = served ? served.address : address;
  const { valve, address: through } = await start_valve(direct);
  const result = {};

  for (const name of Object.keys(traffic[set])) {
    const kind = traffic[set][name];
    const steps = kind.steps ? [{ send: traffic.request(name) }, ...kind.steps] : kind;

    playing = name;
    result[name] = { direct: await run(name, steps, direct, served), valve: await run(name, steps, through, served) };
  }
  valve.kill('SIGINT');
  await once(valve, 'exit');
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
}

main().catch((error) => { console.error(error); process.exit(1); });
