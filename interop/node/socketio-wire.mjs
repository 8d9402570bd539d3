// The Socket.IO protocol, version 5, on the raw wire: what its public suite asks for and some more.
// Usage: socketio-wire.mjs CALM_ORIGIN QUICK_ORIGIN BEATING_ORIGIN
// All are `suite_server`; the quick one has its own timings, the calm one has long ones, and the
// beating one pings as soon as the quick one and waits as long as the calm one.
// Prints one JSON line per check and `end of checks` after the last.

import assert from 'node:assert/strict';
import { runChecks, same } from './socketio-kit.mjs';
import { Engine, KEYS } from './socketio-raw.mjs';

const [calm, quick, beating] = process.argv.slice(2).map((origin) => new Engine(origin, '/socket.io/'));
const TWO = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
const [ONE, OTHER] = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];

async function opens() {
  for (const { handshake } of [await quick.poll(), await quick.socket()]) {
    same(Object.keys(handshake).toSorted(), KEYS, 'the keys');
    const { pingInterval, pingTimeout, maxPayload } = handshake;
    same([pingInterval, pingTimeout, maxPayload], [300, 200, 1_000_000], 'the timings and the limit');
  }
}

/** Sends CONNECT and reads the reply and the greeting, which has `auth`. */
async function enter(socket, namespace, payload = '') {
  const prefix = namespace === '/' ? '' : `${namespace},`;
  socket.send(`40${prefix}${payload}`);
  const reply = await socket.next();
  assert(reply.startsWith(`40${prefix}{`), `the reply is ${reply}`);
  const connected = JSON.parse(reply.slice(2 + prefix.length));
  same(Object.keys(connected), ['sid'], 'the keys of CONNECT');
  assert.match(connected.sid, /^[\w-]{20}$/);
  assert.notEqual(connected.sid, socket.handshake.sid);
  assert.equal(await socket.next(), `42${prefix}["auth",${payload || '{}'}]`);
  return connected.sid;
}

async function connected(engine = calm) {
  const socket = await engine.socket();
  await enter(socket, '/');
  return socket;
}

async function enters(namespace, payload) {
  await enter(await calm.socket(), namespace, payload);
}

async function entersByPolling() {
  const session = await calm.poll();
  await session.write('40\x1e40/custom,{"token":"x"}');
  const got = [];
  while (got.length < 4) got.push(...(await session.read()).split('\x1e'));
  const events = got.filter((packet) => packet.startsWith('42'));
  same(events, ['42["auth",{}]', '42/custom,["auth",{"token":"x"}]'], 'the greetings');
}

