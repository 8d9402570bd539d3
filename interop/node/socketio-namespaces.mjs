// Namespaces: static, by pattern, unknown, guarded; several on one connection.

import assert from 'node:assert/strict';
import { call, closeAfterCheck, next, record, same } from './socketio-kit.mjs';

export const checks = (peer) => [
  ['a static namespace', () => enters(peer, '/custom')],
  ['namespaces by pattern', () => byPattern(peer)],
  ['a middleware of the pattern refuses', () => refuses(peer, '/dynamic-13', 'unlucky')],
  ['a name that the pattern does not have', () => refuses(peer, '/dynamic-x', 'Invalid namespace')],
  ['an unknown namespace', () => refuses(peer, '/nowhere', 'Invalid namespace')],
  ['a guarded namespace', () => guarded(peer)],
  ['several namespaces on one connection', () => several(peer)],
  ['a refusal leaves the others connected', () => refusalIsAlone(peer)],
  ['leaving one namespace leaves the others', () => leavingIsAlone(peer)],
  ['a broadcast stays in its namespace', () => broadcastStays(peer)],
];

/** Another namespace on the connection that `socket` has. */
function join(socket, namespace, options) {
  return closeAfterCheck(socket.io.socket(namespace, options));
}

async function enters(peer, namespace) {
  const socket = await peer.connect(namespace);
  const [me] = await call(socket, 'whoami');
  assert.equal(me.namespace, namespace);
  const args = ['text', Buffer.from('binary'), { n: [1] }];
  same(await call(socket, 'ack', ...args), args, 'the ack');
  const echo = next(socket, 'echo');
  socket.emit('echo', ...args);
  same(await echo, args, 'the echo');
}

async function byPattern(peer) {
  await enters(peer, '/dynamic-7');
  const [one, other] = await Promise.all([peer.connect('/dynamic-1'), peer.connect('/dynamic-2')]);
  const heard = record(other, 'hello');
  await call(one, 'send', { from: 'namespace' }, 'hello', 'from 1');
  await call(other, 'send', { from: 'namespace' }, 'hello', 'from 2');
  same(heard.got, ['from 2'], 'what /dynamic-2 heard');
}

async function refuses(peer, namespace, message) {
  const socket = peer.open(namespace);
  const [error] = await next(socket, peer.refusal);
  // Version 2 gets what a middleware said bare, yet an unknown namespace as an object.
  assert.equal(typeof error === 'string' ? error : error.message, message);
  assert.equal(socket.connected, false);
}

async function guarded(peer) {
  const [error] = await next(peer.open('/guarded', { auth: { token: 'wrong' } }), peer.refusal);
  same(peer.version === 2 ? error : error.data, { code: 401 }, 'the data');
  const socket = await peer.connect('/guarded', { auth: { token: 'secret' } });
  const [me] = await call(socket, 'whoami');
  assert.equal(me.value, 'let in');
}

async function several(peer) {
  const main = await peer.connect();
  const others = ['/custom', '/dynamic-1', '/dynamic-2'].map((namespace) => join(main, namespace));
  await Promise.all(others.map((socket) => next(socket, 'connect')));
  const all = [main, ...others];
  const ids = all.map(({ id }) => id);
  assert.equal(new Set(ids).size, all.length, 'two have the same id');
  // Each event and each ack to its own namespace, although they are all under way at once.
  const echoes = all.map((socket) => record(socket, 'echo'));
  all.forEach((socket, index) => socket.emit('echo', index, Buffer.from([index])));
  const whos = await Promise.all(all.map((socket) => call(socket, 'whoami')));
  same(whos.map(([me]) => me.id), ids, 'the ids the server knows');
  const got = await Promise.all(echoes.map((echo) => echo.until(1)));
  same(got, all.map((_, index) => [[index, Buffer.from([index])]]), 'the echoes');
}

async function refusalIsAlone(peer) {
  const main = await peer.connect();
  const refused = join(main, '/nowhere');
  await next(refused, peer.refusal);
  await call(main, 'whoami');
  const custom = join(main, '/custom');
  await next(custom, 'connect');
  await call(custom, 'whoami');
}

async function leavingIsAlone(peer) {
  const main = await peer.connect();
  const custom = join(main, '/custom');
  await next(custom, 'connect');
  const { gone } = await peer.watch(custom, '/custom');
  const { id } = custom;
  custom.disconnect();
  same(await gone, [id, 'client namespace disconnect', []], 'what the server tells');
  await call(main, 'whoami');
  // And back again, as a new socket.
  custom.connect();
  await next(custom, 'connect');
  assert.notEqual(custom.id, peer.version === 2 ? undefined : id);
  await call(custom, 'whoami');
}

async function broadcastStays(peer) {
  const main = await peer.connect();
  const custom = join(main, '/custom');
  await next(custom, 'connect');
  const story = [];
  main.on('news', () => story.push('main'));
  custom.on('news', () => story.push('custom'));
  await call(custom, 'send', { from: 'namespace' }, 'news');
  await call(main, 'send', { from: 'namespace' }, 'news');
  same(story, ['custom', 'main'], 'who heard');
}
