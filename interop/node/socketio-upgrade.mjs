// While a connection moves from polling to WebSocket: nothing is lost, doubled or out of order.
// The wire holds the WebSocket back, so that what is meant to happen before and during does.

import assert from 'node:assert/strict';
import { call, inOrder, next, record, same } from './socketio-kit.mjs';
import { upgraded } from './socketio-peer.mjs';

export const checks = (peer) => [
  ['1,000 events from the server during the upgrade', () => fromServer(peer)],
  ['1,000 events to the server during the upgrade', () => toServer(peer)],
  ['a flood in both directions, across the upgrade', () => flood(peer)],
  ['acks both ways across the upgrade', () => acks(peer)],
  ['polling goes on while the upgrade is held up', () => heldUp(peer)],
  ['an upgrade that never completes does no harm', () => neverCompletes(peer)],
  ['binary across the upgrade', () => binary(peer)],
];

/** A connection on polling whose upgrade waits for `via.release()`. */
async function held(peer) {
  const via = await peer.wire();
  via.hold();
  const socket = await peer.connect('/', { via });
  assert.equal(socket.io.engine.transport.name, 'polling');
  return { via, socket };
}

async function fromServer(peer) {
  const { via, socket } = await held(peer);
  const numbers = record(socket, 'number');
  socket.emit('count', 1_000);
  via.release();
  inOrder(await numbers.until(1_000), 1_000, 'the numbers');
  await upgraded(socket);
}

async function toServer(peer) {
  const { via, socket } = await held(peer);
  const done = upgraded(socket);
  for (let index = 0; index < 1_000; index += 1) {
    if (index === 300) via.release();
    socket.emit('collect', index);
    // In turns of the event loop, so that they leave over both transports.
    if (index % 10 === 0) await new Promise(setImmediate);
  }
  const [collected] = await call(socket, 'collected');
  inOrder(collected, 1_000, 'what the server collected');
  await done;
}

/** Sends until the upgrade has been complete for a while, never fewer than 2,000. */
async function flood(peer) {
  const { via, socket } = await held(peer);
  let after = 0;
  let sent = 0;
  const echoes = record(socket, 'echo');
  const numbers = record(socket, 'number');
  const padding = 'p'.repeat(200);
  socket.emit('count', 2_000);
  while (sent < 2_000 || after < 500) {
    if (sent === 500) via.release();
    assert(sent < 100_000, 'the upgrade does not end');
    for (let burst = 0; burst < 25; burst += 1, sent += 1) socket.emit('echo', { index: sent, padding });
    if (socket.io.engine.transport.name === 'websocket') after += 25;
    // Not further ahead of the server than this, or what is under way grows without end.
    await echoes.until(sent - 250);
  }
  inOrder((await echoes.until(sent)).map(({ index }) => index), sent, 'the echoes');
  inOrder(await numbers.until(2_000), 2_000, 'the numbers');
}

async function acks(peer) {
  const { via, socket } = await held(peer);
  const done = upgraded(socket);
  const asked = record(socket, 'question');
  socket.on('question', (index, answer) => answer(index));
  const answered = record(socket, 'answered');
  const calls = [];
  for (let index = 0; index < 300; index += 1) {
    if (index === 100) via.release();
    calls.push(call(socket, 'ack', index));
    socket.emit('ask', index);
    if (index % 10 === 0) await new Promise(setImmediate);
  }
  same(await Promise.all(calls), calls.map((_, index) => [index]), 'the acks');
  inOrder(await answered.until(300), 300, 'the answers');
  assert.equal(asked.got.length, 300);
  await done;
}

async function heldUp(peer) {
  const { via, socket } = await held(peer);
  for (let index = 0; index < 20; index += 1) same(await call(socket, 'ack', index), [index], 'the ack');
  assert.equal(socket.io.engine.transport.name, 'polling');
  via.release();
  await upgraded(socket);
  same(await call(socket, 'ack', 'after'), ['after'], 'the ack');
}

async function neverCompletes(peer) {
  const { via, socket } = await held(peer);
  // The WebSocket is gone before its first byte went out; polling does not care.
  const failed = next(socket.io.engine, 'upgradeError');
  await via.heldBack();
  via.drop();
  await failed;
  for (let index = 0; index < 20; index += 1) same(await call(socket, 'ack', index), [index], 'the ack');
  assert.equal(socket.io.engine.transport.name, 'polling');
}

async function binary(peer) {
  const { via, socket } = await held(peer);
  const done = upgraded(socket);
  const sent = Array.from({ length: 100 }, (_, index) => (index % 2 ? { index } : Buffer.alloc(index * 20, index)));
  const echoes = record(socket, 'echo');
  for (const [index, value] of sent.entries()) {
    if (index === 30) via.release();
    socket.emit('echo', value);
    if (index % 5 === 0) await new Promise(setImmediate);
  }
  same(await echoes.until(sent.length), sent, 'the echoes');
  await done;
}
