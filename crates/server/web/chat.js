// The chat page: joins what the other modules know, each about one thing, and answers the reader.

import { copy } from "./clipboard.js";
import { Connection } from "./connection.js";
import { Count } from "./count.js";
import { $ } from "./dom.js";
import { Log } from "./log.js";
import { cleanName, keepName, ownName, randomId } from "./names.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { parse } from "./protocol.js";
import { hasSocketIo, isRoom, roomIn, roomUrl, shareLink, socketAddress, transportIn } from "./room.js";
import { RoomSocket, loadClient } from "./socketio.js";
import { STATE_TEXT, showCountdown, showNoClient, showNoSocketIo, showStatus } from "./status.js";

const HERE_EVERY = 30_000; // ms between signs of life
const TYPING_EVERY = 3000; // ms between typing signals while writing goes on
const NAMES = { websocket: "WebSocket", socketio: "Socket.IO" };
const TICK = 250; // ms between looks at what the time has come for

const field = $("message");
const me = { id: randomId(), name: ownName() };
const transport = transportIn(location);
let ready = transport === "websocket"; // whether there is what it takes to connect
let room = roomIn(location);
let said = 0; // own messages so far: the `n` of the last one
let unread = 0; // messages since the page was hidden
let hereDue = 0; // when to give a sign of life, in ms since 1970

const log = new Log($("log"), $("newer"));
const people = new People({
  changed: () => {
    showPeople();
    showTyping();
  },
  note: (text) => log.note(text),
});
const connection = new Connection(dial, { changed, opened, received });
const count = new Count(() => roomUrl(room), { counted, dead: () => connection.lost() });
const outbox = new Outbox(connection);

// ---- The connection --------------------------------------------------------------------------

function dial() {
  return transport === "socketio" ? new RoomSocket(room) : new WebSocket(socketAddress(room));
}

function changed(code) {
  if (!isOpen()) {
    outbox.disconnected();
    count.stop();
  }
  showStatus(connection, code);
  const closed = connection.state === "closed";
  $("leave").disabled = field.disabled = $("send").disabled = closed;
  showPeople();
  showTyping();
  showJoin();
}

function opened(away) {
  hereDue = Date.now() + HERE_EVERY;
  count.start();
  if (away !== null) {
    outbox.holding = people.size > 0;
    log.note(`Back after ${duration(away)}. What others said meanwhile is not shown here.`);
  }
  callTheRoll();
  outbox.flush();
}

function isOpen() {
  return connection.state === "open";
}

/** Tells the others; see the protocol. */
function tell(type, more) {
  connection.send(JSON.stringify({ type, id: me.id, ...more }));
}

/** Says hello, which everyone who is there answers. */
function callTheRoll() {
  tell("hello", { name: me.name });
  people.called();
}

function counted() {
  // Someone we list is gone without a bye: find out who.
  if (count.members < people.size + 1 && !people.calling) callTheRoll();
  showPeople();
}

/**
 * After a reconnect, sends what was kept as soon as it can be heard: when everyone who was here is
 * back, or, once the roll was called, when anyone is. The server keeps no history, and after its
 * restart the first page to return would speak to an empty room.
 */
function letGo() {
  if (!outbox.holding) return;
  if (!(people.size > 0 ? people.complete || !people.calling : count.members > 1)) return;
  outbox.holding = false;
  outbox.flush();
}

/** Everything that waits for a time: one heartbeat for the page. */
function tick() {
  const now = Date.now();
  connection.tick(now);
  if (isOpen()) {
    if (hereDue <= now) {
      hereDue = now + HERE_EVERY;
      tell("here", { name: me.name });
    }
    count.tick(now);
    people.tick(now);
    letGo();
  }
  showCountdown(connection, now);
  showTyping();
}

// ---- What arrives ----------------------------------------------------------------------------

