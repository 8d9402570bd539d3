// Deno's own server. deno run --allow-net deno.js echo|bcast PORT
const [mode, port] = Deno.args;
const everyone = new Set();

Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen() {} }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  socket.binaryType = "arraybuffer";
  socket.onerror = () => {};
  if (mode === "echo") {
    socket.onmessage = (event) => socket.send(event.data);
  } else {
    socket.onopen = () => everyone.add(socket);
    socket.onclose = () => everyone.delete(socket);
    socket.onmessage = (event) => {
      for (const other of everyone) if (other.readyState === WebSocket.OPEN) other.send(event.data);
    };
  }
  return response;
});
