// The three official clients behind one face, where they differ at all.

import { io as io4 } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { io as io3 } from 'socket.io-client-3';
import msgpack from 'socket.io-msgpack-parser';
import { call, closeAfterCheck, next, Wire } from './socketio-kit.mjs';

const CLIENTS = { 4: io4, 3: io3, 2: io2 };
const TRANSPORTS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };

export class Peer {
  constructor({ version, transport, parser, origin }) {
    Object.assign(this, { version, transport, parser, origin });
    // Version 2 has no `auth`: a query takes its place, and refusals are `error`, not `connect_error`.
    this.hasAuth = version > 2;
    this.refusal = version > 2 ? 'connect_error' : 'error';
  }

  /** A socket with a connection of its own, not yet connected. `via` is the wire to take. */
  open(namespace = '/', { auth, query, via = this, ...options } = {}) {
    const socket = CLIENTS[this.version](via.origin + namespace, {
      transports: TRANSPORTS[this.transport],
      forceNew: true,
      reconnection: false,
      query: this.hasAuth || typeof auth !== 'object' ? query : { ...query, ...auth },
      ...(this.hasAuth && { auth }),
      ...(this.parser === 'msgpack' && { parser: msgpack }),
      ...options,
    });
    return closeAfterCheck(socket);
  }

  /** A socket that is connected. */
  async connect(namespace, options) {
    const socket = this.open(namespace, options);
    await next(socket, 'connect');
    return socket;
  }

  /** Several of them. */
  connectAll(count, namespace, options) {
    return Promise.all(Array.from({ length: count }, () => this.connect(namespace, options)));
  }

  /** Options of a client that comes back at once after a cut. */
  get returning() {
    return { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50, randomizationFactor: 0 };
  }

  /** A wire that closes after the check. */
  async wire() {
    return closeAfterCheck(await Wire.to(this.origin));
  }

  /** What an observer is told of the end of `socket`: `[id, reason, rooms]`, by the server. */
  async watch(socket, namespace) {
    const observer = await this.connect(namespace);
    const gone = next(observer, 'gone');
    const [present] = await call(observer, 'watch', socket.id);
    if (!present) throw new Error('the server does not know the socket');
    // An array, as a promise would be awaited by who receives it.
    return { observer, gone };
  }
}

/** Waits until the upgrade of this socket's connection is complete, on the server's side too. */
export async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name !== 'websocket') await next(engine, 'upgrade');
  await call(socket, 'whoami');
}
