// What Node's programs do over HTTP, in small: one case, through a proxy, to an origin.
//
//   node tests/clients/client.js CASE URL        prints what came of it as JSON; a failed assertion ends it with 1
'use strict';

const assert = require('assert');
const http = require('http');
const { createHash } = require('crypto');
const { once } = require('events');

const [name, base] = process.argv.slice(2);
const PIECE = Buffer.from('0123456789abcdef'.repeat(4096));

const sha = (...pieces) => pieces.reduce((hash, piece) => hash.update(piece), createHash('sha256')).digest('hex');

// Send a request with http.request, and read its whole response.
async function ask(path, { body, on = () => {}, ...options } = {}) {
  const req = http.request(base + path, options);
  on(req);
  if (body !== undefined) req.write(body);
  req.end();
  const [res] = await once(req, 'response');
  res.text = '';
  for await (const piece of res.setEncoding('utf8')) res.text += piece;
  return { res, req };
}

// A reader of server-sent events or any other text that comes bit by bit.
async function until(iterator, word) {
  let text = '';
  while (!text.includes(word)) {
    const { value, done } = await iterator.next();
    assert(!done, `ended before '${word}': ${text}`);
    text += Buffer.from(value).toString();
  }
  return text;
}

const cases = {
  // Many requests over few sockets.
  async agent() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const sockets = new Set();
    const on = (req) => req.on('socket', (socket) => sockets.add(socket));
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`/seen?n=${i}`, { agent, on })));
    answers.forEach(({ res }, i) => {
      assert.strictEqual(res.statusCode, 200);
      assert.strictEqual(JSON.parse(res.text).url, `/seen?n=${i}`);
    });
    agent.destroy();
    return { answers: answers.length, sockets: sockets.size };
  },

  async get() {
    const res = await fetch(`${base}/text`);
    return { status: res.status, type: res.headers.get('content-type'), size: (await res.text()).length };
  },

  async gzip() {
    const res = await fetch(`${base}/gzip`);
    return { encoding: res.headers.get('content-encoding'), size: (await res.text()).length };
  },

  async redirect() {
    const res = await fetch(`${base}/redirect?status=307`, { method: 'POST', body: 'amount=10' });
    const seen = await res.json();
    return { redirected: res.redirected, method: seen.method, url: seen.url };
  },

  async post() {
    const res = await fetch(`${base}/echo`, { method: 'POST', body: JSON.stringify({ amount: 10 }) });
    return { status: res.status, ...await res.json() };
  },

  // 8 MiB whose length nobody knows beforehand, there and back.
  async upload() {
    const path = process.argv[4];
    let left = 128;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(PIECE); else controller.close();
      },
    });
    const res = await fetch(`${base}/${path}`, { method: 'POST', body, duplex: 'half' });
    const back = Buffer.from(await res.arrayBuffer());
    assert.strictEqual(res.status, 200);
    assert.strictEqual(sha(back), sha(...Array(128).fill(PIECE)));
    return { size: back.length };
  },

  async download() {
    const res = await fetch(`${base}/mebibytes/64`);
    let size = 0;
    const hash = createHash('sha256');
    for await (const piece of res.body) {
      size += piece.length;
      hash.update(piece);
    }
    assert.strictEqual(hash.digest('hex'), sha(...Array(1024).fill(PIECE)));
    return { status: res.status, size };
  },

  // Each word is sent only when the one before has come back: nothing may be held back on either way.
  async dialogue() {
    const req = http.request(`${base}/mirror`, { method: 'POST' });
    req.flushHeaders();
    const [res] = await once(req, 'response');
    const words = res[Symbol.asyncIterator]();
    for (const word of ['one', 'two', 'three']) {
      req.write(word);
      await until(words, word);
    }
    req.end('end');
    return { last: await until(words, 'end'), done: (await words.next()).done };
  },

  // Give up in the middle of a response.
  async abort() {
    const control = new AbortController();
    const res = await fetch(`${base}/endless`, { signal: control.signal });
    const reader = res.body.getReader();
    await reader.read();
    control.abort();
    await assert.rejects(async () => { while (!(await reader.read()).done); }, { name: 'AbortError' });
    return { after: (await fetch(`${base}/text`)).status };
  },

  async parallel() {
    const urls = Array.from({ length: 200 }, (_, i) => `/seen?n=${i}`);
    const seen = await Promise.all(urls.map(async (url) => {
      const res = await fetch(base + url);
      assert.strictEqual(res.status, 200);
      return (await res.json()).url;
    }));
    assert.deepStrictEqual(seen, urls);
    return { answers: seen.length };
  },

  // The body leaves only when the origin has asked for it.
  async continue() {
    const req = http.request(`${base}/echo`, { method: 'PUT', headers: { Expect: '100-continue' } });
    req.flushHeaders();
    await once(req, 'continue');
    req.end(PIECE);
    const [res] = await once(req, 'response');
    return { status: res.statusCode, same: PIECE.equals(Buffer.concat(await res.toArray())) };
  },

  // Trailers there and back; the connection lives on.
  async trailers() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const sent = await ask('/seen', {
      agent, method: 'POST', headers: { Trailer: 'X-Sum' }, body: 'abc', on: (req) => req.addTrailers({ 'X-Sum': '3' }),
    });
    const got = await ask('/trailers', { agent });
    const after = await ask('/text', { agent });
    agent.destroy();
    return {
      sent: JSON.parse(sent.res.text).trailers.length, status: sent.res.statusCode,
      text: got.res.text, got: got.res.rawTrailers.length, reused: got.req.reusedSocket && after.req.reusedSocket,
    };
  },

  async head() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const { res } = await ask('/text', { agent, method: 'HEAD' });
    const after = await ask('/text', { agent });
    agent.destroy();
    return {
      status: res.statusCode, length: res.headers['content-length'], text: res.text,
      after: after.res.text.length, reused: after.req.reusedSocket,
    };
  },

  async hints() {
    const told = [];
    const { res } = await ask('/hints', { on: (req) => req.on('information', (info) => told.push(info)) });
    return {
      interim: told.map((info) => info.statusCode).join(), link: told[0].headers.link,
      status: res.statusCode, text: res.text,
    };
  },

  // The origin sends the second event when it is told, through the proxy, that the first has come.
  async events() {
    const res = await fetch(`${base}/events`);
    const pieces = res.body[Symbol.asyncIterator]();
    const first = await until(pieces, '\n\n');
    const told = await (await fetch(`${base}/told`)).json();
    const second = await until(pieces, '\n\n');
    return { type: res.headers.get('content-type'), first, told, second, done: (await pieces.next()).done };
  },

  // A connection is used again that the other side closes meanwhile: GET, then the same for POST.
  async race() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const method = process.argv[4];
    const warm = await ask('/bytes/1', { agent });
    try {
      const { res } = await ask('/id/v1/pay', { agent, method, body: method === 'POST' ? 'amount=10' : undefined });
      return { warm: warm.res.statusCode, status: res.statusCode, why: res.headers['proxy-status'] };
    } catch (error) {
      return { warm: warm.res.statusCode, error: error.code };
    } finally {
      agent.destroy();
    }
  },
};

cases[name]().then(
  (result) => console.log(JSON.stringify(result)),
  (error) => { console.error(error); process.exitCode = 1; },
);
