// The Engine.IO protocol, version 4, on the raw wire: what its public suite asks for and some more.
// Usage: engineio-wire.mjs CALM_ORIGIN QUICK_ORIGIN BEATING_ORIGIN
// All are `suite_server --eio`; the quick one has its own timings (300 and 200 ms), in which a busy
// machine cannot have a conversation, the calm one has long ones, and the beating one pings as soon
// as the quick one and waits as long as the calm one.
// Prints one JSON line per check and `end of checks` after the last.

import assert from 'node:assert/strict';
import { runChecks, same, within } from './socketio-kit.mjs';
import { Engine, KEYS } from './socketio-raw.mjs';

const [calm, quick, beating] = process.argv.slice(2).map((origin) => new Engine(origin, '/engine.io/'));
const SEPARATOR = '\x1e';

function isHandshake(handshake, upgrades) {
  same(Object.keys(handshake).toSorted(), KEYS, 'the keys');
  assert.match(handshake.sid, /^[\w-]{20}$/);
  const { pingInterval, pingTimeout, maxPayload } = handshake;
  same([pingInterval, pingTimeout, maxPayload], [300, 200, 1_000_000], 'the timings and the limit');
  same(handshake.upgrades, upgrades, 'the upgrades');
}

async function opensByPolling() {
  const session = await quick.poll();
  isHandshake(session.handshake, ['websocket']);
}

async function opensByWebSocket() {
  const socket = await quick.socket();
  isHandshake(socket.handshake, []);
}

async function refuses(...queries) {
  for (const query of queries) assert.equal(await calm.status(query), 400, query);
}

async function refusesMethods() {
  for (const method of ['POST', 'PUT', 'DELETE']) {
    assert.equal(await calm.status('EIO=4&transport=polling', { method }), 400, method);
  }
}

async function refusesWebSockets(...queries) {
  for (const query of queries) {
    const socket = calm.webSocket(query);
    assert.equal(await within(socket.refused, 'the refusal'), 400, query);
  }
}

/** Node finds out only after it has accepted the WebSocket: refused or closed, but never used. */
async function refusesVersions(...queries) {
  for (const query of queries) {
    const socket = calm.webSocket(query);
    await within(Promise.race([socket.refused, socket.closed]), 'the refusal');
    assert.equal(socket.queue.length, 0, 'it was opened');
  }
}

async function anyOrigin() {
  const response = await calm.request('EIO=4&transport=polling', { headers: { origin: 'http://any.example' } });
  assert.equal(response.headers.get('access-control-allow-origin'), '*');
}

/** What is posted comes back by polls, as many as it takes. */
async function echoesByPolling(...packets) {
  const session = await calm.poll();
  await session.write(packets.join(SEPARATOR));
  const got = [];
  while (got.length < packets.length) got.push(...(await session.read()).split(SEPARATOR));
  same(got, packets, 'the packets');
}

async function waitingPoll() {
  const session = await calm.poll();
  const poll = session.read();
  await session.write('4late');
  assert.equal(await poll, '4late');
}

async function badPacketByPolling() {
  const session = await calm.poll();
  const response = await session.post('abc');
  same([response.status, await response.text()], [200, 'ok'], 'the answer');
  await session.isGone();
}

async function pollsAtOnce() {
  const session = await calm.poll();
  const answers = await Promise.all([session.get(), session.get()]);
  answers.sort((left, right) => left.status - right.status);
  same(answers.map(({ status }) => status), [200, 400], 'the statuses');
  assert.equal(await answers[0].text(), '1');
  await session.isGone();
}

async function echoesByWebSocket(...frames) {
  const socket = await calm.socket();
  socket.send(...frames);
  for (const frame of frames) same(await socket.next(), frame, 'the frame');
}

async function badPacketByWebSocket(packet) {
  const socket = await calm.socket();
  socket.send(packet);
  await socket.end();
}

async function heartbeatByPolling() {
  const session = await beating.poll();
  for (let beat = 0; beat < 3; beat += 1) {
    assert.equal(await session.read(), '2');
    await session.write('3');
  }
}

async function heartbeatByWebSocket() {
  const socket = await beating.socket({ heartbeat: false });
  for (let beat = 0; beat < 3; beat += 1) {
    assert.equal(await socket.next(), '2');
    socket.send('3');
  }
}

async function silenceByPolling() {
  const session = await quick.poll();
  // The first poll brings the ping that nobody answers, and the next what comes of that: but the
  // first one too, if a busy machine sends it when all is over.
  let answer = await session.get();
  let body = await answer.text();
  if (answer.status === 200 && body === '2') {
    answer = await session.get();
    body = await answer.text();
  }
  if (answer.status === 200) assert.equal(body, '1');
  await session.isGone();
}

async function silenceByWebSocket() {
  const socket = await quick.socket({ heartbeat: false });
  assert.equal(await socket.next(), '2');
  await socket.end();
}

async function clientPings() {
  const socket = await calm.socket();
  socket.send('2');
  await socket.end();
}

