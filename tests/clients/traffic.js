// Kinds of traffic: what a client does step by step, and what the server does.  No step waits for a time.
//
//   send TEXT      bytes, as they are
//   until PATTERN  wait for what came so far to match, or for the end
//   ended          wait for the server's end
//   fin            half-close          reset   drop the connection
//   push           send until the server's kernel refuses it
//
// A kind ends when both sides have; `fin` is added to it unless its last step waits for the end.
'use strict';

const CRLF = '\r\n';
const send = (text) => ({ send: text });
const until = (pattern) => ({ until: pattern });
const ended = { ended: true };
const fin = { fin: true };
const reset = { reset: true };
const push = { push: true };

const head = (method, path, ...fields) => [`${method} ${path} HTTP/1.1`, 'Host: t', ...fields, '', ''].join(CRLF);
const get = (path, ...fields) => head('GET', path, ...fields);
const post = (path, body, ...fields) => head('POST', path, `Content-Length: ${body.length}`, ...fields) + body;
const chunk = (text) => text.length.toString(16) + CRLF + text + CRLF;
const chunked = (path, ...texts) => head('POST', path, 'Transfer-Encoding: chunked') + texts.map(chunk).join('')
  + '0' + CRLF + CRLF;
const CLOSE = 'Connection: close';
const bytewise = (text) => [...text].map(send);
const LONG = 'x'.repeat(300000);

// The server closes while bytes lie unread, so that its reset may overtake what it has said (RFC 9112 9.6): with or
// without a valve, only how the answer begins is certain.
exports.racing = new Set(['a pipeline after a request that closes', 'a pipeline in which one closes',
  'a head that is too large']);

// Behind any server: it answers GET / somehow, and knows HTTP/1.1.  A FIN comes when the answer has begun: what a server
// with threads makes of one before that is chance.
exports.any = {
  'a GET': [send(get('/')), until(/\r\n\r\n/)],
  'a GET that closes': [send(get('/', CLOSE)), ended],
  'a HEAD': [send(head('HEAD', '/')), until(/\r\n\r\n/)],
  'an OPTIONS': [send(head('OPTIONS', '/', CLOSE)), ended],
  'a path that is not there': [send(get('/there/is/none', CLOSE)), ended],
  'HTTP/1.0': [send('GET / HTTP/1.0' + CRLF + CRLF), ended],
  'HTTP/1.0, kept alive': [send('GET / HTTP/1.0' + CRLF + 'Connection: keep-alive' + CRLF + CRLF), until(/\r\n\r\n/)],
  'no Host': [send('GET / HTTP/1.1' + CRLF + CRLF), until(/\r\n\r\n/)],
  'no HTTP': [send('this is not HTTP' + CRLF + CRLF), ended],
  'a method that is none': [send(head('G@T', '/')), until(/\r\n\r\n/)],
  'a version that is none': [send('GET / HTTP/9.9' + CRLF + 'Host: t' + CRLF + CRLF), until(/\r\n\r\n/)],
  'two lengths': [send(head('POST', '/', 'Content-Length: 1', 'Content-Length: 2') + 'ab'), until(/\r\n\r\n/)],
  'a GET byte by byte': [...bytewise(get('/', CLOSE)), ended],
  'a pipeline': [send(get('/') + get('/') + get('/', CLOSE)), ended],
  'a pipeline with HEAD in it': [send(get('/') + head('HEAD', '/') + get('/', CLOSE)), ended],
  'a pipeline after a request that closes': [send(get('/', CLOSE) + get('/')), ended],
  'a request in two halves': [send('GET / HTTP/1.1' + CRLF), send('Host: t' + CRLF + CRLF), until(/\r\n\r\n/)],
  'half a head, then FIN': [send('GET / HTTP/1.1' + CRLF + 'Host'), fin, ended],
  'nothing, then FIN': [fin, ended],
  'an empty line first': [send(CRLF + get('/', CLOSE)), ended],
};

