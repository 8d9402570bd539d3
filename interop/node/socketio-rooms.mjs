// Rooms and broadcasts. That somebody hears nothing is known from the next thing he does hear:
// what the server sends to one connection keeps its order.

import assert from 'node:assert/strict';
import { call, record, same, within } from './socketio-kit.mjs';

export const checks = (peer) => [
  ['joins and leaves', () => joins(peer)],
  ['to a room from a socket: all but the sender', () => fromSocket(peer)],
  ['to a room from the namespace: all in it', () => fromNamespace(peer)],
  ['to several rooms: each member once', () => onceEach(peer)],
  ['except a room', () => except(peer)],
  ['to all but the sender', () => broadcast(peer)],
  ['to one socket by its id', () => byId(peer)],
  ['binary to a room', () => binary(peer)],
  ['local, compressed', () => flagged(peer, { local: true, compress: true })],
  ['volatile reaches who can be reached', () => volatile(peer)],
  ['500 broadcasts in order', () => inOrder(peer)],
  ['members of a room are told, moved, disconnected', () => moves(peer)],
  ['a room is left at the end of the connection', () => leftAtEnd(peer)],
];

let rooms = 0;
const fresh = () => `room-${process.pid}-${(rooms += 1)}`;

/** `count` sockets, of which the n-th is in the rooms `memberships[n]`, and what each hears as `news`. */
async function members(peer, ...memberships) {
  const sockets = await peer.connectAll(memberships.length);
  for (const [index, names] of memberships.entries()) await call(sockets[index], 'join', names);
  return { sockets, heard: sockets.map((socket) => record(socket, 'news')) };
}

/** Once this is through, whatever was sent before is, too. */
async function settled(sockets) {
  await Promise.all(sockets.map((socket) => call(socket, 'whoami')));
}

/** Sends by the first socket, and compares who heard how much. */
async function hears(peer, memberships, how, wanted, ...args) {
  const { sockets, heard } = await members(peer, ...memberships);
  await call(sockets[0], 'send', how, 'news', ...args);
  await settled(sockets);
  same(heard.map(({ got }) => got), wanted, 'what each heard');
}

async function joins(peer) {
  const socket = await peer.connect();
  const [one, two] = [fresh(), fresh()];
  await call(socket, 'join', [one, two]);
  await call(socket, 'join', one);
  const [joined] = await call(socket, 'whoami');
  same(joined.rooms, [socket.id, one, two].toSorted(), 'the rooms');
  await call(socket, 'leave', one);
  await call(socket, 'leave', 'never joined');
  const [left] = await call(socket, 'whoami');
  same(left.rooms, [socket.id, two].toSorted(), 'the rooms');
}

async function fromSocket(peer) {
  const room = fresh();
  await hears(peer, [[room], [room], []], { from: 'socket', to: room }, [[], ['x'], []], 'x');
}

async function fromNamespace(peer) {
  const room = fresh();
  await hears(peer, [[room], [room], []], { from: 'namespace', to: room }, [['x'], ['x'], []], 'x');
}

async function onceEach(peer) {
  const [one, two] = [fresh(), fresh()];
  await hears(peer, [[], [one, two], [one], [two]], { from: 'namespace', to: [one, two] }, [[], [1], [1], [1]], 1);
}

async function except(peer) {
  const [room, but] = [fresh(), fresh()];
  await hears(peer, [[room], [room, but], [room]], { from: 'namespace', to: room, except: but }, [[1], [], [1]], 1);
  await hears(peer, [[room], [room, but], []], { from: 'socket', except: but }, [[], [], [1]], 1);
}

async function broadcast(peer) {
  await hears(peer, [[], [], []], { from: 'socket' }, [[], [['a', { b: 1 }]], [['a', { b: 1 }]]], 'a', { b: 1 });
}

async function byId(peer) {
  const { sockets, heard } = await members(peer, [], [], []);
  await call(sockets[0], 'send', { from: 'socket', to: sockets[1].id }, 'news', 'psst');
  await settled(sockets);
  same(heard.map(({ got }) => got), [[], ['psst'], []], 'what each heard');
}

async function binary(peer) {
  const room = fresh();
  const args = ['name', { file: Buffer.from([0, 255]) }, Buffer.alloc(2_000, 7)];
  await hears(peer, [[room], [room], [room]], { from: 'namespace', to: room }, [[args], [args], [args]], ...args);
}

async function flagged(peer, flags) {
  const room = fresh();
  const text = 'x'.repeat(5_000);
  await hears(peer, [[room], [room], []], { from: 'namespace', to: room, ...flags }, [[text], [text], []], text);
}

async function volatile(peer) {
  const { sockets, heard } = await members(peer, [], []);
  let done = false;
  const attempts = (async () => {
    // Between two polls nobody can be reached, and a volatile event is lost: so more than one.
    while (!done) await call(sockets[0], 'send', { from: 'socket', volatile: true }, 'news', 'v');
  })();
  try {
    const got = await heard[1].until(1);
    assert.equal(got[0], 'v');
  } finally {
    done = true;
    await within(attempts, 'the last attempt');
  }
}

async function inOrder(peer) {
  const room = fresh();
  const { sockets, heard } = await members(peer, [room], [room]);
  for (let index = 0; index < 500; index += 1) {
    sockets[0].emit('send', { from: 'namespace', to: room }, 'news', index, () => {});
  }
  const wanted = Array.from({ length: 500 }, (_, index) => index);
  for (const listener of heard) same(await listener.until(500), wanted, 'the news');
}

async function moves(peer) {
  const [from, to] = [fresh(), fresh()];
  const { sockets } = await members(peer, [], [from], [from]);
  const ids = sockets.slice(1).map(({ id }) => id).toSorted();
  same(await call(sockets[0], 'members', from), [ids], 'the members');
  await call(sockets[0], 'move', from, to);
  same(await call(sockets[0], 'members', from), [[]], 'the members of the old room');
  same(await call(sockets[0], 'members', to), [ids], 'the members of the new room');
  const ends = sockets.slice(1).map((socket) => record(socket, 'disconnect'));
  await call(sockets[0], 'clear', to, false);
  for (const end of ends) assert.equal((await end.until(1)).flat()[0], 'io server disconnect');
  same(await call(sockets[0], 'members', to), [[]], 'the members after all were disconnected');
}

async function leftAtEnd(peer) {
  const room = fresh();
  const { sockets } = await members(peer, [room], [room]);
  const { gone, observer } = await peer.watch(sockets[0]);
  const { id } = sockets[0];
  sockets[0].disconnect();
  same(await gone, [id, 'client namespace disconnect', [room]], 'what the server tells');
  same(await call(observer, 'members', room), [[sockets[1].id]], 'the members');
}
