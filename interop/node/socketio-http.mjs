// The HTTP side of a Socket.IO server, by hand: handshake, headers, CORS, and every error answer.
// Usage: socketio-http.mjs ORIGIN
// Prints one JSON line per check and `end of checks` after the last.

import assert from 'node:assert/strict';
import http from 'node:http';
import { WebSocket } from 'ws';
import { next, runChecks, same, within } from './socketio-kit.mjs';

const [origin] = process.argv.slice(2);
const PAGE = 'http://page.example';
const LIMIT = 1_000_000;

/** One request, on a connection of its own; gives status, headers and body. */
function request(query, { method = 'GET', headers = {}, body, path = '/socket.io/' } = {}) {
  const done = new Promise((resolve, reject) => {
    const sent = http.request(`${origin}${path}?${new URLSearchParams(query)}`, { method, headers, agent: false });
    sent.on('response', async (response) => {
      try {
        const chunks = await response.toArray();
        resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks), body: Buffer.concat(chunks).toString() });
      } catch (error) {
        reject(error);
      }
    });
    // A WebSocket handshake that is accepted, where a refusal was expected.
    sent.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, headers: response.headers, body: '' });
    });
    sent.on('error', reject);
    sent.end(body);
  });
  return within(done, 'the response');
}

const POLLING = { EIO: '4', transport: 'polling' };
const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

/** A new session on polling: `query` for its further requests, and its handshake. */
async function session() {
  const opened = await request(POLLING);
  assert.equal(opened.status, 200);
  const handshake = JSON.parse(opened.body.slice(1));
  return { query: { ...POLLING, sid: handshake.sid }, handshake, opened };
}

/** The answer that every refused HTTP request gets. */
async function refused(query, options, code, message, status = 400) {
  const answer = await request(query, options);
  assert.equal(answer.status, status);
  assert.match(answer.headers['content-type'], /^application\/json/);
  same(JSON.parse(answer.body), { code, message }, 'the body');
  assert.equal(typeof JSON.parse(answer.body).code, 'number');
}

/** The answer that a refused WebSocket handshake gets. */
async function upgradeRefused(query, message, headers = {}) {
  const answer = await request(query, { headers: { ...UPGRADE, ...headers } });
  assert.equal(answer.status, 400);
  assert.match(answer.headers['content-type'], /^text\/html/);
  assert.equal(answer.headers.connection?.toLowerCase(), 'close');
  assert.equal(answer.body, message);
}

async function handshakeKeys() {
  const { opened, handshake } = await session();
  assert.equal(opened.body[0], '0');
  same(
    Object.keys(handshake).toSorted(),
    ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades'],
    'the keys',
  );
  assert.match(handshake.sid, /^[\w-]{20}$/);
  same({ ...handshake, sid: 0 }, { sid: 0, upgrades: ['websocket'], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: LIMIT }, 'the handshake');
}

async function connectKeys() {
  const { query, handshake } = await session();
  assert.equal((await request(query, { method: 'POST', body: '40' })).body, 'ok');
  const { body } = await request(query);
  assert.match(body, /^40\{"sid":"[\w-]{20}"\}$/);
  assert.notEqual(JSON.parse(body.slice(2)).sid, handshake.sid, 'the public id is the secret one');
}

async function headersOfPolls() {
  const { query, opened } = await session();
  assert.equal(opened.headers['content-type'], 'text/plain; charset=UTF-8');
  assert.equal(opened.headers['cache-control'], 'no-store');
  assert.equal(opened.headers['x-engine'], 'interop');
  assert.equal(opened.headers['set-cookie'], undefined);
  const post = await request(query, { method: 'POST', body: '40' });
  assert.equal(post.headers['content-type'], 'text/html');
  assert.equal(post.headers['content-length'], '2');
  assert.equal(post.headers['cache-control'], 'no-store');
  assert.equal(post.headers['x-engine'], 'interop');
}

async function oldBrowsers() {
  const answer = await request(POLLING, { headers: { 'user-agent': 'Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0)' } });
  assert.equal(answer.headers['x-xss-protection'], '0');
  assert.equal((await request(POLLING)).headers['x-xss-protection'], undefined);
}

/** What a poll brings that has `text` to bring. */
async function pollOf(text, headers) {
  const { query } = await session();
  await request(query, { method: 'POST', body: '40' });
  await request(query);
  await request(query, { method: 'POST', body: `42${JSON.stringify(['echo', text])}` });
  return request(query, { headers });
}

