// Bun's own server. bun bun.js echo|bcast|topics PORT [deflate|shared]
const [mode, port, option] = process.argv.slice(2);
const perMessageDeflate =
  option === "deflate"
    ? { compress: "dedicated", decompress: "dedicated" }
    : option === "shared"
      ? { compress: "shared", decompress: "shared" }
      : false;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  fetch(request, server) {
    const topic = mode === "topics" ? new URL(request.url).pathname : "all";
    if (!server.upgrade(request, { data: { topic } })) return new Response("WebSocket only", { status: 400 });
  },
  websocket: {
    maxPayloadLength: 64 << 20,
    backpressureLimit: 64 << 20,
    idleTimeout: 120,
    perMessageDeflate,
    open(socket) {
      if (mode !== "echo") socket.subscribe(socket.data.topic);
    },
    message(socket, message) {
      if (mode === "echo") socket.send(message, Boolean(option));
      else server.publish(socket.data.topic, message);
    },
  },
});
