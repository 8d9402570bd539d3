// Who is here: everyone who said so, until they say bye or fall silent. Shown as the list of people,
// their number, and the line that says who is writing.

import { avatar } from "./avatar.js";
import { $, element } from "./dom.js";

const LIMIT = 200; // people listed; a flood of hellos must not fill the memory
// A hidden tab may run its timers once a minute only, so silence says little until well after that.
const SILENT_LIMIT = 150_000;
const ANSWER_LIMIT = 4000; // ms in which everyone who is there answers a hello
const TYPING_SHOWN = 5000; // ms a typing signal is shown

export class People {
  #peers = new Map(); // id -> {name, seen, typingUntil, last}
  #calledAt = 0; // when we last said hello
  #calledUntil = 0; // when those who have not answered count as gone; 0 once they do
  #typing = "";
  #on;

  /** `on` is told: changed(), and note(text) for what the reader should know of. */
  constructor(on) {
    this.#on = on;
  }

  /** How many there are, ourselves not included. */
  get size() {
    return this.#peers.size;
  }

  get names() {
    return [...this.#peers.values()].map((peer) => peer.name);
  }

  /** Notes that a peer is there, under this name; `announced` if it came just now. */
  meet(id, name, announced = false) {
    let peer = this.#peers.get(id);
    const before = peer?.name;
    if (!peer) {
      if (this.#peers.size >= LIMIT) return;
      peer = { name, typingUntil: 0, last: -1 };
      this.#peers.set(id, peer);
      if (announced) this.#on.note(`${name} joined`);
    } else if (before !== name) {
      this.#on.note(`${before} is now ${name}`);
      peer.name = name;
    }
    peer.seen = Date.now();
    if (before !== name) this.#on.changed();
  }

  /**
   * Notes that a peer said its message number `n`, which may be undefined. False if it said that
   * before: it is sent a second time after a reconnect.
   */
  spoke(id, n) {
    const peer = this.#peers.get(id);
    if (!peer) return true; // the list is full
    if (n !== undefined) {
      if (n <= peer.last) return false;
      peer.last = n;
    }
    peer.typingUntil = 0;
    return true;
  }

  /** Notes that a peer, if we know it, started or stopped writing. */
  typing(id, on) {
    const peer = this.#peers.get(id);
    if (peer) peer.typingUntil = on ? Date.now() + TYPING_SHOWN : 0;
  }

  depart(id) {
    const peer = this.#peers.get(id);
    if (!peer) return;
    this.#on.note(`${peer.name} left`);
    this.#peers.delete(id);
    this.#on.changed();
  }

  /** We left ourselves: forget everyone. */
  clear() {
    this.#peers.clear();
  }

  /** We said hello just now: whoever does not answer is gone. */
  called() {
    this.#calledAt = Date.now();
    this.#calledUntil = this.#calledAt + ANSWER_LIMIT;
  }

  /** Whether there is still time to answer our hello. */
  get calling() {
    return this.#calledUntil > 0;
  }

  /** Whether everyone listed has answered our hello. */
  get complete() {
    return [...this.#peers.values()].every((peer) => peer.seen >= this.#calledAt);
  }

  /** Lets those go who have been silent too long. Only while connected. */
  tick(now) {
    if (this.calling && this.#calledUntil <= now) {
      this.#calledUntil = 0;
      this.#departSilentSince(this.#calledAt);
    }
    if (!this.calling) this.#departSilentSince(now - SILENT_LIMIT);
  }

  /** Shows the list and the number: ourselves, the peers, and what else the server counts (null: unknown). */
  show(me, connected, members) {
    const items = [person(me.id, me.name, "me")];
    for (const [id, peer] of this.#peers) items.push(person(id, peer.name, ""));
    const others = connected && members !== null ? members - items.length : 0;
    const total = items.length + Math.max(others, 0);
    if (others > 0) {
      const item = element("li", "others");
      item.append(element("span", "avatar", `+${others}`), element("span", "", others === 1 ? "other client" : "other clients"));
      items.push(item);
    }
    $("people").replaceChildren(...items);
    $("people").classList.toggle("stale", !connected);
    $("count").textContent = !connected ? "offline" : total === 1 ? "just you" : `${total} here`;
    $("count").dataset.count = connected ? total : 0;
  }

  /** Shows who is writing. */
  showTyping(connected) {
    const now = Date.now();
    const names = connected ? [...this.#peers.values()].filter((peer) => peer.typingUntil > now).map((peer) => peer.name) : [];
    const text =
      names.length === 0 ? "" :
      names.length === 1 ? `${names[0]} is writing…` :
      names.length === 2 ? `${names[0]} and ${names[1]} are writing…` : `${names.length} people are writing…`;
    if (text === this.#typing) return;
    this.#typing = text;
    $("typing").textContent = text;
  }

  #departSilentSince(time) {
    for (const [id, peer] of this.#peers) if (peer.seen < time) this.depart(id);
  }
}

function person(id, name, kind) {
  const item = element("li", kind);
  item.dataset.id = id;
  item.append(avatar(id, name), element("bdi", "", name));
  if (kind === "me") item.append(element("span", "you", "you"));
  return item;
}
