// The demo chat page. The server relays every message of a room to its other members and knows
// nothing of names or chat, so the whole protocol lives here, as JSON in text messages between pages:
//
//   {type:"hello",  id, name}               I am new here: who is there?
//   {type:"here",   id, name}               I am: the answer to a hello, and a sign of life
//   {type:"rename", id, name}               I changed my name
//   {type:"say",    id, name, text, at, n}  a message; at: ms since 1970, n: counts up (at and n may be left out)
//   {type:"typing", id, on}                 I started or stopped writing
//   {type:"bye",    id}                     I am leaving
//
// Anything else is shown as it is, from "someone": stock clients may be in the room.

const LOG_LIMIT = 500; // messages and notes kept in the page
const SHOWN_LIMIT = 8000; // characters shown of one message
const PEER_LIMIT = 200; // people listed; a flood of hellos must not fill the memory
const CONNECT_LIMIT = 10_000; // ms until an attempt to connect is given up
const FIRST_DELAY = 1000; // ms; doubles with each failed attempt ...
const LAST_DELAY = 30_000; // ... up to this
const STEADY_AFTER = 5000; // ms a connection lasts before the delay starts over
const HERE_EVERY = 30_000; // ms between signs of life
// A hidden tab may run its timers once a minute only, so silence says little until well after that.
const SILENT_LIMIT = 150_000;
const ANSWER_LIMIT = 4000; // ms in which everyone who is there answers a hello
const COUNT_EVERY = 10_000; // ms between questions for the number of members
const TYPING_EVERY = 3000; // ms between typing signals while writing goes on
const TYPING_SHOWN = 5000; // ms a typing signal is shown

const $ = (id) => document.getElementById(id);
const log = $("log");
const field = $("message");

const me = { id: randomId(), name: savedName() ?? randomName() };
let room = roomIn(location) ?? "lobby";
/** Everyone who said hello or here: id -> {name, seen, typingUntil, last}. */
const peers = new Map();
/** Own messages not yet handed to the network, oldest first: {json, element, sent}. */
let outbox = [];
let said = 0; // own messages so far: the `n` of the last one

// ---- Connection ------------------------------------------------------------------------------

let socket = null;
let state = "closed"; // connecting | open | waiting | closed
let attempt = 0;
let due = {}; // when to do what next, in ms since 1970: {retry, giveUp, here, count, rollCall}
let openedAt = 0;
let lostAt = 0;
let holding = false; // connected again, but those who were here before are not: see letGo
let unanswered = 0; // questions for the count in a row that met no server

function connect() {
  hangUp();
  due = { giveUp: Date.now() + CONNECT_LIMIT };
  show("connecting");
  const mine = new WebSocket(address());
  mine.binaryType = "arraybuffer";
  mine.onopen = opened;
  mine.onmessage = (event) => received(event.data);
  mine.onclose = (event) => lost(event.code);
  socket = mine;
}

function opened() {
  const now = Date.now();
  openedAt = now;
  unanswered = 0;
  due = { here: now + HERE_EVERY, count: now };
  show("open");
  if (lostAt) {
    holding = peers.size > 0;
    note(`Back after ${duration(now - lostAt)}. What others said meanwhile is not shown here.`);
    lostAt = 0;
  }
  callTheRoll();
  flush();
}

/** The connection ended, or never began: wait, longer each time, and try again. */
function lost(code) {
  const now = Date.now();
  if (state === "open") {
    lostAt = now;
    if (now - openedAt > STEADY_AFTER) attempt = 0;
  }
  hangUp();
  const longest = Math.min(FIRST_DELAY * 2 ** attempt, LAST_DELAY);
  attempt += 1;
  // Half fixed, half random: a thousand pages do not return in the same moment.
  due = { retry: now + longest / 2 + Math.random() * (longest / 2) };
  show("waiting", code === 1001 || code === 1012 ? "The server is restarting." : code === 1013 ? "The server is busy." : "No connection.");
}