function received(data) {
  if (typeof data !== "string") {
    const bytes = data.byteLength;
    addMessage({ text: `${bytes.toLocaleString("en")} ${bytes === 1 ? "byte" : "bytes"} of binary data`, kind: "binary" });
    return count.askSoon();
  }
  const message = parse(data);
  if (!message) {
    addMessage({ text: data });
    return count.askSoon();
  }
  const { type, id, name } = message;
  if (id === me.id) return; // our own, from a server told to echo
  switch (type) {
    case "hello":
      people.meet(id, name, true);
      tell("here", { name: me.name });
      return count.askSoon();
    case "here":
    case "rename":
      return people.meet(id, name);
    case "bye":
      people.depart(id);
      return count.askSoon();
    case "typing":
      people.typing(id, message.on);
      return showTyping();
    case "say":
      return heard(message);
  }
}

function heard({ id, name, text, at, n }) {
  people.meet(id, name);
  if (!people.spoke(id, n)) return;
  addMessage({ id, name, text, at });
  showTyping();
}

function addMessage(message) {
  const box = log.add(message);
  if (!message.mine && document.hidden) unread += 1;
  showEmpty();
  showTitle();
  return box;
}

// ---- What the reader does --------------------------------------------------------------------

function say(text) {
  const at = Date.now();
  said += 1;
  const box = addMessage({ ...me, text, at, mine: true });
  outbox.add(JSON.stringify({ type: "say", ...me, text, at, n: said }), box);
}

let typingSentAt = 0;
function typed() {
  field.rows = Math.min(6, field.value.split("\n").length); // for browsers without field-sizing
  const on = field.value.trim() !== "";
  const now = Date.now();
  if (on ? now - typingSentAt < TYPING_EVERY : typingSentAt === 0) return;
  typingSentAt = on ? now : 0;
  tell("typing", { on });
}

