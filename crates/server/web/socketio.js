// A room by way of Socket.IO: the stock client, dressed as a WebSocket. It comes back by the page's own
// means, as a WebSocket does, so that the page need not know which of them it has.

// How the server is set: it says so in the page.
const { path = "/socket.io", join = "join", parser, transports, recovery } = document.documentElement.dataset;
const BASE = new URL(path.replace(/^\/|\/$/g, ""), document.baseURI).pathname;
// From `--socketio-client-dir`; each parser has a client of its own.
const CLIENT = `${BASE}/${parser === "msgpack" ? "socket.io.msgpack.min.js" : "socket.io.js"}`;

/** Fetches the client, once; rejects where the server has none. */
export function loadClient() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = CLIENT;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${CLIENT} is not there`));
    document.head.append(script);
  });
}

/** Open once it is in the room: what others say from then on, it hears. */
export class RoomSocket {
  onopen = null;
  onmessage = null;
  onclose = null;
  #socket;

  constructor(room) {
    const options = { path: BASE, reconnection: false, forceNew: true };
    if (transports) options.transports = transports.split(",");
    this.#socket = globalThis.io(location.origin, options);
    this.#socket.on("connect", () => this.#socket.emit(join, room, (members) => this.#joined(members)));
    this.#socket.on("connect_error", () => this.#over());
    // "transport close" and the like: of Socket.IO's server, the WebSocket's codes are not told.
    this.#socket.on("disconnect", () => this.#over());
    this.#socket.onAny((event, ...args) => this.onmessage?.({ data: heard(event, args) }));
  }

  send(text) {
    this.#socket.send(text);
  }

  close() {
    this.#socket.disconnect();
  }

  /** How many packets the client still holds. */
  get bufferedAmount() {
    return this.#socket.io.engine?.writeBuffer.length ?? 0;
  }

  #joined(members) {
    if (typeof members === "number") this.onopen?.();
    else this.#over();
  }

  #over() {
    this.onclose?.({});
    this.close();
  }
}

/** An event as a plain WebSocket in the room hears it. */
function heard(event, args) {
  // The client leaves its place in the log at the end of each event, for all who listen.
  if (recovery === "on" && typeof args.at(-1) === "string") args = args.slice(0, -1);
  const [first] = args;
  const plain = event === "message" && args.length === 1 && (typeof first === "string" || first instanceof ArrayBuffer);
  return plain ? first : JSON.stringify([event, ...args], (_, value) => (value instanceof ArrayBuffer ? base64(value) : value));
}

function base64(bytes) {
  return btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));
}
