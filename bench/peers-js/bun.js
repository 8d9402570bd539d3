// Bun's own server. bun bun.js echo|bcast|topics PORT [deflate|shared] [--tls-cert=FILE --tls-key=FILE]
const words = process.argv.slice(2);
const [mode, port, option] = words.filter((word) => !word.startsWith("--"));
const valueOf = (name) => words.find((word) => word.startsWith(name))?.slice(name.length);
const [cert, key] = [valueOf("--tls-cert="), valueOf("--tls-key=")];
const perMessageDeflate =
  option === "deflate"
    ? { compress: "dedicated", decompress: "dedicated" }
    : option === "shared"
      ? { compress: "shared", decompress: "shared" }
      : false;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  tls: cert && key ? { cert: Bun.file(cert), key: Bun.file(key) } : undefined,
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