async function compressed() {
  const text = 'x'.repeat(5_000);
  const gzip = await pollOf(text, { 'accept-encoding': 'gzip' });
  assert.equal(gzip.headers['content-encoding'], 'gzip');
  const { gunzipSync, inflateSync } = await import('node:zlib');
  assert.equal(gunzipSync(gzip.bytes).toString(), `42${JSON.stringify(['echo', text])}`);
  const deflate = await pollOf(text, { 'accept-encoding': 'deflate' });
  assert.equal(deflate.headers['content-encoding'], 'deflate');
  assert.equal(inflateSync(deflate.bytes).toString(), `42${JSON.stringify(['echo', text])}`);
}

async function notCompressed() {
  assert.equal((await pollOf('x'.repeat(5_000))).headers['content-encoding'], undefined);
  assert.equal((await pollOf('short', { 'accept-encoding': 'gzip' })).headers['content-encoding'], undefined);
}

async function cors() {
  const answer = await fetch(`${origin}/socket.io/?${new URLSearchParams(POLLING)}`, { headers: { origin: PAGE } });
  assert.equal(answer.headers.get('access-control-allow-origin'), PAGE);
  assert.equal(answer.headers.get('access-control-allow-credentials'), 'true');
  assert.match(answer.headers.get('vary'), /Origin/i);
  // Fixed is fixed: another page is told the same, and its browser will keep it out.
  const stranger = await fetch(`${origin}/socket.io/?${new URLSearchParams(POLLING)}`, { headers: { origin: 'http://other.example' } });
  assert.equal(stranger.headers.get('access-control-allow-origin'), PAGE);
}

async function corsOnErrors() {
  const answer = await fetch(`${origin}/socket.io/?EIO=4&transport=none`, { headers: { origin: PAGE } });
  assert.equal(answer.status, 400);
  assert.equal(answer.headers.get('access-control-allow-origin'), PAGE);
}

async function preflight() {
  const answer = await request(POLLING, {
    method: 'OPTIONS',
    headers: { origin: PAGE, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-interop' },
  });
  assert.equal(answer.status, 204);
  assert.equal(answer.body, '');
  assert.equal(answer.headers['access-control-allow-origin'], PAGE);
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  assert.equal(answer.headers['access-control-allow-headers'], 'x-interop');
  assert.match(answer.headers['access-control-allow-methods'], /\bGET\b.*\bPOST\b/);
}

async function mismatch() {
  const { query } = await session();
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const [data] = await next(socket, 'message');
  const { sid } = JSON.parse(data.toString().slice(1));
  await refused({ ...POLLING, sid }, {}, 3, 'Bad request');
  await refused({ ...query, EIO: '3' }, {}, 3, 'Bad request');
  socket.close();
}

async function overlappingPolls() {
  const { query } = await session();
  // Of two at once either may come first; the later is refused, and the earlier ends with `close`.
  const answers = await Promise.all([request(query), request(query)]);
  answers.sort((left, right) => left.status - right.status);
  same(answers.map(({ status, body }) => [status, body]), [[200, '1'], [400, '']], 'status and body');
  await refused(query, {}, 1, 'Session ID unknown');
}

async function overlappingPosts() {
  const { query } = await session();
  const poll = request(query);
  const headers = { 'content-length': '100', 'content-type': 'text/plain;charset=UTF-8' };
  const slow = http.request(`${origin}/socket.io/?${new URLSearchParams(query)}`, { method: 'POST', headers, agent: false });
  slow.on('error', () => {});
  // The first never ends; it has begun, by then, on the server too.
  slow.flushHeaders();
  slow.write('4');
  await next(slow, 'socket').then(([socket]) => socket.connecting && next(socket, 'connect'));
  const answer = await postUntilOverlap(query);
  assert.equal(answer.status, 400);
  // If the slow one came while another was taken, it was itself refused, and what comes next finds no session.
  if (answer.body !== '') assert.equal(JSON.parse(answer.body).message, 'Session ID unknown');
  assert.equal((await poll).body, '1');
  slow.destroy();
  await refused(query, {}, 1, 'Session ID unknown');
}

/** Posts what does nothing until a post is refused: when the slow one has reached the server. */
async function postUntilOverlap(query) {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const answer = await request(query, { method: 'POST', body: '6' });
    if (answer.status !== 200) return answer;
  }
  throw new Error('500 posts were taken while another was under way');
}

