// Engine.IO by hand, frame by frame and poll by poll, for the two wire scripts.

import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { closeAfterCheck, within } from './socketio-kit.mjs';

export const KEYS = ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades'];

/** The server at one origin and path. */
export class Engine {
  constructor(origin, path) {
    this.url = `${origin}${path}`;
  }

  request(query, options) {
    return within(fetch(`${this.url}?${query}`, { keepalive: false, ...options }), 'the response');
  }

  /** The status that a handshake with this query gets. */
  async status(query, options) {
    const response = await this.request(query, options);
    await response.text();
    return response.status;
  }

  /** A new session on polling. */
  async poll() {
    const response = await this.request('EIO=4&transport=polling');
    const text = await response.text();
    assert.equal(response.status, 200);
    assert.equal(text[0], '0');
    return new Polling(this, JSON.parse(text.slice(1)), response.headers);
  }

  /** A WebSocket with this query, open or not. */
  webSocket(query) {
    return new Frames(`${this.url.replace('http', 'ws')}?${query}`);
  }

  /** A new session on WebSocket; `heartbeat` answers pings, and keeps them out of the way. */
  async socket({ heartbeat = true } = {}) {
    const frames = this.webSocket('EIO=4&transport=websocket');
    frames.heartbeat = heartbeat;
    const open = await frames.next();
    assert.equal(open[0], '0');
    frames.handshake = JSON.parse(open.slice(1));
    return frames;
  }
}

export class Polling {
  constructor(engine, handshake, headers) {
    Object.assign(this, { engine, handshake, headers });
    this.query = `EIO=4&transport=polling&sid=${handshake.sid}`;
  }

  get() {
    return this.engine.request(this.query);
  }

  post(body) {
    return this.engine.request(this.query, { method: 'POST', body });
  }

  /** The text of a poll that succeeds. */
  async read() {
    const response = await this.get();
    assert.equal(response.status, 200);
    return within(response.text(), 'the body of the poll');
  }

  /** Posts what the server must take. */
  async write(body) {
    const response = await this.post(body);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), 'ok');
  }

  /** The session is no more: 400, by Node's word `Session ID unknown`. */
  async isGone() {
    const response = await this.get();
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, 1);
  }

  /** The WebSocket that this session is to move to, open. */
  async webSocket() {
    const frames = this.engine.webSocket(`EIO=4&transport=websocket&sid=${this.handshake.sid}`);
    await frames.opened;
    return frames;
  }
}

/** A WebSocket whose frames wait in a queue: strings, or Buffers for binary. */
export class Frames {
  queue = [];
  waiting = [];
  heartbeat = true;

  constructor(url) {
    this.socket = closeAfterCheck(new WebSocket(url));
    this.opened = within(new Promise((resolve) => this.socket.once('open', resolve)), 'the open');
    this.opened.catch(() => {});
    this.socket.on('error', () => {});
    this.socket.on('message', (data, binary) => this.deliver(binary ? data : data.toString()));
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code) => {
        this.waiting.splice(0).forEach(({ reject }) => reject(new Error(`closed with ${code}`)));
        resolve(code);
      });
    });
    this.refused = new Promise((resolve) => {
      this.socket.once('unexpected-response', (_, response) => resolve(response.statusCode));
    });
  }

  deliver(data) {
    if (this.heartbeat && data === '2') return this.send('3');
    const wait = this.waiting.shift();
    if (wait) wait.resolve(data);
    else this.queue.push(data);
  }

  next() {
    if (this.queue.length) return Promise.resolve(this.queue.shift());
    return within(new Promise((resolve, reject) => this.waiting.push({ resolve, reject })), 'a frame');
  }

  send(...frames) {
    for (const frame of frames) this.socket.send(frame);
  }

  close() {
    this.socket.close();
  }

  /** The server closes, and does not say why. */
  async end() {
    assert.equal(await within(this.closed, 'the close'), 1005, 'the code');
  }
}
