// How many members the room has, as the server counts them: other clients than this page count too.
// The question also finds a dead connection, which a browser does not notice by itself.

const EVERY = 10_000; // ms between questions
const SOON = 400; // ms until a question that something happened for
const ANSWER_LIMIT = 10_000; // ms until a question counts as not answered

export class Count {
  /** The members, ourselves included; null if not known. */
  members = null;
  #run = 0; // which connection the questions are for: an answer that comes after its end is not heard
  #due = Infinity;
  #unanswered = 0; // questions in a row that met no server
  #url;
  #on;

  /** `url()` is asked anew for each question. `on` is told: counted(), and dead() when nobody answers. */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
  }

  /** A connection opened: ask, and go on asking. */
  start() {
    this.#unanswered = 0;
    this.#due = Date.now();
  }

  /** It ended: what was known of the room is no longer true. */
  stop() {
    this.#run += 1;
    this.#due = Infinity;
    this.members = null;
  }

  /** Someone may have come or gone. Only between start and stop. */
  askSoon() {
    this.#due = Math.min(this.#due, Date.now() + SOON);
  }

  tick(now) {
    if (this.#due <= now) this.#ask();
  }

  async #ask() {
    this.#due = Date.now() + EVERY;
    if (document.hidden) return;
    const run = this.#run;
    try {
      const response = await fetch(this.#url(), { cache: "no-store", signal: AbortSignal.timeout(ANSWER_LIMIT) });
      const { members } = response.ok ? await response.json() : {};
      if (run !== this.#run) return;
      this.#unanswered = 0;
      if (!Number.isInteger(members)) return;
      this.members = members;
      this.#on.counted();
    } catch {
      if (run !== this.#run) return;
      this.#unanswered += 1;
      // After sleep, it can take the browser long to find out.
      if (this.#unanswered >= 2) this.#on.dead();
      else this.askSoon();
    }
  }
}