async function tooLarge() {
  const { query } = await session();
  const answer = await request(query, { method: 'POST', body: '4'.repeat(LIMIT + 1) });
  same([answer.status, answer.body], [413, ''], 'status and body');
  // The session lives.
  assert.equal((await request(query, { method: 'POST', body: '40' })).status, 200);
  assert.match((await request(query)).body, /^40/);
}

async function otherMethod() {
  const { query } = await session();
  const answer = await request(query, { method: 'PUT', body: '4' });
  same([answer.status, answer.body], [500, ''], 'status and body');
}

async function octetStream() {
  const { query } = await session();
  const poll = request(query);
  const answer = await request(query, { method: 'POST', body: '4', headers: { 'content-type': 'application/octet-stream' } });
  same([answer.status, answer.body], [400, ''], 'status and body');
  await poll;
  await refused(query, {}, 1, 'Session ID unknown');
}

async function notFound() {
  const answer = await request(POLLING, { path: '/elsewhere/' });
  assert.equal(answer.status, 404);
}

await runChecks([
  ['the handshake has its five keys and no other', handshakeKeys],
  ['CONNECT is answered with an id and nothing else', connectKeys],
  ['headers of polls and posts', headersOfPolls],
  ['old browsers get X-XSS-Protection', oldBrowsers],
  ['large polls are compressed on request', compressed],
  ['small polls, and polls nobody asked for, are not compressed', notCompressed],
  ['CORS headers', cors],
  ['CORS headers on an error', corsOnErrors],
  ['CORS preflight', preflight],
  ['code 0: transport missing', () => refused({ EIO: '4' }, {}, 0, 'Transport unknown')],
  ['code 0: transport unknown', () => refused({ EIO: '4', transport: 'pigeon' }, {}, 0, 'Transport unknown')],
  ['code 0: a name every object has', () => refused({ EIO: '4', transport: 'constructor' }, {}, 0, 'Transport unknown')],
  ['code 0: webtransport by HTTP', () => refused({ EIO: '4', transport: 'webtransport' }, {}, 0, 'Transport unknown')],
  ['code 1: session unknown', () => refused({ ...POLLING, sid: 'nobody' }, {}, 1, 'Session ID unknown')],
  ['code 1: session unknown, by POST', () => refused({ ...POLLING, sid: 'nobody' }, { method: 'POST', body: '40' }, 1, 'Session ID unknown')],
  ['code 2: handshake by POST', () => refused(POLLING, { method: 'POST' }, 2, 'Bad handshake method')],
  ['code 2: handshake by PUT', () => refused(POLLING, { method: 'PUT' }, 2, 'Bad handshake method')],
  ['code 3: websocket without an upgrade', () => refused({ EIO: '4', transport: 'websocket' }, {}, 3, 'Bad request')],
  ['code 3: another transport, another version', mismatch],
  ['code 4: denied', () => refused({ ...POLLING, deny: '1' }, {}, 4, 'denied by the server', 403)],
  ['code 5: version missing', () => refused({ transport: 'polling' }, {}, 5, 'Unsupported protocol version')],
  ['code 5: version 3', () => refused({ ...POLLING, EIO: '3' }, {}, 5, 'Unsupported protocol version')],
  ['code 5: version abc', () => refused({ ...POLLING, EIO: 'abc' }, {}, 5, 'Unsupported protocol version')],
  ['WebSocket: transport unknown', () => upgradeRefused({ EIO: '4', transport: 'pigeon' }, 'Transport unknown')],
  ['WebSocket: session unknown', () => upgradeRefused({ EIO: '4', transport: 'websocket', sid: 'nobody' }, 'Session ID unknown')],
  ['WebSocket: denied', () => upgradeRefused({ EIO: '4', transport: 'websocket', deny: '1' }, 'denied by the server')],
  ['overlapping polls end the session', overlappingPolls],
  ['overlapping posts end the session', overlappingPosts],
  ['a body over the limit is 413, and the session lives', tooLarge],
  ['another method is 500', otherMethod],
  ['application/octet-stream is refused', octetStream],
  ['another path is not ours', notFound],
]);
