// What every socketio check stands on: deadlines, waits for events, a wire that can be cut, a tally.
// A wait is for an event or for a condition that an event makes true; each ends at a deadline.

import assert from 'node:assert/strict';
import net from 'node:net';

/** How long anything that should be immediate may take on a busy machine. */
export const DEADLINE = 20_000;

export function within(promise, what, deadline = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come in time`)), deadline);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The arguments of the next `event`; of a Socket.IO client it fails at once when that is refused or gone. */
export function next(emitter, event) {
  // Version 2 tells of refusals, and of errors before a disconnect too, by `error`.
  const ends = emitter.io && event !== 'disconnect' ? ['connect_error', 'error', 'disconnect'].filter((end) => end !== event) : [];
  let settle;
  const wanted = new Promise((resolve, reject) => {
    const fail = (reason) => reject(new Error(`instead of ${event} came: ${reason?.message ?? reason}`));
    settle = () => ends.forEach((end) => emitter.off(end, fail));
    emitter.once(event, (...args) => resolve(args));
    for (const end of ends) emitter.once(end, fail);
  });
  const wait = within(wanted, event).finally(settle);
  wait.catch(() => {});
  return wait;
}

/** All that `event` brings from now on; `until(n)` waits for the n-th, counted from the first. */
export function record(emitter, event) {
  const got = [];
  const waiting = [];
  emitter.on(event, (...args) => {
    got.push(args.length > 1 ? args : args[0]);
    for (const wait of waiting) if (got.length >= wait.count) wait.resolve(got);
  });
  const until = (count) =>
    within(
      got.length >= count ? Promise.resolve(got) : new Promise((resolve) => waiting.push({ count, resolve })),
      `${event} number ${count} (${got.length} came)`,
    );
  return { got, until };
}

/** Emits and gives the arguments of the acknowledgement. */
export function call(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))), `the ack of ${event}`);
}

/** Binary of any kind as `{bytes: hex}`, so that clients that differ in its type compare equal. */
export function plain(value) {
  if (value instanceof ArrayBuffer) return { bytes: Buffer.from(value).toString('hex') };
  if (ArrayBuffer.isView(value)) {
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex') };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date) return { date: value.getTime() };
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

/** Deep equality; strings that differ are cut short, as a report on two megabytes takes minutes. */
export function same(got, wanted, what) {
  const [left, right] = [plain(got), plain(wanted)];
  try {
    assert.deepStrictEqual(left, right);
  } catch {
    const brief = (value) => String(JSON.stringify(value)).slice(0, 150);
    throw new Error(`${what}: wanted ${brief(right)}, got ${brief(left)}`);
  }
}

/** The numbers from 0 to n - 1, each once and in order. */
export function inOrder(got, n, what) {
  const wrong = got.findIndex((value, index) => value !== index);
  if (wrong >= 0) throw new Error(`${what}: place ${wrong} has ${JSON.stringify(got[wrong])?.slice(0, 80)}`);
  assert.equal(got.length, n, `${what}: ${got.length} came instead of ${n}`);
}

/**
 * A TCP relay to the server under test, so that a connection can be cut as a network would cut it,
 * and the WebSocket of an upgrade be held back until it is wanted.
 */
export class Wire {
  pairs = new Set();
  held = [];
  isDown = false;
  holding = false;

  static async to(origin) {
    const wire = new Wire();
    const port = Number(new URL(origin).port);
    wire.server = net.createServer((near) => wire.relay(near, port));
    await new Promise((resolve) => wire.server.listen(0, '127.0.0.1', resolve));
    wire.origin = `http://127.0.0.1:${wire.server.address().port}`;
    return wire;
  }

  relay(near, port) {
    if (this.isDown) return near.destroy();
    const far = net.connect(port, '127.0.0.1');
    const pair = [near, far];
    this.pairs.add(pair);
    this.observe(pair);
    const end = () => {
      this.pairs.delete(pair);
      pair.forEach((socket) => socket.destroy());
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    far.pipe(near);
    near.once('data', (head) => {
      near.pause();
      const start = () => {
        far.write(head);
        near.pipe(far);
      };
      if (this.holding && /^upgrade: websocket/im.test(head.toString('latin1'))) {
        this.held.push({ start, end });
        this.caught?.();
      } else start();
    });
  }

  /** Keeps `pair.open` true while the server owes an answer to a GET, and for as long as a WebSocket lives. */
  observe(pair) {
    const [near, far] = pair;
    near.on('data', (chunk) => {
      if (chunk.subarray(0, 4).toString() === 'GET ') pair.open = true;
      if (pair.open) this.opened?.();
    });
    far.on('data', (chunk) => {
      pair.isWebSocket ||= chunk.subarray(0, 12).toString() === 'HTTP/1.1 101';
      pair.open = pair.isWebSocket;
    });
  }

  /** Waits for a poll or a WebSocket: between two polls a server cannot notice that the wire is cut. */
  async noticed() {
    if ([...this.pairs].some((pair) => pair.open)) return;
    await within(new Promise((resolve) => (this.opened = resolve)), 'the next poll');
  }

  /** Holds back every WebSocket request from now until `release`. */
  hold() {
    this.holding = true;
  }

  /** Waits for a WebSocket that is held back. */
  async heldBack() {
    if (this.held.length) return;
    await within(new Promise((resolve) => (this.caught = resolve)), 'the WebSocket to hold back');
  }

  release() {
    this.holding = false;
    this.held.splice(0).forEach(({ start }) => start());
  }

  /** Ends the WebSockets that are held back. */
  drop() {
    this.held.splice(0).forEach(({ end }) => end());
  }

  /** Cuts what is connected and refuses what comes, until `mend`. */
  cut() {
    this.isDown = true;
    for (const pair of this.pairs) pair.forEach((socket) => socket.destroy());
  }

  mend() {
    this.isDown = false;
  }

  close() {
    this.cut();
    this.server.close();
  }
}

// Whatever a check opened, closed after it.
const opened = [];

export function closeAfterCheck(thing) {
  opened.push(thing);
  return thing;
}

/**
 * Runs `[name, check, {beyond}]` one after the other and prints a JSON line for each, `end of checks`
 * at last. `beyond` marks what we want and Node's server is known not to do.
 */
export async function runChecks(checks) {
  for (const [name, check, { beyond = false } = {}] of checks) {
    const result = { name, ok: true, beyond };
    try {
      await within(check(), 'the end of the check', 6 * DEADLINE);
    } catch (error) {
      result.ok = false;
      result.detail = String(error?.message ?? error).split('\n').join(' ').slice(0, 300);
    }
    for (const thing of opened.splice(0)) thing.close();
    console.log(JSON.stringify(result));
  }
  console.log('end of checks');
  process.exit(0);
}
