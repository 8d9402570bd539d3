// Staying connected, on a server with a short ping interval.

import assert from 'node:assert/strict';
import { call, record } from './socketio-kit.mjs';

export const checks = (peer) => [['stays connected over several heartbeats', () => beats(peer)]];

async function beats(peer) {
  const socket = await peer.connect();
  // Who pings changed with version 3 of the clients: before, they did, and the server answered.
  const beat = peer.version === 2 ? record(socket, 'pong') : record(socket.io, 'ping');
  await beat.until(4);
  const [me] = await call(socket, 'whoami');
  assert.equal(me.id, socket.id);
}
