// Acknowledgements in both directions: values, binary, from many, and none in time.

import assert from 'node:assert/strict';
import { call, next, record, same } from './socketio-kit.mjs';

const ARGS = [1, 'zwei', { 3: [true, null] }, []];
const BINARY = [Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0), 'text'] }];

export const checks = (peer) => [
  ['the server acknowledges', () => acks(peer, ...ARGS)],
  ['the server acknowledges with nothing', () => acks(peer)],
  ['the server acknowledges with binary', () => acks(peer, ...BINARY)],
  ['each of 200 acks finds its call', () => many(peer)],
  ['the client acknowledges', () => asks(peer, ...ARGS)],
  ['the client acknowledges with nothing', () => asks(peer)],
  ['the client acknowledges with binary', () => asks(peer, ...BINARY)],
  ['a client that answers in time', () => inTime(peer)],
  ['a client that does not answer in time', () => late(peer)],
  ['a room that answers', () => roomAnswers(peer)],
  ['a room of which one does not answer in time', () => roomIsLate(peer)],
  ...(peer.version === 4
    ? [
        ['emitWithAck', () => emitWithAck(peer)],
        ['timeout: an answer in time', () => timeoutMet(peer)],
        ['timeout: no answer', () => timeoutMissed(peer)],
        ['an ack that waits fails when the connection ends', () => ackLost(peer)],
      ]
    : []),
];

async function acks(peer, ...args) {
  const socket = await peer.connect();
  same(await call(socket, 'ack', ...args), args, 'the ack');
}

async function many(peer) {
  const socket = await peer.connect();
  const calls = Array.from({ length: 200 }, (_, index) => call(socket, 'ack', index));
  same(await Promise.all(calls), calls.map((_, index) => [index]), 'the acks');
}

/** The server asks with `args`, the client answers with them reversed, the server tells what it was answered. */
async function asks(peer, ...args) {
  const socket = await peer.connect();
  let asked;
  socket.on('question', (...question) => {
    const answer = question.pop();
    asked = question;
    answer(...args.toReversed());
  });
  const answered = next(socket, 'answered');
  socket.emit('ask', ...args);
  same(await answered, args.toReversed(), 'the answer');
  same(asked, args, 'the question');
}

async function inTime(peer) {
  const socket = await peer.connect();
  socket.on('question', (question, answer) => answer(question, 'answer'));
  const answered = next(socket, 'answered');
  socket.emit('ask-within', 60_000, 'question');
  same(await answered, ['question', 'answer'], 'the answer');
}

async function late(peer) {
  const socket = await peer.connect();
  let answer;
  socket.on('question', (_, reply) => {
    answer = reply;
  });
  const outcomes = record(socket, 'answered');
  const unanswered = next(socket, 'unanswered');
  socket.emit('ask-within', 50, 'question');
  await unanswered;
  // An answer that comes later is of no use, and of no harm.
  answer('too late');
  await call(socket, 'whoami');
  same(outcomes.got, [], 'answers after the time was up');
}

async function roomAnswers(peer) {
  const sockets = await peer.connectAll(3);
  const room = `answers-${sockets[0].id}`;
  for (const [index, socket] of sockets.entries()) {
    socket.on('question', (question, answer) => answer(index, Buffer.from([index])));
    await call(socket, 'join', room);
  }
  const [{ late: isLate, answers }] = await call(sockets[0], 'ask-room', room, 60_000, 'who');
  assert.equal(isLate, false);
  // Of each answer the first value counts, when many are asked.
  same(answers.toSorted(), [0, 1, 2], 'the answers');
}

async function roomIsLate(peer) {
  const sockets = await peer.connectAll(2);
  const room = `late-${sockets[0].id}`;
  for (const socket of sockets) await call(socket, 'join', room);
  sockets[0].on('question', (question, answer) => answer('here'));
  // `sockets[1]` is silent, and the one who answers does so well before the five seconds have passed.
  const [{ late: isLate, answers }] = await call(sockets[0], 'ask-room', room, 5_000, 'who');
  assert.equal(isLate, true);
  same(answers, ['here'], 'the answers');
}

async function emitWithAck(peer) {
  const socket = await peer.connect();
  assert.equal(await patiently(socket).emitWithAck('ack', 'one', 'two'), 'one');
}

/** A minute, which is as good as no time limit and yet not forever. */
const patiently = (socket) => socket.timeout(60_000);

async function timeoutMet(peer) {
  const socket = await peer.connect();
  const answer = new Promise((resolve) => patiently(socket).emit('ack', 'x', (...args) => resolve(args)));
  same(await answer, [null, 'x'], 'error and answer');
}

async function timeoutMissed(peer) {
  const socket = await peer.connect();
  const [error] = await new Promise((resolve) => socket.timeout(20).emit('silence', (...args) => resolve(args)));
  assert.equal(error.message, 'operation has timed out');
  await call(socket, 'whoami');
}

async function ackLost(peer) {
  const socket = await peer.connect();
  const lost = socket.emitWithAck('silence');
  socket.emit('kick', true);
  await assert.rejects(lost, /disconnected/);
}