function join() {
  const name = cleanName($("name").value) || me.name;
  const wanted = $("room").value.trim().replace(/^#/, "") || room;
  const valid = isRoom(wanted);
  $("room-error").textContent = valid ? "" : "A room is 1 to 64 letters, digits, - _ or . and not only dots.";
  $("room").setAttribute("aria-invalid", String(!valid));
  if (!valid) return $("room").focus();
  rename(name);
  if (wanted !== room) {
    enter(wanted);
    history.pushState(null, "", shareLink(room, transport));
  } else if (connection.state === "closed" || connection.state === "waiting") {
    connection.connect();
  }
  showRoom();
  openPanel(false);
  focusField();
}

function rename(name) {
  if (name === me.name) return;
  me.name = name;
  keepName(name);
  tell("rename", { name });
  showPeople();
}

/** Moves to another room: its log starts empty. */
function enter(next) {
  const unsent = outbox.size;
  const old = room;
  leave();
  outbox.clear();
  log.clear();
  room = next;
  if (unsent) log.note(`Not sent to #${old}: ${unsent === 1 ? "one message" : `${unsent} messages`}`);
  showRoom();
  connection.connect();
}

function leave() {
  tell("bye");
  people.clear();
  connection.close();
}

function openPanel(open) {
  $("panel").classList.toggle("open", open);
  $("panel-toggle").setAttribute("aria-expanded", String(open));
  document.querySelector("main").inert = open; // the sheet covers it
}

/** Back to writing; on a touch screen this would pull up the keyboard unasked. */
function focusField() {
  if (matchMedia("(pointer: fine)").matches) field.focus();
}

async function copyLink() {
  const link = shareLink(room, transport);
  const copied = await copy(link);
  $("copy-text").textContent = copied ? "Copied" : "Copy failed";
  $("copy").classList.toggle("copied", copied);
  $("announce").textContent = copied ? "Link copied" : `The link is ${link}`;
  setTimeout(() => {
    $("copy-text").textContent = "Copy link";
    $("copy").classList.remove("copied");
    $("announce").textContent = "";
  }, 2000);
}

// ---- What the reader sees --------------------------------------------------------------------

function showPeople() {
  people.show(me, isOpen(), count.members);
  showEmpty();
}

function showTyping() {
  people.showTyping(isOpen());
}

/** Says, as long as nobody said anything, how it could begin. */
function showEmpty() {
  const { state } = connection;
  const { names } = people;
  $("empty").hidden = !log.empty;
  const [title, text] =
    state !== "open" ? [`${STATE_TEXT[state]}${state === "connecting" ? "…" : ""}`, ""] :
    names.length === 0 ? ["Nobody else is here yet", "Open this page in a second tab, or send someone the link, and say hello."] :
    names.length === 1 ? [`You and ${names[0]} are here`, "Say hello."] : [`You and ${names.length} others are here`, "Say hello."];
  $("empty-title").textContent = title;
  $("empty-text").textContent = text;
  $("second").hidden = state !== "open" || names.length > 0;
}

function showRoom() {
  $("name").value = me.name;
  $("room").value = room;
  $("room-title").textContent = room;
  $("address").textContent = socketAddress(room);
  $("second").href = shareLink(room, transport);
  const other = transport === "socketio" ? "websocket" : "socketio";
  $("transport").textContent = NAMES[transport];
  $("other-transport").textContent = `Use ${NAMES[other]}`;
  $("other-transport").href = shareLink(room, other);
  $("other-transport").hidden = other === "socketio" && !hasSocketIo();
  showJoin();
  showTitle();
}

/** Says on the button what it will do; it stands back while there is nothing to do. */
function showJoin() {
  const { state } = connection;
  const elsewhere = $("room").value.trim() !== room;
  const renamed = cleanName($("name").value) !== me.name;
  const idle = !elsewhere && !renamed && (state === "open" || state === "connecting");
  $("join").textContent = idle ? "Joined" : renamed && !elsewhere && state === "open" ? "Save name" : "Join";
  $("join").className = idle ? "quiet" : "primary";
}

function showTitle() {
  const title = `${unread ? `(${unread}) ` : ""}#${room} · Switchboard`;
  if (document.title !== title) document.title = title;
}

function duration(ms) {
  const seconds = Math.round(ms / 1000);
  return seconds < 1 ? "a moment" : seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

// ---- Start -----------------------------------------------------------------------------------

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (!text || connection.state === "closed") return;
  field.value = "";
  field.rows = 1;
  typingSentAt = 0;
  say(text);
  field.focus();
});
field.addEventListener("input", typed);
field.addEventListener("keydown", (event) => {
  // Enter also picks a word from an input method; that one is not ours.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  join();
});
$("leave").addEventListener("click", () => {
  leave();
  openPanel(false);
  $("now").focus();
});
$("now").addEventListener("click", () => {
  if (!ready) return location.reload();
  connection.connect();
  focusField();
});
$("name").addEventListener("input", showJoin);
$("room").addEventListener("input", showJoin);
$("copy").addEventListener("click", copyLink);
$("newer").addEventListener("click", () => {
  log.scrollToEnd();
  focusField();
});
$("panel-toggle").addEventListener("click", () => openPanel(!$("panel").classList.contains("open")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !$("panel").classList.contains("open")) return;
  openPanel(false);
  $("panel-toggle").focus();
});
// The layout without a sheet; the same width as in the style.
matchMedia("(min-width: 761px)").addEventListener("change", () => openPanel(false));

addEventListener("online", () => connection.hurry());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  showTitle();
  connection.hurry();
  if (isOpen()) count.askSoon();
});
let resume = false;
addEventListener("pagehide", () => {
  resume = connection.state !== "closed";
  leave();
});
addEventListener("pageshow", (event) => {
  if (event.persisted && resume) connection.connect(); // back from the browser's cache of whole pages
});
addEventListener("popstate", () => {
  const wanted = roomIn(location);
  if (ready && wanted !== room) enter(wanted);
});

/** There is nothing to connect with, as `say` tells. */
function stay(say) {
  for (const id of ["join", "leave", "message", "send"]) $(id).disabled = true;
  $("speaks").hidden = true;
  showPeople();
  say();
}

async function start() {
  showRoom();
  if (!ready) {
    try {
      if (hasSocketIo()) await loadClient();
    } catch {
      return stay(showNoClient);
    }
    if (!hasSocketIo()) return stay(() => showNoSocketIo(shareLink(room, "websocket")));
    ready = true;
  }
  connection.connect();
  setInterval(tick, TICK);
  focusField();
}
start();