// Behind the HTTP server of beside.js.
exports.http = {
  'a POST': [send(post('/echo', 'amount=10')), until(/amount=10$/)],
  'a POST in chunks': [send(chunked('/echo', 'one', 'two', 'three')), until(/onetwothree$/)],
  'chunks with extensions and a trailer': [send(head('POST', '/echo', 'Transfer-Encoding: chunked')
    + '3;a=b' + CRLF + 'abc' + CRLF + '0' + CRLF + 'T: u' + CRLF + CRLF), until(/abc$/)],
  'a chunk that is none': [send(head('POST', '/echo', 'Transfer-Encoding: chunked') + 'zz' + CRLF), ended],
  'PUT, then DELETE': [send(head('PUT', '/echo', 'Content-Length: 3') + 'put'), until(/put$/),
    send(head('DELETE', '/hello')), until(/hello$/)],
  'PATCH, QUERY, PROPFIND': ['PATCH', 'PROPFIND', 'REPORT'].flatMap((method, i) =>
    [send(head(method, '/echo', 'Content-Length: 2') + 'b' + i), until(new RegExp(`b${i}$`))]),
  'a body in slow pieces': [send(head('POST', '/mirror', 'Content-Length: 6')), send('ab'), until(/ab/), send('cd'),
    until(/cd/), send('ef'), until(/ef/)],
  'a large body': [send(post('/length', LONG, CLOSE)), ended],
  'a large answer': [send(get('/large', CLOSE)), ended],
  'a large answer, half closed': [send(get('/large')), fin, ended],
  'a large answer in chunks': [send(get('/chunks', CLOSE)), ended],
  'a trailer': [send(get('/trailer')), until(/T: u\r\n\r\n$/)],
  'a 204': [send(get('/status/204')), until(/\r\n\r\n/)],
  'a 304': [send(get('/status/304')), until(/\r\n\r\n/)],
  'a 500': [send(get('/status/500')), until(/500$/)],
  'a HEAD of something long': [send(head('HEAD', '/large')), until(/\r\n\r\n/), send(get('/hello')), until(/hello$/)],
  'a 103': [send(get('/hints')), until(/hello$/)],
  'a 102': [send(get('/processing')), until(/hello$/)],
  'a 100': [send(head('POST', '/echo', 'Content-Length: 2', 'Expect: 100-continue')), until(/100 Continue/), send('ok'),
    until(/ok$/)],
  'an expectation that is refused': [send(head('POST', '/echo', 'Content-Length: 2', 'Expect: gold')), until(/417/)],
  'an early 413, and the body comes': [send(head('POST', '/early', 'Content-Length: 5')), until(/early$/),
    send('12345')],
  'a POST, half closed': [send(post('/echo', 'amount=10')), fin, ended],
  'half a body, then FIN': [send(head('POST', '/echo', 'Content-Length: 9') + 'amou'), fin, ended],
  'half a chunk, then FIN': [send(head('POST', '/echo', 'Transfer-Encoding: chunked') + '9' + CRLF + 'amou'), fin, ended],
  'half a body, then reset': [send(head('POST', '/mirror', 'Content-Length: 9') + 'amou'), until(/amou/), reset],
  'idle, then reset': [send(get('/hello')), until(/hello$/), reset],
  'a pipeline of POSTs': [send(post('/echo', 'one') + post('/echo', 'two') + post('/echo', 'six', CLOSE)), ended],
  'a pipeline, half closed': [send(get('/hello') + get('/hello')), fin, ended],
  'a pipeline in which one closes': [send(get('/hello') + get('/hello', CLOSE) + get('/hello')), ended],
  'a pipeline with rubbish at its end': [send(get('/hello') + 'rubbish' + CRLF + CRLF), ended],
  'a head that is too large': [send(get('/hello', 'X: ' + 'y'.repeat(20000))), ended],
  'an upgrade': [send(get('/', 'Connection: Upgrade', 'Upgrade: chat')), until(/101/), send('ping'), until(/<ping>/),
    send(get('/hello')), until(/hello/)],
  'an upgrade, and bytes with it': [send(get('/', 'Connection: Upgrade', 'Upgrade: chat') + 'soon'), until(/<soon>/)],
  'a CONNECT': [send(head('CONNECT', 'x:1')), until(/200/), send('ping'), until(/<ping>/), send(get('/hello')),
    until(/hello/)],
  'a CONNECT, half closed': [send(head('CONNECT', 'x:1')), until(/200/), send('last'), fin, ended],
  'a CONNECT that is refused': [send(head('CONNECT', 'no:1')), until(/407[^]*no$/)],
};