async function closesByPolling() {
  const session = await calm.poll();
  const poll = session.get();
  await session.write('1');
  // Whichever came first: a poll that waits is let go, and a later one is of no session.
  const answer = await poll;
  if (answer.status === 200) assert.equal(await answer.text(), '6');
  else same([answer.status, (await answer.json()).code], [400, 1], 'status and code');
  await session.isGone();
}

async function closesByWebSocket() {
  const socket = await calm.socket();
  socket.send('1');
  await socket.end();
}

async function probed(session) {
  const socket = await session.webSocket();
  socket.send('2probe');
  assert.equal(await socket.next(), '3probe');
  return socket;
}

async function upgrades() {
  const session = await calm.poll();
  const socket = await probed(session);
  // The poll that waits is let go, without anything to tell.
  assert.equal(await session.read(), '6');
  socket.send('5', '4hello');
  assert.equal(await socket.next(), '4hello');
}

async function trafficDuringUpgrade() {
  const session = await calm.poll();
  const socket = await probed(session);
  await session.write('4by polling');
  // Noops come meanwhile, each 100 ms; what was sent comes by polling too, as the upgrade has not ended.
  let got = [];
  for (let polls = 0; polls < 100 && got.length === 0; polls += 1) {
    got = (await session.read()).split(SEPARATOR).filter((packet) => packet !== '6');
  }
  same(got, ['4by polling'], 'the poll');
  socket.send('5', '4by WebSocket');
  assert.equal(await socket.next(), '4by WebSocket');
}

async function nothingIsLost() {
  const session = await calm.poll();
  const socket = await probed(session);
  await session.write('4kept');
  socket.send('5');
  assert.equal(await socket.next(), '4kept');
}

async function upgradedNow() {
  const session = await calm.poll();
  const socket = await probed(session);
  socket.send('5', '4hello');
  assert.equal(await socket.next(), '4hello');
  return { session, socket };
}

async function pollAfterUpgrade() {
  const { session, socket } = await upgradedNow();
  assert.equal((await session.get()).status, 400);
  socket.send('4still here');
  assert.equal(await socket.next(), '4still here');
}

async function socketAfterUpgrade() {
  const { session, socket } = await upgradedNow();
  const second = await session.webSocket();
  await second.end();
  socket.send('4still here');
  assert.equal(await socket.next(), '4still here');
}

async function badProbe() {
  const session = await calm.poll();
  const socket = await session.webSocket();
  socket.send('4not a probe');
  await socket.end();
  await session.write('4still here');
  assert.equal(await session.read(), '4still here');
}

async function twoProbes() {
  const session = await calm.poll();
  const first = await probed(session);
  const second = await session.webSocket();
  await second.end();
  first.send('5', '4hello');
  assert.equal(await first.next(), '4hello');
}

await runChecks([
  ['opens by polling', opensByPolling],
  ['opens by WebSocket', opensByWebSocket],
  ['refuses another version', () => refuses('transport=polling', 'EIO=abc&transport=polling', 'EIO=3&transport=polling')],
  ['refuses another transport', () => refuses('EIO=4', 'EIO=4&transport=abc')],
  ['refuses another method', refusesMethods],
  ['refuses a WebSocket with another transport', () => refusesWebSockets('EIO=4', 'EIO=4&transport=abc')],
  ['refuses a WebSocket with another version', () => refusesVersions('transport=websocket', 'EIO=abc&transport=websocket')],
  ['any origin may read', anyOrigin],
  ['polling: one packet', () => echoesByPolling('4hello')],
  ['polling: several packets', () => echoesByPolling('4one', '4', '4drei ü 👋')],
  ['polling: text and binary', () => echoesByPolling('4hello', 'bAQIDBA==', 'b', '4end')],
  ['polling: a poll that waits', waitingPoll],
  ['polling: an invalid packet ends the session', badPacketByPolling],
  ['polling: two polls at once end the session', pollsAtOnce],
  ['WebSocket: text', () => echoesByWebSocket('4hello', '4', '4ü 👋')],
  ['WebSocket: binary', () => echoesByWebSocket(Buffer.from([1, 2, 3, 4]), Buffer.alloc(0), '4text', Buffer.alloc(70_000, 7))],
  ['WebSocket: an unknown packet ends the session', () => badPacketByWebSocket('abc')],
  ['WebSocket: an empty packet ends the session', () => badPacketByWebSocket('')],
  ['polling: heartbeat', heartbeatByPolling],
  ['WebSocket: heartbeat', heartbeatByWebSocket],
  ['polling: a ping that is not answered ends the session', silenceByPolling],
  ['WebSocket: a ping that is not answered ends the session', silenceByWebSocket],
  ['a ping by the client ends the session', clientPings],
  ['polling: the client closes', closesByPolling],
  // Node overlooks it, and only ends such a session when it has been silent for too long.
  ['WebSocket: the client closes', closesByWebSocket, { beyond: true }],
  ['upgrades', upgrades],
  ['polling goes on during an upgrade', trafficDuringUpgrade],
  ['what polling left behind comes by WebSocket', nothingIsLost],
  ['no polls after an upgrade', pollAfterUpgrade],
  ['no second WebSocket after an upgrade', socketAfterUpgrade],
  ['no second WebSocket during an upgrade', twoProbes],
  ['a bad probe ends the probe only', badProbe],
]);
