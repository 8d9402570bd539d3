// A WebSocket, or what looks like one, that comes back by itself: when it ends, or never opens, it is tried again, after a
// wait that grows. It has no timer of its own; the page's heartbeat calls `tick`.

const OPEN_LIMIT = 10_000; // ms until an attempt to connect is given up
const FIRST_DELAY = 1000; // ms; doubles with each failed attempt ...
const LAST_DELAY = 30_000; // ... up to this
const STEADY_AFTER = 5000; // ms a connection lasts before the delay starts over

export class Connection {
  /** connecting | open | waiting (for the next attempt) | closed */
  state = "closed";
  /** When the next attempt is due, in ms since 1970; while waiting. */
  retryAt = Infinity;
  #giveUpAt = Infinity;
  #socket = null;
  #attempt = 0;
  #openedAt = 0;
  #lostAt = 0;
  #dial;
  #on;

  /**
   * `dial()` makes a WebSocket, or what looks like one, anew for each attempt. `on` is told:
   *   changed(code)    another state; code: that of the close frame, if one brought us here
   *   opened(away)     after that, if the state is open; away: ms since it was last, or null the first time
   *   received(data)   a message: a string or an ArrayBuffer
   */
  constructor(dial, on) {
    this.#dial = dial;
    this.#on = on;
  }

  /** Connects, or starts over. */
  connect() {
    this.#hangUp();
    this.#giveUpAt = Date.now() + OPEN_LIMIT;
    this.#enter("connecting");
    const socket = this.#dial();
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#on.received(event.data);
    socket.onclose = (event) => this.lost(event.code);
    this.#socket = socket;
  }

  /** Connects at once if a retry is due anyway: the network or the reader came back. */
  hurry() {
    if (this.state === "waiting") this.connect();
  }

  /** The connection ended, or never began, or is known to be dead: wait, longer each time, and try again. */
  lost(code) {
    const now = Date.now();
    if (this.state === "open") {
      this.#lostAt = now;
      if (now - this.#openedAt > STEADY_AFTER) this.#attempt = 0;
    }
    this.#hangUp();
    const longest = Math.min(FIRST_DELAY * 2 ** this.#attempt, LAST_DELAY);
    this.#attempt += 1;
    // Half fixed, half random: a thousand pages do not return in the same moment.
    this.retryAt = now + longest / 2 + Math.random() * (longest / 2);
    this.#enter("waiting", code);
  }

  /** Ends it for good, until the next `connect`. */
  close() {
    this.#hangUp();
    this.#attempt = this.#lostAt = 0;
    this.#enter("closed");
  }

  /** Sends a text message; without a connection it is lost. */
  send(text) {
    if (this.state === "open") this.#socket.send(text);
  }

  /** Whether the browser still holds some of what was sent. */
  get congested() {
    return this.state === "open" && this.#socket.bufferedAmount > 0;
  }

  /** Whether this is about a connection that did not come about at the first attempt. */
  get retrying() {
    return this.state === "waiting" || (this.state === "connecting" && this.#attempt > 0);
  }

  /** Does what the time has come for. */
  tick(now) {
    if (this.#giveUpAt <= now) this.lost();
    if (this.retryAt <= now) this.connect();
  }

  #opened() {
    const now = Date.now();
    const away = this.#lostAt ? now - this.#lostAt : null;
    this.#openedAt = now;
    this.#lostAt = 0;
    this.#giveUpAt = Infinity;
    this.#enter("open");
    this.#on.opened(away);
  }

  /** Lets go of the socket, whatever it is doing; nothing it still reports is heard. */
  #hangUp() {
    this.#giveUpAt = this.retryAt = Infinity;
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #enter(state, code) {
    this.state = state;
    this.#on.changed(code);
  }
}