// Behind a server that does what the first request's path says, on a bare socket.
exports.bare = {
  'a server that speaks first': { path: null, steps: [until(/hello/)], serve: [send('220 hello' + CRLF)] },
  'a server that closes at once': { path: null, steps: [ended], serve: [fin] },
  'close(2), and what is sent later': { steps: [ended, push], serve: ['close'] },
  'a FIN, and what is sent later': { steps: [ended, send('still here')], serve: [fin] },
  'an answer, then FIN': { steps: [ended], serve: [send('HTTP/1.1 200 OK' + CRLF + 'Content-Length: 2' + CRLF + CRLF
    + 'ok'), fin] },
  'an answer without an end but FIN': { steps: [ended], serve: [send('HTTP/1.1 200 OK' + CRLF + CRLF + 'all'), fin] },
  'half an answer, then FIN': { steps: [ended], serve: [send('HTTP/1.1 200 OK' + CRLF + 'Content-Length: 9' + CRLF + CRLF
    + 'half'), fin] },
  'half an answer, then reset': { steps: [ended], serve: [send('HTTP/1.1 200 OK' + CRLF + 'Content-Length: 9' + CRLF
    + CRLF + 'half'), reset] },
  'half a chunk, then reset': { steps: [ended], serve: [send('HTTP/1.1 200 OK' + CRLF + 'Transfer-Encoding: chunked'
    + CRLF + CRLF + '9' + CRLF + 'half'), reset] },
  'no answer, FIN': { steps: [ended], serve: [fin] },
  'no answer, reset': { steps: [ended], serve: [reset] },
  'half a status line, then FIN': { steps: [ended], serve: [send('HTTP/1.1 2'), fin] },
  'an answer that is no HTTP': { steps: [ended], serve: [send('who are you?' + CRLF), fin] },
  'an answer with line feeds alone': { steps: [ended], serve: [send('HTTP/1.1 200 OK\nContent-Length: 2\n\nok'), fin] },
  'an answer of HTTP/1.0': { steps: [ended], serve: [send('HTTP/1.0 200 OK' + CRLF + CRLF + 'old'), fin] },
  'two answers to one request': { steps: [until(/two$/)], serve: [send(['one', 'two'].map((text) => 'HTTP/1.1 200 OK'
    + CRLF + 'Content-Length: 3' + CRLF + CRLF + text).join(''))] },
  'an answer, and a stale 408': { steps: [ended], serve: [send('HTTP/1.1 200 OK' + CRLF + 'Content-Length: 0' + CRLF + CRLF
    + 'HTTP/1.1 408 Request Timeout' + CRLF + CLOSE + CRLF + CRLF), fin] },
  'a length and chunks': { steps: [ended], serve: [send('HTTP/1.1 200 OK' + CRLF + 'Content-Length: 3' + CRLF
    + 'Transfer-Encoding: chunked' + CRLF + CRLF + '2' + CRLF + 'ab' + CRLF + '0' + CRLF + CRLF), fin] },
  'a 204 with a body': { steps: [ended], serve: [send('HTTP/1.1 204 No Content' + CRLF + 'Content-Length: 2' + CRLF + CRLF
    + 'ok'), fin] },
  'PROXY protocol': { request: 'PROXY TCP4 10.0.0.1 10.0.0.2 1 2' + CRLF + get('/p'), steps: [ended], serve: [
    send('HTTP/1.1 200 OK' + CRLF + CRLF), fin] },
  'an answer byte by byte': { steps: [ended], serve: [...bytewise('HTTP/1.1 200 OK' + CRLF + 'Content-Length: 2' + CRLF
    + CRLF + 'ok'), fin] },
};
exports.request = (name) => exports.bare[name].request || (exports.bare[name].path === null ? '' : get('/x'));
