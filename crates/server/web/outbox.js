// Own messages until the network has them: kept while there is no connection, sent again if it ended
// too soon, and marked in the log meanwhile. Who receives one twice drops it by its number.

import { element } from "./dom.js";

const LOOK_EVERY = 30; // ms between looks at whether the browser has handed over what it was given

export class Outbox {
  /** Whether messages wait although there is a connection, for someone to hear them. */
  holding = false;
  #entries = []; // oldest first: {text, box, sent}
  #timer = 0;
  #connection;

  constructor(connection) {
    this.#connection = connection;
  }

  get size() {
    return this.#entries.length;
  }

  /** Takes a message, and its element in the log, to send as soon as possible. */
  add(text, box) {
    box.classList.add("pending");
    box.append(element("span", "status"));
    this.#entries.push({ text, box, sent: false });
    this.flush();
  }

  /** Sends what waits, then watches until the browser has handed it to the network. */
  flush() {
    const open = this.#connection.state === "open" && !this.holding;
    for (const entry of open ? this.#entries : []) {
      if (entry.sent) continue;
      this.#connection.send(entry.text);
      entry.sent = true;
    }
    this.#mark();
    if (open) this.#drained();
  }

  /** The connection ended, and with it what was on the way. */
  disconnected() {
    this.holding = false;
    for (const entry of this.#entries) entry.sent = false;
    this.#mark();
  }

  /** Forgets what waits. */
  clear() {
    this.#entries = [];
  }

  #drained() {
    clearTimeout(this.#timer);
    if (this.#connection.state !== "open" || this.#entries.length === 0) return;
    if (this.#connection.congested) {
      this.#timer = setTimeout(() => this.#drained(), LOOK_EVERY);
      return;
    }
    for (const entry of this.#entries) entry.box.classList.remove("pending");
    this.#entries = [];
  }

  /** Says on each message that waits what it waits for. */
  #mark() {
    const reason = this.holding ? "Waiting for the others to come back" : "Waiting for the connection";
    for (const { box, sent } of this.#entries) {
      box.classList.toggle("held", !sent);
      box.querySelector(".status").textContent = sent ? "" : reason;
    }
  }
}
