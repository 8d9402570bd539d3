// How the connection stands, in words: the state in the header, and the banner that says why there
// is none and what happens next.

import { $, element } from "./dom.js";

export const STATE_TEXT = { connecting: "Connecting", open: "Connected", waiting: "Disconnected", closed: "Not joined" };

/** Shows the state; `code` is that of the close frame, if one ended the connection. */
export function showStatus(connection, code) {
  const { state } = connection;
  const closed = state === "closed";
  $("state").dataset.state = state;
  $("state-text").textContent = STATE_TEXT[state];
  // While it retries, the banner stays: it must not jump in and out with each attempt.
  $("banner").hidden = !connection.retrying && !closed;
  if (state === "waiting") {
    $("banner-title").textContent = reason(code);
    $("banner-text").textContent = "What you write is kept, and sent when the connection is back.";
  }
  if (closed) {
    $("banner-title").textContent = "You left the room.";
    $("banner-text").textContent = "";
  }
  $("now").textContent = closed ? "Join again" : "Now";
  $("now").setAttribute("aria-label", closed ? "Join again" : "Connect now");
  showCountdown(connection, Date.now());
}

/** Says that there is no client of Socket.IO, and how to get one. */
export function showNoClient() {
  showNothing("No client", "This server has no Socket.IO client to give.", [
    "Get it with ",
    element("code", "", "npm install socket.io-client"),
    " and start the server with ",
    element("code", "", "--socketio-client-dir node_modules/socket.io-client/dist"),
  ]);
}

/** Says that this server speaks no Socket.IO, and what it speaks. */
export function showNoSocketIo(link) {
  const other = element("a", "", "Use WebSocket");
  other.href = link;
  showNothing("No Socket.IO", "This server does not answer Socket.IO.", [
    "It was started with ",
    element("code", "", "--no-socketio"),
    ". ",
    other,
  ]);
}

function showNothing(state, title, text) {
  $("state").dataset.state = "closed";
  $("state-text").textContent = state;
  $("banner-title").textContent = title;
  $("banner-text").replaceChildren(...text);
  $("now").textContent = "Try again";
  $("now").setAttribute("aria-label", "Try again");
  $("banner").hidden = false;
}

/** Shows how long it is until the next attempt. */
export function showCountdown(connection, now) {
  const seconds = Math.max(1, Math.ceil((connection.retryAt - now) / 1000));
  const text = connection.state === "waiting" ? `Next try in ${seconds} s.` : connection.retrying ? "Trying…" : "";
  if ($("countdown").textContent !== text) $("countdown").textContent = text;
}

function reason(code) {
  return code === 1001 || code === 1012 ? "The server is restarting." : code === 1013 ? "The server is busy." : "No connection.";
}
