// Events both ways: every kind of JSON, unicode, binary, many of them in order, large ones.

import assert from 'node:assert/strict';
import { call, inOrder, next, record, same } from './socketio-kit.mjs';

const NUMBERS = [0, 1, -1, 127, 128, -129, 65_536, -(2 ** 31), 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), 0.1, -1.5e-9, 2.5e-308];
const TEXTS = ['', 'plain', 'Grüße, Καλημέρα, こんにちは', '👩‍👩‍👧‍👦 🏳️‍🌈', '\u0000 \ufeff \u{10ffff} \u2028\u2029', '"\\\n\t\u001e</script>'];
const DEEP = { list: [[], [{}], [[1, [2, [3]]]]], 'key ü "q"': { '': null, a: { b: { c: [true, false] } } } };
const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const NAMES = ['with space', 'ünï 👋', 'quote " and \\', '1', 'toString', '__proto__x', 'x'.repeat(1_000)];

// What the server accepts of one message, as Node does when not told otherwise.
const LIMIT = 1_000_000;

export const checks = (peer) => [
  ['every kind of JSON value', () => echoes(peer, null, true, false, ...NUMBERS, [], {}, DEEP)],
  ['undefined and a date', () => oddities(peer)],
  ['unicode', () => echoes(peer, ...TEXTS)],
  ['no arguments', () => echoes(peer)],
  ['a hundred arguments', () => echoes(peer, ...Array.from({ length: 100 }, (_, index) => ({ index })))],
  ['event names of every kind', () => names(peer)],
  ['send and message', () => message(peer)],
  ['binary: Buffer, ArrayBuffer, typed array', () => echoes(peer, EVERY_BYTE, EVERY_BYTE.buffer.slice(3, 9), new Uint8Array([9, 8]))],
  ['binary of length 0 and of 100,000', () => echoes(peer, Buffer.alloc(0), Buffer.alloc(100_000, EVERY_BYTE), 'end')],
  ['binary nested in JSON', () => echoes(peer, { a: [1, { b: Buffer.from('b') }], c: Buffer.from('ü') }, [[Buffer.from([0])]])],
  ['binary, ten pieces in one event', () => echoes(peer, ...Array.from({ length: 10 }, (_, index) => Buffer.alloc(index + 1, index)))],
  ['binary is binary to the server', () => weighs(peer)],
  ['JSON that looks like a placeholder stays JSON', () => echoes(peer, { _placeholder: true, num: 0 })],
  ['text and binary keep their order', () => mixed(peer)],
  ['1,000 events from the server in order', () => counts(peer)],
  ['1,000 events to the server in order', () => collects(peer)],
  ['a large event from the server', () => blob(peer)],
  ['a message just under the limit', () => underLimit(peer)],
  ['a message over the limit ends this connection only', () => overLimit(peer)],
  ['a handler for once runs once', () => once(peer)],
  ['a middleware of the socket stops an event', () => forbidden(peer)],
];

async function echoes(peer, ...args) {
  const socket = await peer.connect();
  const echo = next(socket, 'echo');
  socket.emit('echo', ...args);
  same(await echo, args, 'the echo');
}

/** What JSON has no word for: JSON makes null and a string of them, msgpack keeps them. */
async function oddities(peer) {
  const socket = await peer.connect();
  const date = new Date(1_700_000_000_123);
  const echo = next(socket, 'echo');
  socket.emit('echo', undefined, { date });
  const [nothing, dated] = await echo;
  assert.equal(nothing ?? 'nothing', 'nothing');
  same(dated, { date: peer.parser === 'msgpack' ? date : date.toJSON() }, 'the date');
}

async function names(peer) {
  const socket = await peer.connect();
  for (const name of NAMES) {
    const said = next(socket, name);
    socket.emit('say', name, 'hi');
    same(await said, ['hi'], name);
  }
}

async function message(peer) {
  const socket = await peer.connect();
  const back = next(socket, 'message');
  socket.send('one', 2);
  same(await back, ['one', 2], 'the message');
}

async function weighs(peer) {
  const socket = await peer.connect();
  const pieces = [Buffer.alloc(5), { a: [new Uint8Array(7)], b: 'text' }, { c: { d: new ArrayBuffer(11) } }];
  const [weight] = await call(socket, 'weigh', ...pieces);
  same(weight, { buffers: 3, bytes: 23 }, 'what the server saw');
}

async function mixed(peer) {
  const socket = await peer.connect();
  const sent = Array.from({ length: 60 }, (_, index) => (index % 3 ? index : Buffer.alloc(index * 50, index)));
  const echo = record(socket, 'echo');
  for (const value of sent) socket.emit('echo', value);
  same(await echo.until(sent.length), sent, 'the echoes');
}

async function counts(peer) {
  const socket = await peer.connect();
  const numbers = record(socket, 'number');
  socket.emit('count', 1_000);
  inOrder(await numbers.until(1_000), 1_000, 'the numbers');
}

async function collects(peer) {
  const socket = await peer.connect();
  for (let index = 0; index < 1_000; index += 1) socket.emit('collect', index);
  const [collected] = await call(socket, 'collected');
  inOrder(collected, 1_000, 'what the server collected');
}

async function blob(peer) {
  const socket = await peer.connect();
  const wait = next(socket, 'blob');
  // The limit is for what comes in: the server may send more.
  socket.emit('blob', 2 * LIMIT);
  const [got] = await wait;
  assert(Buffer.alloc(2 * LIMIT, 'switchboard').equals(Buffer.from(got)), 'the bytes differ');
}

async function underLimit(peer) {
  const socket = await peer.connect();
  // Room for the event's name and, on polling, for the base64 of what is binary.
  const text = peer.parser === 'msgpack' ? LIMIT * 0.7 : LIMIT - 100;
  for (const value of ['x'.repeat(text), Buffer.alloc(LIMIT * 0.7, EVERY_BYTE)]) {
    const echo = next(socket, 'echo');
    socket.emit('echo', value);
    const [got] = await echo;
    assert(typeof value === 'string' ? got === value : value.equals(Buffer.from(got)), 'it came back otherwise');
  }
}

async function overLimit(peer) {
  const [socket, other] = await peer.connectAll(2);
  const end = next(socket, 'disconnect');
  socket.emit('echo', 'x'.repeat(LIMIT + 1));
  const [reason] = await end;
  assert.match(reason, /^transport (close|error)$/);
  const [me] = await call(other, 'whoami');
  assert.equal(me.id, other.id);
}

async function once(peer) {
  const socket = await peer.connect();
  const answers = record(socket, 'once');
  socket.emit('once');
  socket.emit('once');
  await call(socket, 'whoami');
  assert.equal(answers.got.length, 1);
}

async function forbidden(peer) {
  const socket = await peer.connect();
  const refused = next(socket, 'refused');
  socket.emit('forbidden', 1);
  same(await refused, ['forbidden event', { event: 'forbidden' }], 'the error');
  await call(socket, 'whoami');
}