/** Lets go of the socket, whatever it is doing; nothing it still reports is heard. */
function hangUp() {
  if (!socket) return;
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
  socket = null;
  holding = false;
  for (const entry of outbox) entry.sent = false;
  markHeld();
}

function leave() {
  send({ type: "bye", id: me.id });
  hangUp();
  due = {};
  attempt = lostAt = 0;
  peers.clear();
  show("closed");
}

/** Connects at once if a retry is due anyway: the network or the reader came back. */
function hurry() {
  if (state === "waiting") connect();
}

function send(message) {
  if (state === "open") socket.send(JSON.stringify(message));
}

/** Everything that waits for a time: one heartbeat for the page. */
function tick() {
  const now = Date.now();
  const reached = (what) => {
    if (!(due[what] <= now)) return false;
    delete due[what];
    return true;
  };
  if (reached("giveUp")) lost();
  if (reached("retry")) connect();
  if (reached("here")) {
    due.here = now + HERE_EVERY;
    send({ type: "here", id: me.id, name: me.name });
  }
  if (reached("count")) askCount();
  if (reached("rollCall")) departSilentSince(calledAt);
  if (state === "open" && !due.rollCall) departSilentSince(now - SILENT_LIMIT);
  letGo();
  showCountdown(now);
  showTyping();
}

/**
 * After a reconnect, sends what was kept as soon as it can be heard: when everyone who was here is
 * back, or, once the roll was called, when anyone is. The server keeps no history, and after its
 * restart the first page to return would speak to an empty room.
 */
function letGo() {
  if (!holding || state !== "open") return;
  const answered = [...peers.values()].every((peer) => peer.seen >= calledAt);
  const called = due.rollCall === undefined;
  if (!(peers.size > 0 ? answered || called : memberCount > 1)) return;
  holding = false;
  flush();
}

/** Sends what is in the outbox, then watches until the browser has handed it to the network. */
function flush() {
  if (state !== "open" || holding) return markHeld();
  for (const entry of outbox) {
    if (entry.sent) continue;
    socket.send(entry.json);
    entry.sent = true;
  }
  markHeld();
  drained();
}

let draining = 0;
function drained() {
  clearTimeout(draining);
  if (state !== "open" || outbox.length === 0) return;
  if (socket.bufferedAmount > 0) {
    draining = setTimeout(drained, 30);
    return;
  }
  for (const entry of outbox) entry.element.classList.remove("pending");
  outbox = [];
}

/** Asks the server how many members the room has; members without this page count too. */
async function askCount() {
  due.count = Date.now() + COUNT_EVERY;
  if (document.hidden) return;
  const asked = socket;
  try {
    const response = await fetch(roomPath(), { cache: "no-store", signal: AbortSignal.timeout(CONNECT_LIMIT) });
    const { members } = response.ok ? await response.json() : {};
    if (asked !== socket || state !== "open") return;
    unanswered = 0;
    if (!Number.isInteger(members)) return;
    memberCount = members;
    // Someone we list is gone without a bye: find out who.
    if (members < peers.size + 1 && !due.rollCall) callTheRoll();
    showPeople();
  } catch {
    if (asked !== socket || state !== "open") return;
    unanswered += 1;
    // A browser does not notice a dead connection by itself; after sleep that can take long.
    if (unanswered >= 2) lost();
    else askCountSoon();
  }
}

function askCountSoon() {
  due.count = Math.min(due.count ?? Infinity, Date.now() + 400);
}

// ---- What arrives ----------------------------------------------------------------------------

function received(data) {
  if (typeof data !== "string") {
    const bytes = data.byteLength;
    addMessage({ text: `${bytes.toLocaleString("en")} ${bytes === 1 ? "byte" : "bytes"} of binary data`, kind: "binary" });
    return askCountSoon();
  }
  const message = parse(data);
  if (!message) {
    addMessage({ text: data });
    return askCountSoon();
  }
  const { type, id, name } = message;
  if (id === me.id) return; // our own, from a server told to echo
  const peer = peers.get(id);
  switch (type) {
    case "hello":
      meet(id, name, true);
      send({ type: "here", id: me.id, name: me.name });
      return askCountSoon();
    case "here":
    case "rename":
      return void meet(id, name, false);
    case "bye":
      if (peer) depart(id);
      return askCountSoon();
    case "typing":
      if (peer) peer.typingUntil = message.on ? Date.now() + TYPING_SHOWN : 0;
      return showTyping();
    case "say":
      return heard(message);
  }
}

