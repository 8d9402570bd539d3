// Connecting: identity, auth, refusals, what the server sends first, the upgrade, the heartbeat.

import assert from 'node:assert/strict';
import { call, inOrder, next, record, same } from './socketio-kit.mjs';
import { upgraded } from './socketio-peer.mjs';

export const checks = (peer) => [
  ['connects and learns its id', () => connects(peer)],
  ['ids are never the same', () => differs(peer)],
  ['query and headers reach the server', () => query(peer)],
  ['auth reaches the server', () => auth(peer)],
  ['a middleware refuses with message and data', () => refusedWithData(peer)],
  ['a middleware refuses with a message only', () => refusedPlainly(peer)],
  ['what was emitted before the connection comes in order', () => buffered(peer)],
  ['what the server emits at once comes after connect', () => greeted(peer)],
  ...(peer.hasAuth
    ? [
        ['auth may be a function', () => authFunction(peer)],
        ['connects after a refusal, with better auth', () => secondTry(peer)],
      ]
    : []),
  ...(peer.transport === 'upgrade' ? [['upgrades to WebSocket', () => upgrades(peer)]] : []),
  // Version 2 offers none, whatever it is told.
  ...(peer.transport !== 'polling' && peer.version > 2
    ? [['gets the first of its subprotocols', () => subprotocol(peer)]]
    : []),
];

async function connects(peer) {
  const socket = await peer.connect();
  assert.match(socket.id, /^[\w-]{20}$/, 'the id');
  // Of version 2 the main namespace's id is the engine's; later the public id must not be the secret one.
  assert.equal(socket.id === socket.io.engine.id, peer.version === 2, 'whether socket and engine share an id');
  const [me] = await call(socket, 'whoami');
  assert.equal(me.id, socket.id);
  assert.equal(me.namespace, '/');
  same(me.rooms, [socket.id], 'the rooms at first');
  if (peer.transport !== 'upgrade') assert.equal(me.transport, peer.transport);
}

async function differs(peer) {
  const sockets = await peer.connectAll(10);
  assert.equal(new Set(sockets.map(({ id }) => id)).size, 10);
}

async function query(peer) {
  const wanted = { name: 'Zoë & co=?', empty: '' };
  const socket = await peer.connect('/', { query: wanted, extraHeaders: { 'x-interop': 'yes' } });
  const [me] = await call(socket, 'whoami');
  same({ name: me.query.name, empty: me.query.empty }, wanted, 'the query');
  assert.equal(me.query.EIO, peer.version === 2 ? '3' : '4');
  assert.equal(me.header, 'yes');
}

async function auth(peer) {
  const wanted = peer.hasAuth ? { token: 'secret', deep: { list: [1, null, 'ü'] } } : { token: 'secret' };
  const socket = await peer.connect('/custom', { auth: wanted });
  const [me] = await call(socket, 'whoami');
  same(me.auth, wanted, 'the auth');
}

async function authFunction(peer) {
  const socket = await peer.connect('/', { auth: (answer) => setImmediate(answer, { late: true }) });
  const [me] = await call(socket, 'whoami');
  same(me.auth, { late: true }, 'the auth');
}

async function refusedWithData(peer) {
  const [error] = await next(peer.open('/', { auth: { refuse: 'data' } }), peer.refusal);
  const data = { code: 403, why: ['because', null] };
  if (peer.version === 2) return same(error, data, 'the error');
  assert.equal(error.message, 'not today');
  same(error.data, data, 'the data');
}

async function refusedPlainly(peer) {
  const [error] = await next(peer.open('/', { auth: { refuse: 'plain' } }), peer.refusal);
  if (peer.version === 2) return same(error, 'just no', 'the error');
  assert.equal(error.message, 'just no');
  assert.equal(error.data, undefined);
}

async function secondTry(peer) {
  const socket = peer.open('/guarded', { auth: { token: 'wrong' } });
  const [error] = await next(socket, 'connect_error');
  same([error.message, error.data], ['token wanted', { code: 401 }], 'the refusal');
  assert.equal(socket.connected, false);
  socket.auth = { token: 'secret' };
  socket.connect();
  await next(socket, 'connect');
  const [me] = await call(socket, 'whoami');
  assert.equal(me.value, 'let in');
}

async function buffered(peer) {
  const socket = peer.open();
  const echoes = record(socket, 'echo');
  for (let index = 0; index < 50; index += 1) socket.emit('echo', index);
  inOrder(await echoes.until(50), 50, 'the echoes');
}

async function greeted(peer) {
  const socket = peer.open('/greeting');
  const story = [];
  socket.on('connect', () => story.push('connect'));
  socket.on('greeting', (number) => story.push(number));
  await next(socket, 'connect');
  await call(socket, 'whoami');
  same(story, ['connect', 1, 2, 3], 'what came');
}

async function subprotocol(peer) {
  const socket = await peer.connect('/', { protocols: ['v2.example', 'v1'] });
  await upgraded(socket);
  assert.equal(socket.io.engine.transport.ws.protocol, 'v2.example');
}

async function upgrades(peer) {
  const socket = await peer.connect();
  await upgraded(socket);
  const [me] = await call(socket, 'whoami');
  assert.equal(me.transport, 'websocket');
}
