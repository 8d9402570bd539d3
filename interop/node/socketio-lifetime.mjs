// The end of connections, by either side and by the network, and coming back after it.

import assert from 'node:assert/strict';
import { call, inOrder, next, record, same } from './socketio-kit.mjs';
import { upgraded } from './socketio-peer.mjs';

export const checks = (peer) => [
  ['the client disconnects', () => clientEnds(peer)],
  ['the client disconnects and connects again', () => again(peer)],
  ['the server disconnects a socket', () => serverEnds(peer, false)],
  ['the server disconnects a socket and its connection', () => serverEnds(peer, true)],
  ['the server closes the connection', () => hangUp(peer)],
  ['the client closes its connection', () => engineClose(peer)],
  ['the network ends: both sides learn it', () => networkEnds(peer)],
  ['comes back after the network was cut', () => comesBack(peer)],
  ['comes back five times in a row', () => fiveTimes(peer)],
  ['what was emitted meanwhile arrives in order', () => meanwhile(peer)],
  ['a disconnect by the server is final', () => final(peer)],
];

async function clientEnds(peer) {
  const socket = await peer.connect();
  const { gone } = await peer.watch(socket);
  const { id } = socket;
  const end = next(socket, 'disconnect');
  socket.disconnect();
  assert.equal((await end)[0], 'io client disconnect');
  same(await gone, [id, 'client namespace disconnect', []], 'what the server tells');
}

async function again(peer) {
  const socket = await peer.connect();
  const first = socket.id;
  // Clients before version 4 cannot connect while their old connection still closes.
  const closed = next(socket.io.engine, 'close');
  socket.disconnect();
  await closed;
  socket.connect();
  await next(socket, 'connect');
  assert.notEqual(socket.id, first);
  const [me] = await call(socket, 'whoami');
  assert.equal(me.id, socket.id);
}

async function serverEnds(peer, close) {
  const socket = await peer.connect();
  const { gone } = await peer.watch(socket);
  const { id } = socket;
  const end = next(socket, 'disconnect');
  socket.emit('kick', close);
  assert.equal((await end)[0], 'io server disconnect');
  same(await gone, [id, 'server namespace disconnect', []], 'what the server tells');
}

async function hangUp(peer) {
  const socket = await peer.connect();
  const { gone } = await peer.watch(socket);
  const { id } = socket;
  const end = next(socket, 'disconnect');
  socket.emit('hang-up');
  assert.equal((await end)[0], 'transport close');
  same(await gone, [id, 'forced close', []], 'what the server tells');
}

async function engineClose(peer) {
  const socket = await peer.connect();
  const { gone } = await peer.watch(socket);
  const { id } = socket;
  socket.io.engine.close();
  same(await gone, [id, 'transport close', []], 'what the server tells');
}

async function networkEnds(peer) {
  const via = await peer.wire();
  const socket = await peer.connect('/', { via });
  const { gone } = await peer.watch(socket);
  const { id } = socket;
  if (peer.transport === 'upgrade') await upgraded(socket);
  const end = next(socket, 'disconnect');
  await via.noticed();
  via.cut();
  assert.match((await end)[0], /^transport (close|error)$/);
  const [who, reason] = await gone;
  assert.equal(who, id);
  assert.match(reason, /^transport (close|error)$/);
}

async function comesBack(peer) {
  const via = await peer.wire();
  const socket = await peer.connect('/', { via, ...peer.returning });
  const first = socket.id;
  const end = next(socket, 'disconnect');
  via.cut();
  await end;
  // It fails at least once before it can succeed.
  await next(socket.io, peer.version === 2 ? 'connect_error' : 'reconnect_error');
  via.mend();
  await next(socket.io, 'reconnect');
  const [me] = await call(socket, 'whoami');
  assert.notEqual(me.id, first);
  assert.equal(me.id, socket.id);
}

async function fiveTimes(peer) {
  const via = await peer.wire();
  const socket = await peer.connect('/', { via, ...peer.returning });
  for (let round = 0; round < 5; round += 1) {
    const end = next(socket, 'disconnect');
    const back = next(socket.io, 'reconnect');
    via.cut();
    await end;
    via.mend();
    await back;
    same(await call(socket, 'ack', round), [round], 'the ack');
  }
}

async function meanwhile(peer) {
  const via = await peer.wire();
  const socket = await peer.connect('/', { via, ...peer.returning });
  const echoes = record(socket, 'echo');
  const end = next(socket, 'disconnect');
  via.cut();
  await end;
  for (let index = 0; index < 20; index += 1) socket.emit('echo', index);
  via.mend();
  inOrder(await echoes.until(20), 20, 'the echoes');
}

async function final(peer) {
  const socket = await peer.connect('/', peer.returning);
  const attempts = record(socket.io, 'reconnect_attempt');
  const closed = next(socket.io.engine, 'close');
  socket.emit('kick', false);
  await closed;
  // Until it asks for it itself.
  socket.connect();
  await next(socket, 'connect');
  await call(socket, 'whoami');
  assert.equal(attempts.got.length, 0);
}
