// The package socket.io on Bun's own server, by @socket.io/bun-engine. bun socketio_bun.js echo|bcast PORT
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";

const [mode, port] = process.argv.slice(2);
const engine = new Engine({ path: "/socket.io/" });
const io = new Server();
io.bind(engine);

io.on("connection", (socket) => {
  if (mode === "echo") socket.on("m", (data, ack) => ack(data));
  else socket.on("m", (data) => io.emit("m", data));
});

Bun.serve({ hostname: "127.0.0.1", port: Number(port), ...engine.handler() });
