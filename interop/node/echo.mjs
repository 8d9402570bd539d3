// The echo conversation of checks/echo.py, held by the WebSocket clients of Node.js.
// Usage: echo.mjs ws|undici|built-in ORIGIN deflate|no-deflate MAX_MESSAGE
// Prints one JSON line per check and `end of checks` after the last.

import assert from 'node:assert/strict';
import * as undici from 'undici';
import { WebSocket as NpmWs } from 'ws';

const [library, origin, compression, maxMessage] = process.argv.slice(2);
const DEADLINE = 30_000;
const MAX_MESSAGE = Number(maxMessage);

const SIZES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20];
const TEXTS = ['', 'plain', 'Grüße, Καλημέρα, こんにちは', '👩‍👩‍👧‍👦 🏳️‍🌈', '\u0000 and \ufeff and \u{10ffff}'];
const CLOSES = [[1000, ''], [1000, 'done'], [3000, 'three thousand'], [4000, 'ä'.repeat(61)], [4999, 'x'.repeat(123)]];
const IN_ORDER = 2_000;

const open = [];

/** A client of either face (npm `ws`, or the browser's), with its incoming messages in a queue. */
class Client {
  constructor(path = '/echo?greet=0') {
    const url = origin + path;
    if (library === 'ws') {
      this.socket = new NpmWs(url, { perMessageDeflate: compression === 'deflate', maxPayload: 2 * MAX_MESSAGE });
    } else {
      this.socket = new (library === 'undici' ? undici.WebSocket : globalThis.WebSocket)(url);
    }
    open.push(this);
    this.socket.binaryType = 'arraybuffer';
    this.queue = [];
    this.waiting = [];
    this.socket.addEventListener('message', (event) => this.deliver(event.data));
    this.closed = new Promise((resolve) => this.socket.addEventListener('close', resolve));
    this.closed.then((event) => this.waiting.forEach((wait) => wait.reject(new Error(`closed with ${event.code}`))));
    this.opened = new Promise((resolve, reject) => {
      this.socket.addEventListener('open', resolve);
      this.socket.addEventListener('error', (event) => reject(event.error ?? new Error(event.message ?? 'no connection')));
    });
    this.opened.catch(() => {});
  }

  static async connect(path) {
    const client = new Client(path);
    await within(client.opened, 'the connection');
    return client;
  }

  deliver(data) {
    const wait = this.waiting.shift();
    if (wait) wait.resolve(data);
    else this.queue.push(data);
  }

  /** The next message: a string, or a Buffer for binary. */
  async receive() {
    const data = this.queue.length
      ? this.queue.shift()
      : await within(new Promise((resolve, reject) => this.waiting.push({ resolve, reject })), 'a message');
    return typeof data === 'string' ? data : Buffer.from(data);
  }

  /** Closes and gives the code that came back. */
  async close(code = 1000, reason = '') {
    this.socket.close(code, reason);
    return (await within(this.closed, 'the close')).code;
  }
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come in time`)), DEADLINE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function echoes(client, message) {
  client.socket.send(message);
  const got = await client.receive();
  // No assert.deepEqual: its report on two differing megabytes takes minutes.
  const same = typeof message === 'string' ? got === message : Buffer.isBuffer(got) && message.equals(got);
  assert(same, `${typeof message === 'string' ? 'text' : 'binary'} of ${message.length} came back otherwise`);
}

async function handshake() {
  const client = await Client.connect('/echo');
  assert.equal(client.socket.protocol, '', 'a subprotocol was chosen');
  // All three offer deflate: undici and Node always, npm ws as it is told.
  const deflated = client.socket.extensions.startsWith('permessage-deflate');
  assert.equal(deflated, compression === 'deflate', `extensions: ${client.socket.extensions}`);
  assert.equal(typeof (await client.receive()), 'string', 'the greeting is no text');
  await echoes(client, 'after the greeting');
  await client.close();
}

async function sizes() {
  const client = await Client.connect();
  for (const size of SIZES) {
    await echoes(client, 'abcdefghijklmnopqrstuvwxyz'.repeat(size / 26 + 1).slice(0, size));
    await echoes(client, Buffer.alloc(size, Buffer.from('\x00\x01\x7f\x80\xfe\xff', 'latin1')));
  }
  await client.close();
}

async function unicode() {
  const client = await Client.connect();
  for (const text of TEXTS) await echoes(client, text);
  await client.close();
}

async function inOrder() {
  const client = await Client.connect();
  for (let index = 0; index < IN_ORDER; index += 1) client.socket.send(`message ${index}`);
  for (let index = 0; index < IN_ORDER; index += 1) assert.equal(await client.receive(), `message ${index}`);
  await client.close();
}

async function fragments() {
  const client = await Client.connect();
  for (const pieces of [
    ['Hel', '', 'lo, ', 'wörld'],
    [Buffer.alloc(70_000), Buffer.alloc(0), Buffer.from([255, 255, 255])],
  ]) {
    pieces.forEach((piece, index) => client.socket.send(piece, { fin: index + 1 === pieces.length }));
    const got = await client.receive();
    const wanted = typeof pieces[0] === 'string' ? pieces.join('') : Buffer.concat(pieces);
    assert(typeof wanted === 'string' ? got === wanted : wanted.equals(got), 'the message came back otherwise');
  }
  await client.close();
}

async function pings() {
  const client = await Client.connect();
  for (const payload of ['one', 'x'.repeat(125)]) {
    const pong = new Promise((resolve) => client.socket.once('pong', (data) => resolve(data.toString())));
    client.socket.ping(payload);
    assert.equal(await within(pong, 'the pong'), payload);
  }
  await echoes(client, 'still here');
  await client.close();
}

async function closes() {
  for (const [code, reason] of CLOSES) {
    const client = await Client.connect();
    assert.equal(await client.close(code, reason), code, `the answer to close ${code} ${reason}`);
  }
}

async function tooBig() {
  const client = await Client.connect();
  client.socket.send(Buffer.alloc(MAX_MESSAGE + 1));
  assert.equal((await within(client.closed, 'the close')).code, 1009);
}

async function badText() {
  const client = await Client.connect();
  client.socket.send(Buffer.from([0xc3, 0x28]), { binary: false });
  assert.equal((await within(client.closed, 'the close')).code, 1007);
}

const checks = [
  ['handshake and greeting', handshake],
  ['text and binary of every length form', sizes],
  ['unicode', unicode],
  [`${IN_ORDER} messages in order`, inOrder],
  ['close codes', closes],
  ['message too big is 1009', tooBig],
  // What only npm `ws` lets one send by hand.
  ...(library === 'ws'
    ? [['fragmented messages', fragments], ['pings', pings], ['invalid UTF-8 is 1007', badText]]
    : []),
];

for (const [name, check] of checks) {
  try {
    await check();
    console.log(JSON.stringify({ name, ok: true }));
  } catch (error) {
    console.log(JSON.stringify({ name, ok: false, detail: String(error.message).split('\n').join(' ').slice(0, 300) }));
  }
  for (const client of open.splice(0)) client.socket.close();
}
console.log('end of checks');
process.exit(0);
