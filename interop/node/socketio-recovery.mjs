// Connection state recovery, on a server that has it: cut by the network, the client comes back as
// who it was and gets what it missed. Events have their offset behind their last argument here.

import assert from 'node:assert/strict';
import { call, next, record, same } from './socketio-kit.mjs';
import { upgraded } from './socketio-peer.mjs';

export const checks = (peer) => [
  ['a first connection is not recovered', () => first(peer)],
  ['comes back as who it was, with rooms and data', () => comesBack(peer)],
  ['what was missed comes in order, once', () => missed(peer)],
  ['missed binary', () => missedBinary(peer)],
  ['1,000 missed events in order', () => missedMany(peer)],
  ['volatile events are not kept', () => volatile(peer)],
  ['what others got is not sent', () => notMine(peer)],
  ['five times in a row', () => fiveTimes(peer)],
  ['two namespaces on one connection', () => twoNamespaces(peer)],
  ['middlewares are skipped', () => skipsMiddleware(peer)],
  ['a disconnect by the client is not recovered', () => clientEnds(peer)],
  ['a disconnect by the server is not recovered', () => serverEnds(peer)],
  ['an unknown session is a new one', () => unknownSession(peer, { _pid: 'nobody-has-this-1' })],
  ['an unknown offset is a new session', () => unknownSession(peer, { _lastOffset: 'nothing-was-here' })],
  ['a connection that never got an event', () => quiet(peer), { beyond: true }],
  ['a connection that never got an event, five times in a row', () => quiet(peer, 5), { beyond: true }],
];

/** A client behind a wire, and an observer who is told when the server has noticed a cut. */
async function visitor(peer, { namespace = '/', event = true, ...options } = {}) {
  const via = await peer.wire();
  const socket = await peer.connect(namespace, { via, ...peer.returning, ...options });
  if (peer.transport === 'upgrade') await upgraded(socket);
  if (event) await offset(socket);
  return { socket, via, id: socket.id };
}

/** The client knows an offset once it has got any event. */
async function offset(socket) {
  const echo = next(socket, 'echo');
  socket.emit('echo', 'first');
  await echo;
}

/** Cuts the wire, and does what is to be done `meanwhile`, when both sides know of the cut. */
async function interrupt(peer, { socket, via }, meanwhile = async () => {}) {
  const { gone, observer } = await peer.watch(socket, socket.nsp);
  const end = next(socket, 'disconnect');
  await via.noticed();
  via.cut();
  await end;
  await gone;
  await meanwhile(observer);
  // Attempts that fail, before the wire is mended, are no finding.
  const back = record(socket, 'connect').until(1);
  via.mend();
  await back;
}

async function first(peer) {
  const { socket } = await visitor(peer);
  assert.equal(socket.recovered, false);
  const [me] = await call(socket, 'whoami');
  assert.equal(me.recovered, false);
}

async function isWhoItWas(socket, id) {
  assert.equal(socket.recovered, true, 'the client was not recovered');
  const [me] = await call(socket, 'whoami');
  same([socket.id, me.id, me.recovered], [id, id, true], 'id, id known to the server, recovered');
  return me;
}

async function comesBack(peer) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  await call(socket, 'join', ['one', 'two']);
  await call(socket, 'set', { name: 'Ada', list: [1] });
  await interrupt(peer, guest);
  const me = await isWhoItWas(socket, id);
  same(me.rooms, [id, 'one', 'two'].toSorted(), 'the rooms');
  same(me.value, { name: 'Ada', list: [1] }, 'the data');
}

/** The first argument of each `news`. */
function news(socket) {
  const got = [];
  socket.on('news', (value) => got.push(value));
  return got;
}

async function missed(peer) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  const room = `missed-${id}`;
  await call(socket, 'join', room);
  const got = news(socket);
  await interrupt(peer, guest, async (observer) => {
    await call(observer, 'send', { from: 'namespace', to: room }, 'news', 'to the room');
    await call(observer, 'send', { from: 'socket', to: id }, 'news', 'to the socket');
    await call(observer, 'send', { from: 'namespace' }, 'news', 'to all');
    await call(observer, 'send', { from: 'socket' }, 'news', 'to all but one');
  });
  await isWhoItWas(socket, id);
  await call(socket, 'send', { from: 'namespace', to: room }, 'news', 'afterwards');
  await call(socket, 'whoami');
  same(got, ['to the room', 'to the socket', 'to all', 'to all but one', 'afterwards'], 'the news');
}

async function missedBinary(peer) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  const got = news(socket);
  const file = { file: Buffer.from([1, 2, 255]), more: [Buffer.alloc(1_000, 3)] };
  await interrupt(peer, guest, (observer) => call(observer, 'send', { from: 'socket', to: id }, 'news', file));
  await isWhoItWas(socket, id);
  same(got, [file], 'the news');
}

