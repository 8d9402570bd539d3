// The server that the wire checks talk to, as Node has it: the one the public protocol suites ask for.
// Usage: socketio-suite-reference.cjs [--port N] [--eio] [--v3] [--ping-interval MS] [--ping-timeout MS]
//   [--connect-timeout MS]
// Prints `listening PORT`. Its behaviour is written down in ../socketio-server.md.

const { parseArgs } = require('node:util');
const { createServer } = require('node:http');
const { Server } = require('socket.io');
const { Server: Engine } = require('engine.io');

const text = { type: 'string' };
const flag = { type: 'boolean', default: false };
const { values } = parseArgs({
  options: { port: text, eio: flag, v3: flag, 'ping-interval': text, 'ping-timeout': text, 'connect-timeout': text },
});

const http = createServer((_, response) => response.writeHead(404).end());
const options = {
  pingInterval: Number(values['ping-interval'] ?? 300),
  pingTimeout: Number(values['ping-timeout'] ?? 200),
  maxHttpBufferSize: 1_000_000,
  connectTimeout: Number(values['connect-timeout'] ?? 1_000),
  cors: { origin: '*' },
  allowEIO3: values.v3,
};

if (values.eio) {
  const engine = new Engine(options);
  engine.attach(http, { path: '/engine.io/' });
  engine.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
} else {
  const io = new Server(http, { ...options, serveClient: false });
  const greet = (socket) => socket.emit('auth', socket.handshake.auth);
  io.on('connection', (socket) => {
    greet(socket);
    socket.on('message', (...args) => socket.emit('message-back', ...args));
    socket.on('message-with-ack', (...args) => args.pop()(...args));
  });
  io.of('/custom').on('connection', greet);
}

http.listen(Number(values.port ?? 0), '127.0.0.1', () => console.log(`listening ${http.address().port}`));