function heard({ id, name, text, at, n }) {
  const peer = meet(id, name, false);
  if (peer && n !== undefined) {
    if (n <= peer.last) return; // sent a second time after a reconnect; we had it
    peer.last = n;
  }
  if (peer) peer.typingUntil = 0;
  addMessage({ id, name, text, at });
  showTyping();
}

/** One of this page's messages, checked, or null if the text is anything else. */
function parse(text) {
  let raw;
  try {
    raw = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof raw !== "object" || raw === null) return null;
  const { type, id } = raw;
  if (typeof id !== "string" || !/^[\w-]{1,32}$/.test(id)) return null;
  if (type === "bye") return { type, id };
  if (type === "typing") return { type, id, on: raw.on === true };
  const name = cleanName(raw.name);
  if (!name) return null;
  if (type === "hello" || type === "here" || type === "rename") return { type, id, name };
  if (type !== "say" || typeof raw.text !== "string") return null;
  // A clock that is a day off is not believed.
  const at = Number.isFinite(raw.at) && Math.abs(raw.at - Date.now()) < 86_400_000 ? raw.at : Date.now();
  const n = Number.isSafeInteger(raw.n) ? raw.n : undefined;
  return { type, id, name, text: raw.text, at, n };
}

// ---- People ----------------------------------------------------------------------------------

let memberCount = null; // as the server said, ourselves included
let calledAt = 0; // when we last said hello

/** Notes that a peer is there, under this name; undefined if the list is full. */
function meet(id, name, announced) {
  let peer = peers.get(id);
  const before = peer?.name;
  if (!peer) {
    if (peers.size >= PEER_LIMIT) return undefined;
    peer = { name, typingUntil: 0, last: -1 };
    peers.set(id, peer);
    if (announced) note(`${name} joined`);
  } else if (before !== name) {
    note(`${before} is now ${name}`);
    peer.name = name;
  }
  peer.seen = Date.now();
  if (before !== name) showPeople();
  return peer;
}

function depart(id) {
  note(`${peers.get(id).name} left`);
  peers.delete(id);
  showPeople();
  showTyping();
}

/** Says hello, and counts those as gone who have not answered within ANSWER_LIMIT. */
function callTheRoll() {
  send({ type: "hello", id: me.id, name: me.name });
  calledAt = Date.now();
  due.rollCall = calledAt + ANSWER_LIMIT;
}

function departSilentSince(time) {
  for (const [id, peer] of peers) if (peer.seen < time) depart(id);
}

function showPeople() {
  const connected = state === "open";
  const items = [person(me.id, me.name, "me")];
  for (const [id, peer] of peers) items.push(person(id, peer.name, ""));
  const others = connected && memberCount !== null ? memberCount - items.length : 0;
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
  showEmpty();
}

function person(id, name, kind) {
  const item = element("li", kind);
  item.dataset.id = id;
  item.append(avatar(id, name), element("bdi", "", name));
  if (kind === "me") item.append(element("span", "you", "you"));
  return item;
}

let typingShown = "";
function showTyping() {
  const now = Date.now();
  const names = state === "open" ? [...peers.values()].filter((peer) => peer.typingUntil > now).map((peer) => peer.name) : [];
  const text =
    names.length === 0 ? "" :
    names.length === 1 ? `${names[0]} is writing…` :
    names.length === 2 ? `${names[0]} and ${names[1]} are writing…` : `${names.length} people are writing…`;
  if (text === typingShown) return;
  typingShown = text;
  $("typing").textContent = text;
}

// ---- The log ---------------------------------------------------------------------------------

