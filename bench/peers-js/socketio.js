// The package socket.io, with default settings. node socketio.js echo|bcast PORT
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const [mode, port] = process.argv.slice(2);
const server = createServer();
const io = new Server(server);

io.on("connection", (socket) => {
  if (mode === "echo") socket.on("m", (data, ack) => ack(data));
  else socket.on("m", (data) => io.emit("m", data));
});

server.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