async function entersWithoutComma() {
  const socket = await calm.socket();
  socket.send('40/custom');
  assert.match(await socket.next(), /^40\/custom,\{"sid":"[^"]+"\}$/);
}

async function unknownNamespace() {
  const socket = await calm.socket();
  socket.send('40/random');
  assert.equal(await socket.next(), '44/random,{"message":"Invalid namespace"}');
  // And another try is welcome.
  await enter(socket, '/');
}

/** Sends what a server must close over, on a connection that has entered `/` or has not. */
async function closesOver(packets, { first = true } = {}) {
  const socket = first ? await connected() : await calm.socket();
  socket.send(...packets);
  await socket.end();
}

async function closesWithoutConnect() {
  const socket = await quick.socket();
  await socket.end();
}

async function leavesMain() {
  const socket = await connected(beating);
  socket.heartbeat = false;
  socket.send('41');
  // Nothing answers it; the connection lives on, and its heartbeat is what comes next.
  assert.equal(await socket.next(), '2');
}

async function leavesCustom() {
  const socket = await connected();
  await enter(socket, '/custom');
  socket.send('41/custom', '42["message","to main"]');
  assert.equal(await socket.next(), '42["message-back","to main"]');
}

async function answers(sent, wanted) {
  const socket = await connected();
  socket.send(...sent);
  for (const frame of wanted) same(await socket.next(), frame, 'the frame');
}

async function strangerIsIgnored() {
  const socket = await connected();
  socket.send('42["nobody listens to this"]', '437["no such ack"]', '42["message"]');
  assert.equal(await socket.next(), '42["message-back"]');
}

async function binaryByPolling() {
  const session = await calm.poll();
  await session.write('40');
  const got = [];
  while (got.length < 2) got.push(...(await session.read()).split('\x1e'));
  await session.write(`452-["message",${TWO}]\x1eb${ONE.toString('base64')}\x1eb${OTHER.toString('base64')}`);
  const back = [];
  while (back.length < 3) back.push(...(await session.read()).split('\x1e'));
  same(back, [`452-["message-back",${TWO}]`, `b${ONE.toString('base64')}`, `b${OTHER.toString('base64')}`], 'the packets');
}

const eleven = Array.from({ length: 11 }, (_, num) => `{"_placeholder":true,"num":${num}}`).join();

await runChecks([
  ['opens with the five keys', opens],
  ['CONNECT to the main namespace', () => enters('/')],
  ['CONNECT to the main namespace with auth', () => enters('/', '{"token":"123"}')],
  ['CONNECT to another namespace', () => enters('/custom')],
  ['CONNECT to another namespace with auth', () => enters('/custom', '{"token":"abc"}')],
  ['CONNECT without a comma', entersWithoutComma],
  ['CONNECT by polling, twice in one payload', entersByPolling],
  ['CONNECT to an unknown namespace', unknownNamespace],
  ['no CONNECT in time', closesWithoutConnect],
  ['DISCONNECT from the main namespace', leavesMain],
  ['DISCONNECT from another namespace', leavesCustom],
  ['an event', () => answers(['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]'])],
  ['an event with white space', () => answers(['42[ "message" , 1 ]'], ['42["message-back",1]'])],
  ['an event with an ack', () => answers(['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]'])],
  ['an event with ack 0', () => answers(['420["message-with-ack"]'], ['430[]'])],
  ['a binary event', () => answers([`452-["message",${TWO}]`, ONE, OTHER], [`452-["message-back",${TWO}]`, ONE, OTHER])],
  ['a binary event with an ack', () => answers([`452-789["message-with-ack",${TWO}]`, ONE, OTHER], [`462-789[${TWO}]`, ONE, OTHER])],
  ['a binary event by polling', binaryByPolling],
  ['attachments in another order', () => answers(['452-["message",{"a":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]', ONE, OTHER], [`452-["message-back",{"a":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`, OTHER, ONE])],
  ['an event or an ack nobody waits for', strangerIsIgnored],
  ...Object.entries({
    'an unknown packet type': ['4abc'],
    'type 7': ['47'],
    'an event that is an object': ['42{}'],
    'an event that is a string': ['42"message"'],
    'an event without a name': ['42[]'],
    'an event whose name is an object': ['42[{}]'],
    'an event with a reserved name': ['42["disconnect"]'],
    'JSON that is cut': ['42["message"'],
    'an invalid ack id': ['42abc["message-with-ack",1]'],
    'an ack that is an object': ['431{}'],
    'a DISCONNECT with data': ['41{}'],
    'CONNECT_ERROR from a client': ['44{"message":"x"}'],
    'CONNECT twice': ['40'],
    'an event to a namespace not entered': ['42/custom,["message"]'],
    'an ack to a namespace not entered': ['43/custom,1[]'],
    'binary nobody announced': [ONE],
    'text instead of an attachment': [`452-["message",${TWO}]`, ONE, '42["message"]'],
    'an attachment that is out of range': ['451-["message",{"_placeholder":true,"num":1}]', ONE],
    'an attachment with a negative number': ['451-["message",{"_placeholder":true,"num":-1}]', ONE],
    'an attachment without a number': ['451-["message",{"_placeholder":true}]', ONE],
    'eleven attachments': [`4511-["message",${eleven}]`],
    'a count of attachments that is no number': ['45x-["message"]'],
    'attachments without their count': [`45["message",${TWO}]`],
  }).map(([name, packets]) => [`closes over: ${name}`, () => closesOver(packets)]),
  ['closes over: CONNECT with a string', () => closesOver(['40"token"'], { first: false })],
  ['closes over: CONNECT with a list', () => closesOver(['40[]'], { first: false })],
  ['closes over: an event before CONNECT', () => closesOver(['42["message"]'], { first: false })],
  ['closes over: garbage before CONNECT', () => closesOver(['4abc'], { first: false })],
]);