let lastSpeaker = null; // {key, at} of the newest message, for runs of one person
let atEnd = true; // the reader was at the end of the log when it last moved
let newer = 0; // messages below what the reader sees
let unread = 0; // messages since the page was hidden

/** Shows a message; without an id it is from a client that is not this page. */
function addMessage({ id, name = "someone", text, at = Date.now(), kind = "" }) {
  const mine = id === me.id;
  const box = element("div", `message fresh ${kind} ${mine ? "mine" : ""} ${hue(id)}`);
  const time = element("time", "", clock(at));
  time.dateTime = new Date(at).toISOString();
  const head = element("div", "head");
  head.append(element("bdi", "who", mine ? `${name} (you)` : name), " ", time);
  const body = element("div", "text");
  body.append(...linked(shortened(text)));
  box.append(avatar(id, name), head, body);
  const key = `${id} ${name}`;
  if (lastSpeaker?.key === key && at - lastSpeaker.at < 180_000) box.classList.add("more");
  lastSpeaker = { key, at };
  append(box, mine);
  if (!mine && !atEnd) newer += 1;
  if (!mine && document.hidden) unread += 1;
  showEmpty();
  showNewer();
  showTitle();
  return box;
}

function note(text) {
  lastSpeaker = null;
  append(element("p", "note", text), false);
}

let frame = 0; // the scroll that is due with the next frame
function append(item, jump) {
  // To ask or to move makes the browser lay out the whole log: once per frame, not per message.
  if (!frame) {
    atEnd = isAtEnd(); // the scroll event may not have come yet
    frame = requestAnimationFrame(() => {
      frame = 0;
      if (atEnd) scrollToEnd();
    });
  }
  log.append(item);
  // The first child is #empty, which stays.
  while (log.childElementCount > LOG_LIMIT + 1) log.children[1].remove();
  if (jump) scrollToEnd();
}

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 48;
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
  atEnd = true;
  newer = 0;
  showNewer();
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

function showEmpty() {
  $("empty").hidden = log.querySelector(".message") !== null;
  const names = [...peers.values()].map((peer) => peer.name);
  const [title, text] =
    state !== "open" ? [`${STATE_TEXT[state]}${state === "connecting" ? "…" : ""}`, ""] :
    names.length === 0 ? ["Nobody else is here yet", "Open this page in a second tab, or send someone the link, and say hello."] :
    names.length === 1 ? [`You and ${names[0]} are here`, "Say hello."] : [`You and ${names.length} others are here`, "Say hello."];
  $("empty-title").textContent = title;
  $("empty-text").textContent = text;
  $("second").hidden = state !== "open" || names.length > 0;
}

function showNewer() {
  $("newer").hidden = newer === 0;
  $("newer").textContent = newer === 1 ? "1 new message ↓" : `${newer} new messages ↓`;
}

function showTitle() {
  const title = `${unread ? `(${unread}) ` : ""}#${room} · Switchboard`;
  if (document.title !== title) document.title = title;
}

// ---- State, shown ----------------------------------------------------------------------------

const STATE_TEXT = { connecting: "Connecting", open: "Connected", waiting: "Disconnected", closed: "Not joined" };

function show(next, why = "") {
  // While it retries, the banner stays: it must not jump in and out with each attempt.
  const retrying = next === "waiting" || (next === "connecting" && attempt > 0);
  state = next;
  $("state").dataset.state = next;
  $("state-text").textContent = STATE_TEXT[next];
  $("banner").hidden = !retrying && next !== "closed";
  if (next === "waiting") {
    $("banner-title").textContent = why;
    $("banner-text").textContent = "What you write is kept, and sent when the connection is back.";
  }
  if (next === "closed") {
    $("banner-title").textContent = "You left the room.";
    $("banner-text").textContent = "";
  }
  $("now").textContent = next === "closed" ? "Join again" : "Now";
  $("now").setAttribute("aria-label", next === "closed" ? "Join again" : "Connect now");
  $("leave").disabled = next === "closed";
  field.disabled = $("send").disabled = next === "closed";
  if (next !== "open") memberCount = null;
  showCountdown(Date.now());
  showPeople();
  showTyping();
  showJoin();
}