async function missedMany(peer) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  const got = news(socket);
  await interrupt(peer, guest, async (observer) => {
    const sent = Array.from({ length: 1_000 }, (_, index) =>
      call(observer, 'send', { from: 'socket', to: id }, 'news', index),
    );
    await Promise.all(sent);
  });
  await isWhoItWas(socket, id);
  same(got, Array.from({ length: 1_000 }, (_, index) => index), 'the news');
}

async function volatile(peer) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  const got = news(socket);
  await interrupt(peer, guest, async (observer) => {
    await call(observer, 'send', { from: 'socket', to: id, volatile: true }, 'news', 1);
    await call(observer, 'send', { from: 'socket', to: id }, 'news', 2);
  });
  await isWhoItWas(socket, id);
  same(got, [2], 'the news');
}

async function notMine(peer) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  await call(socket, 'join', `hush-${id}`);
  const got = news(socket);
  await interrupt(peer, guest, async (observer) => {
    await call(observer, 'send', { from: 'namespace', to: `other-${id}` }, 'news', 'to another room');
    await call(observer, 'send', { from: 'namespace', except: `hush-${id}` }, 'news', 'to all but my room');
    await call(observer, 'send', { from: 'namespace', to: [id, `other-${id}`] }, 'news', 'to both');
  });
  await isWhoItWas(socket, id);
  same(got, ['to both'], 'the news');
}

async function fiveTimes(peer) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  const got = news(socket);
  for (let round = 0; round < 5; round += 1) {
    await interrupt(peer, guest, (observer) => call(observer, 'send', { from: 'socket', to: id }, 'news', round));
    await isWhoItWas(socket, id);
    if (peer.transport === 'upgrade') await upgraded(socket);
  }
  same(got, [0, 1, 2, 3, 4], 'the news');
}

async function twoNamespaces(peer) {
  const guest = await visitor(peer);
  const { socket: main, id } = guest;
  const custom = main.io.socket('/custom');
  await next(custom, 'connect');
  await offset(custom);
  const customId = custom.id;
  const [watched, back] = [await peer.watch(custom, '/custom'), record(custom, 'connect')];
  const got = news(custom);
  await interrupt(peer, guest, async () => {
    await watched.gone;
    await call(watched.observer, 'send', { from: 'socket', to: customId }, 'news', 'custom');
  });
  await back.until(1);
  await isWhoItWas(main, id);
  await isWhoItWas(custom, customId);
  same(got, ['custom'], 'the news');
}

async function skipsMiddleware(peer) {
  const guest = await visitor(peer, { auth: {} });
  // The middleware would refuse this, were it asked.
  guest.socket.auth = { refuse: 'plain' };
  await interrupt(peer, guest);
  await isWhoItWas(guest.socket, guest.id);
}

async function isNew(socket, id) {
  const [me] = await call(socket, 'whoami');
  same([socket.recovered, me.recovered, me.value], [false, false, null], 'recovered, data');
  assert.notEqual(socket.id, id);
  same(me.rooms, [socket.id], 'the rooms');
}

async function clientEnds(peer) {
  const { socket, id } = await visitor(peer);
  const { gone } = await peer.watch(socket);
  await call(socket, 'join', 'one');
  await call(socket, 'set', 'old');
  socket.disconnect();
  await gone;
  socket.connect();
  await next(socket, 'connect');
  await isNew(socket, id);
}

async function serverEnds(peer) {
  const { socket, id } = await visitor(peer);
  await call(socket, 'join', 'one');
  await call(socket, 'set', 'old');
  const end = next(socket, 'disconnect');
  socket.emit('kick', false);
  await end;
  socket.connect();
  await next(socket, 'connect');
  await isNew(socket, id);
}

/** Comes back with one of its two keys replaced: no recovery, and no harm done either. */
async function unknownSession(peer, keys) {
  const guest = await visitor(peer);
  const { socket, id } = guest;
  await call(socket, 'join', 'one');
  await call(socket, 'set', 'old');
  const got = news(socket);
  await interrupt(peer, guest, async (observer) => {
    Object.assign(socket, keys);
    await call(observer, 'send', { from: 'socket', to: id }, 'news', 'missed');
  });
  await isNew(socket, id);
  same(got, [], 'the news');
}

async function quiet(peer, rounds = 1) {
  const guest = await visitor(peer, { event: false });
  for (let round = 0; round < rounds; round += 1) {
    await interrupt(peer, guest);
    // An ack is no event: it brings no offset.
    await call(guest.socket, 'whoami');
    assert.equal(guest.socket.recovered, true, `not recovered in round ${round}`);
    assert.equal(guest.socket.id, guest.id);
    if (peer.transport === 'upgrade') await upgraded(guest.socket);
  }
}
