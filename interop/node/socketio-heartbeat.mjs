// Staying connected, on a server with a short ping interval.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { call, record } from './socketio-kit.mjs';

export const checks = (peer) => [['stays connected over several heartbeats', () => staysConnected(peer)]];

async function staysConnected(peer) {
  const socket = await peer.connect();
  // Who pings changed with version 3 of the clients: before, they did, and the server answered.
  const kind = peer.version === 2 ? 'pong' : 'ping';
  const beats = new EventEmitter();
  const beat = record(beats, 'beat');
  socket.io.engine.on('packet', ({ type }) => type === kind && beats.emit('beat'));
  await beat.until(4);
  const [me] = await call(socket, 'whoami');
  assert.equal(me.id, socket.id);
}