/** Says on the button what it will do; it stands back while there is nothing to do. */
function showJoin() {
  const elsewhere = $("room").value.trim() !== room;
  const renamed = cleanName($("name").value) !== me.name;
  const idle = !elsewhere && !renamed && (state === "open" || state === "connecting");
  $("join").textContent = idle ? "Joined" : renamed && !elsewhere && state === "open" ? "Save name" : "Join";
  $("join").className = idle ? "quiet" : "primary";
}

function showCountdown(now) {
  const seconds = Math.max(1, Math.ceil((due.retry - now) / 1000));
  const text = state === "waiting" ? `Next try in ${seconds} s.` : state === "connecting" && attempt > 0 ? "Trying…" : "";
  if ($("countdown").textContent !== text) $("countdown").textContent = text;
}

function showRoom() {
  $("name").value = me.name;
  $("room").value = room;
  $("room-title").textContent = room;
  $("address").textContent = address();
  $("second").href = shareLink();
  showJoin();
  showTitle();
}

/** Says on each message of ours that waits what it waits for. */
function markHeld() {
  const reason = holding ? "Waiting for the others to come back" : "Waiting for the connection";
  for (const { element: box, sent } of outbox) {
    box.classList.toggle("held", !sent);
    box.querySelector(".status").textContent = sent ? "" : reason;
  }
}

// ---- What the reader does --------------------------------------------------------------------

function say(text) {
  const at = Date.now();
  said += 1;
  const box = addMessage({ id: me.id, name: me.name, text, at });
  box.classList.add("pending");
  box.append(element("span", "status"));
  outbox.push({ json: JSON.stringify({ type: "say", id: me.id, name: me.name, text, at, n: said }), element: box, sent: false });
  flush();
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
    history.pushState(null, "", shareLink());
  } else if (state === "closed" || state === "waiting") {
    connect();
  }
  showRoom();
  openPanel(false);
  focusField();
}

function rename(name) {
  if (name === me.name) return;
  me.name = name;
  keepName("local", name);
  keepName("session", name);
  send({ type: "rename", id: me.id, name });
  showPeople();
}

/** Moves to another room: its log starts empty. */
function enter(next) {
  const unsent = outbox.length;
  const old = room;
  leave();
  outbox = [];
  while (log.childElementCount > 1) log.lastElementChild.remove();
  lastSpeaker = null;
  scrollToEnd();
  room = next;
  if (unsent) note(`Not sent to #${old}: ${unsent === 1 ? "one message" : `${unsent} messages`}`);
  showRoom();
  connect();
}

let typingSentAt = 0;
function typed() {
  field.rows = Math.min(6, field.value.split("\n").length); // for browsers without field-sizing
  const on = field.value.trim() !== "";
  const now = Date.now();
  if (on ? now - typingSentAt < TYPING_EVERY : typingSentAt === 0) return;
  typingSentAt = on ? now : 0;
  send({ type: "typing", id: me.id, on });
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
  const copied = await copy(shareLink());
  $("copy-text").textContent = copied ? "Copied" : "Copy failed";
  $("copy").classList.toggle("copied", copied);
  $("announce").textContent = copied ? "Link copied" : `The link is ${shareLink()}`;
  setTimeout(() => {
    $("copy-text").textContent = "Copy link";
    $("copy").classList.remove("copied");
    $("announce").textContent = "";
  }, 2000);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain http on another machine's address there is no clipboard object; the old way still works.
    const helper = element("textarea", "unseen", text);
    document.body.append(helper);
    helper.select();
    const copied = document.execCommand("copy");
    helper.remove();
    $("copy").focus();
    return copied;
  }
}

// ---- Names, rooms, addresses -----------------------------------------------------------------

