// What the pages tell each other. The server relays every message of a room to its other members and
// knows nothing of names or chat, so the whole protocol lives here, as JSON in text messages:
//
//   {type:"hello",  id, name}               I am new here: who is there?
//   {type:"here",   id, name}               I am: the answer to a hello, and a sign of life
//   {type:"rename", id, name}               I changed my name
//   {type:"say",    id, name, text, at, n}  a message; at: ms since 1970, n: counts up (at and n may be left out)
//   {type:"typing", id, on}                 I started or stopped writing
//   {type:"bye",    id}                     I am leaving
//
// Anything else is shown as it is, from "someone": stock clients may be in the room.

import { cleanName } from "./names.js";

/** One of these messages, checked, or null if the text is anything else. */
export function parse(text) {
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
