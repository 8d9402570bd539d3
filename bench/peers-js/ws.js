// The package ws. node ws.js echo|bcast PORT [deflate]
const { WebSocketServer } = require("ws");

const [mode, port, option] = process.argv.slice(2);
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  backlog: 4096,
  maxPayload: 64 << 20,
  perMessageDeflate: option === "deflate",
});

server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => {
    if (mode === "echo") socket.send(data, { binary });
    else for (const client of server.clients) client.send(data, { binary });
  });
});
