// The list of messages and notes. It follows its end as long as the reader is there, and counts what
// comes below while the reader is not.

import { avatar, hue } from "./avatar.js";
import { element } from "./dom.js";

const LIMIT = 500; // messages and notes kept in the page
const SHOWN_LIMIT = 8000; // characters shown of one message
const RUN_LIMIT = 180_000; // ms between two messages of one person that still belong together
const NEAR_END = 48; // pixels from the end that still count as there

export class Log {
  #box;
  #newerButton;
  #lastSpeaker = null; // {key, at} of the newest message, for runs of one person
  #atEnd = true; // the reader was at the end when it last moved
  #newer = 0; // messages below what the reader sees
  #frame = 0; // the scroll that is due with the next frame

  /** `box` scrolls, and its first child stays; `newerButton` says what came below. */
  constructor(box, newerButton) {
    this.#box = box;
    this.#newerButton = newerButton;
    box.addEventListener("scroll", () => {
      // New messages below, that the next frame will scroll to, do not mean that the reader went away.
      if (this.#frame) return;
      this.#atEnd = this.#isAtEnd();
      if (this.#atEnd && this.#newer) this.scrollToEnd();
    });
    // A keyboard that slides in must not cover the newest message.
    new ResizeObserver(() => this.#atEnd && this.scrollToEnd()).observe(box);
  }

  /** Shows a message and returns its element; without an id it is from a client that is not this page. */
  add({ id, name = "someone", text, at = Date.now(), kind = "", mine = false }) {
    const box = element("div", `message fresh ${kind} ${mine ? "mine" : ""} ${hue(id)}`);
    const time = element("time", "", clock(at));
    time.dateTime = new Date(at).toISOString();
    const head = element("div", "head");
    head.append(element("bdi", "who", mine ? `${name} (you)` : name), " ", time);
    const body = element("div", "text");
    body.append(...linked(shortened(text)));
    box.append(avatar(id, name), head, body);
    const key = `${id} ${name}`;
    if (this.#lastSpeaker?.key === key && at - this.#lastSpeaker.at < RUN_LIMIT) box.classList.add("more");
    this.#lastSpeaker = { key, at };
    this.#append(box);
    if (mine) this.scrollToEnd();
    else if (!this.#atEnd) this.#newer += 1;
    this.#showNewer();
    return box;
  }

  /** Shows a line that nobody said. */
  note(text) {
    this.#lastSpeaker = null;
    this.#append(element("p", "note", text));
  }

  /** Whether there is no message; there may be notes. */
  get empty() {
    return this.#box.querySelector(".message") === null;
  }

  clear() {
    while (this.#box.childElementCount > 1) this.#box.lastElementChild.remove();
    this.#lastSpeaker = null;
    this.scrollToEnd();
  }

  scrollToEnd() {
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#atEnd = true;
    this.#newer = 0;
    this.#showNewer();
  }

  #append(item) {
    // To ask or to move makes the browser lay out the whole log: once per frame, not per message.
    if (!this.#frame) {
      this.#atEnd = this.#isAtEnd(); // the scroll event may not have come yet
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        if (this.#atEnd) this.scrollToEnd();
      });
    }
    this.#box.append(item);
    while (this.#box.childElementCount > LIMIT + 1) this.#box.children[1].remove();
  }

  #isAtEnd() {
    return this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < NEAR_END;
  }

  #showNewer() {
    this.#newerButton.hidden = this.#newer === 0;
    this.#newerButton.textContent = this.#newer === 1 ? "1 new message ↓" : `${this.#newer} new messages ↓`;
  }
}

function shortened(text) {
  const rest = text.length - SHOWN_LIMIT;
  return rest > 0 ? `${text.slice(0, SHOWN_LIMIT)}… (${rest.toLocaleString("en")} more characters)` : text;
}

/** The text as nodes, http and https addresses as links; never as HTML. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?')\]])/).map((part, index) => {
    if (index % 2 === 0 || !URL.canParse(part)) return part;
    const link = element("a", "", part);
    link.href = part;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    return link;
  });
}

function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