/** A room of the server. "." and ".." are left out: in a URL they mean a folder. */
function isRoom(text) {
  return /^[A-Za-z0-9._-]{1,64}$/.test(text) && text !== "." && text !== "..";
}

function roomIn({ search }) {
  const wanted = new URLSearchParams(search).get("room") ?? "";
  return isRoom(wanted) ? wanted : null;
}

function roomPath() {
  return new URL(`rooms/${room}`, document.baseURI);
}

function address() {
  const url = roomPath();
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function shareLink() {
  return new URL(`?room=${room}`, document.baseURI).href;
}

/** At most 40 characters on one line; no control characters, none that turn the writing direction. */
function cleanName(value) {
  if (typeof value !== "string") return "";
  const line = value.slice(0, 400).replace(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, " ");
  return [...line.replace(/\s+/g, " ").trim()].slice(0, 40).join("").trim();
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function randomName() {
  const pick = (words) => words.split(" ")[Math.floor(Math.random() * words.split(" ").length)];
  const first = pick("Amber Brisk Calm Clever Coral Dusky Early Gentle Golden Hazel Ivory Jolly Kind Lucky Mellow Misty Noble Quiet Rapid Silver Sunny Tidy Velvet Wise");
  const second = pick("Badger Beaver Crane Curlew Dolphin Falcon Finch Fox Heron Ibis Kestrel Lark Lynx Marten Otter Owl Plover Puffin Raven Robin Seal Stork Swift Wren");
  const name = `${first} ${second}`;
  // For this tab only, so that two tabs of one browser are two people until someone chooses a name.
  keepName("session", name);
  return name;
}

function savedName() {
  return cleanName(storedName("session")) || cleanName(storedName("local")) || null;
}

// Storage may be switched off; then even touching it throws. The name is then new each time.
function storedName(which) {
  try {
    return window[`${which}Storage`].getItem("switchboard.name");
  } catch {
    return null;
  }
}

function keepName(which, name) {
  try {
    window[`${which}Storage`].setItem("switchboard.name", name);
  } catch {
    // As above.
  }
}

// ---- Small helpers ---------------------------------------------------------------------------

function element(tag, classes = "", text = "") {
  const made = document.createElement(tag);
  made.className = classes.trim();
  made.textContent = text;
  return made;
}

function avatar(id, name) {
  const initials = name.split(" ").slice(0, 2).map((word) => [...word][0]).join("").toUpperCase();
  const circle = element("span", `avatar ${hue(id)}`, id ? initials : "?");
  circle.setAttribute("aria-hidden", "true");
  return circle;
}

/** The colour of a person, by id: the same on every screen. */
function hue(id) {
  if (!id) return "hue-none";
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return `hue-${sum % 8}`;
}

function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function duration(ms) {
  const seconds = Math.round(ms / 1000);
  return seconds < 1 ? "a moment" : seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

// ---- Start -----------------------------------------------------------------------------------

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (!text || state === "closed") return;
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
  connect();
  focusField();
});
$("name").addEventListener("input", showJoin);
$("room").addEventListener("input", showJoin);
$("copy").addEventListener("click", copyLink);
$("newer").addEventListener("click", () => {
  scrollToEnd();
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
log.addEventListener("scroll", () => {
  // New messages below, that the next frame will scroll to, do not mean that the reader went away.
  if (frame) return;
  atEnd = isAtEnd();
  if (atEnd && newer) scrollToEnd();
});
// A keyboard that slides in must not cover the newest message.
new ResizeObserver(() => atEnd && scrollToEnd()).observe(log);

addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  showTitle();
  hurry();
  if (state === "open") askCountSoon();
});
let resume = false;
addEventListener("pagehide", () => {
  resume = state !== "closed";
  leave();
});
addEventListener("pageshow", (event) => {
  if (event.persisted && resume) connect(); // back from the browser's cache of whole pages
});
addEventListener("popstate", () => {
  const wanted = roomIn(location) ?? "lobby";
  if (wanted !== room) enter(wanted);
});

showRoom();
connect();
setInterval(tick, 250);
focusField();
