// The names of rooms, and the addresses made of them. All are relative to the page, so that it also
// works from below a folder of a proxy.

/** A room of the server. "." and ".." are left out: in a URL they mean a folder. */
export function isRoom(text) {
  return /^[A-Za-z0-9._-]{1,64}$/.test(text) && text !== "." && text !== "..";
}

/** The room that a link to this page names; the lobby if it names none. */
export function roomIn({ search }) {
  const wanted = new URLSearchParams(search).get("room") ?? "";
  return isRoom(wanted) ? wanted : "lobby";
}

/** Where the server tells about a room. */
export function roomUrl(room) {
  return new URL(`rooms/${room}`, document.baseURI);
}

/** Where a WebSocket joins a room. */
export function socketAddress(room) {
  const url = roomUrl(room);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** How this page talks to the server: "websocket", or "socketio" if its link says so. */
export function transportIn({ search }) {
  return new URLSearchParams(search).get("transport") === "socketio" ? "socketio" : "websocket";
}

/** Whether this server answers Socket.IO: it says so in the page. */
export function hasSocketIo() {
  return document.documentElement.dataset.socketio !== "off";
}

/** The link that opens this page in a room. */
export function shareLink(room, transport) {
  return new URL(`?room=${room}${transport === "socketio" ? "&transport=socketio" : ""}`, document.baseURI).href;
}
