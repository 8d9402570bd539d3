// What people are called: the reader's own name, made up until one is chosen, and how any name is
// made fit to be shown.

const FIRST = "Amber Brisk Calm Clever Coral Dusky Early Gentle Golden Hazel Ivory Jolly Kind Lucky Mellow Misty Noble Quiet Rapid Silver Sunny Tidy Velvet Wise";
const SECOND = "Badger Beaver Crane Curlew Dolphin Falcon Finch Fox Heron Ibis Kestrel Lark Lynx Marten Otter Owl Plover Puffin Raven Robin Seal Stork Swift Wren";

/** The name this tab had, or else the one last chosen in this browser, or else a new one. */
export function ownName() {
  return cleanName(stored("session")) || cleanName(stored("local")) || randomName();
}

/** Keeps the name the reader chose, for this tab and for those opened later. */
export function keepName(name) {
  store("local", name);
  store("session", name);
}

/** At most 40 characters on one line; no control characters, none that turn the writing direction. */
export function cleanName(value) {
  if (typeof value !== "string") return "";
  const line = value.slice(0, 400).replace(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, " ");
  return [...line.replace(/\s+/g, " ").trim()].slice(0, 40).join("").trim();
}

/** What tells two people of the same name apart. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function randomName() {
  const name = `${oneOf(FIRST.split(" "))} ${oneOf(SECOND.split(" "))}`;
  // For this tab only, so that two tabs of one browser are two people until someone chooses a name.
  store("session", name);
  return name;
}

function oneOf(words) {
  return words[Math.floor(Math.random() * words.length)];
}

// Storage may be switched off; then even touching it throws. The name is then new each time.
function stored(which) {
  try {
    return window[`${which}Storage`].getItem("switchboard.name");
  } catch {
    return null;
  }
}

function store(which, name) {
  try {
    window[`${which}Storage`].setItem("switchboard.name", name);
  } catch {
    // As above.
  }
}
