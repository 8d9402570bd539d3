// The server that the socketio checks talk to, as Node's socket.io has it: what the checks say of
// it is so by definition, and ours must not be told apart from it.
// Usage: socketio-reference.cjs [--port N] [--parser json|msgpack] [--eio3] [--recovery] [--deflate]
//        [--ping-interval MS] [--ping-timeout MS]
// Prints `listening PORT`. The table of its namespaces and events is ../socketio-server.md.

const { parseArgs } = require('node:util');
const { createServer } = require('node:http');
const { Server } = require('socket.io');

const text = { type: 'string' };
const flag = { type: 'boolean', default: false };
const { values } = parseArgs({
  options: { port: text, parser: text, eio3: flag, recovery: flag, deflate: flag, 'ping-interval': text, 'ping-timeout': text },
});

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, {
  serveClient: false,
  cors: { origin: 'http://page.example', credentials: true, allowedHeaders: ['x-interop'] },
  allowRequest: (request, answer) => {
    const denied = new URL(request.url, 'http://localhost').searchParams.has('deny');
    answer(denied ? 'denied by the server' : null, !denied);
  },
  allowEIO3: values.eio3,
  pingInterval: Number(values['ping-interval'] ?? 25_000),
  pingTimeout: Number(values['ping-timeout'] ?? 20_000),
  ...(values.parser === 'msgpack' && { parser: require('socket.io-msgpack-parser') }),
  ...(values.recovery && { connectionStateRecovery: {} }),
  perMessageDeflate: values.deflate,
});

io.engine.use((request, response, next) => {
  // The response of an upgrade request is made by hand and has no headers of ours.
  response.setHeader?.('x-engine', 'interop');
  next();
});

const refusal = (message, data) => Object.assign(new Error(message), data && { data });

io.use((socket, next) => {
  const refuse = socket.handshake.auth.refuse ?? socket.handshake.query.refuse;
  if (refuse === 'data') next(refusal('not today', { code: 403, why: ['because', null] }));
  else next(refuse === 'plain' ? refusal('just no') : undefined);
});
io.of('/guarded').use((socket, next) => {
  if (socket.handshake.auth.token !== 'secret') return next(refusal('token wanted', { code: 401 }));
  socket.data.value = 'let in';
  next();
});
const dynamic = io.of(/^\/dynamic-\d+$/);
dynamic.use((socket, next) => next(socket.nsp.name === '/dynamic-13' ? refusal('unlucky') : undefined));

for (const namespace of [io.of('/'), io.of('/custom'), io.of('/guarded'), io.of('/greeting'), dynamic]) {
  namespace.on('connection', serve);
}

/** Installs every event on one socket, whatever its namespace. */
function serve(socket) {
  if (socket.nsp.name === '/greeting') for (const number of [1, 2, 3]) socket.emit('greeting', number);
  talk(socket);
  acknowledge(socket);
  rooms(socket);
  leave(socket);
}

function talk(socket) {
  const collected = [];
  socket.on('echo', (...args) => socket.emit('echo', ...args));
  socket.on('message', (...args) => socket.send(...args));
  socket.on('say', (event, ...args) => socket.emit(event, ...args));
  socket.on('count', (n) => {
    for (let index = 0; index < n; index += 1) socket.emit('number', index);
  });
  socket.on('collect', (value) => collected.push(value));
  socket.on('collected', (ack) => ack(collected));
  socket.on('blob', (size) => socket.emit('blob', Buffer.alloc(size, 'switchboard')));
  socket.once('once', () => socket.emit('once'));
  socket.use(([event], next) => next(event === 'forbidden' ? refusal('forbidden event', { event }) : undefined));
  socket.on('error', (error) => socket.emit('refused', error.message, error.data));
}

function acknowledge(socket) {
  socket.on('ack', (...args) => args.pop()(...args));
  socket.on('silence', () => {});
  socket.on('weigh', (...args) => args.pop()(weigh(args)));
  socket.on('ask', (...args) => socket.emit('question', ...args, (...answer) => socket.emit('answered', ...answer)));
  socket.on('ask-within', (ms, ...args) =>
    socket.timeout(ms).emit('question', ...args, (error, ...answer) =>
      error ? socket.emit('unanswered') : socket.emit('answered', ...answer),
    ),
  );
  socket.on('ask-room', (room, ms, question, ack) =>
    socket.nsp.to(room).timeout(ms).emit('question', question, (error, answers) => ack({ late: Boolean(error), answers })),
  );
  socket.on('whoami', (ack) => {
    const { auth, query, headers } = socket.handshake;
    ack({
      id: socket.id,
      namespace: socket.nsp.name,
      recovered: socket.recovered,
      transport: socket.conn.transport.name,
      rooms: [...socket.rooms].sort(),
      value: socket.data.value ?? null,
      header: headers['x-interop'] ?? null,
      auth,
      query,
    });
  });
  socket.on('set', (value, ack) => {
    socket.data.value = value;
    ack();
  });
}

/** How many binary values there are anywhere in `args`, and how many bytes they have. */
function weigh(args) {
  const weight = { buffers: 0, bytes: 0 };
  const look = (value) => {
    // The msgpack parser leaves what was sent as ArrayBuffer one.
    if (Buffer.isBuffer(value) || value instanceof ArrayBuffer) {
      weight.buffers += 1;
      weight.bytes += value.byteLength;
    } else if (value && typeof value === 'object') Object.values(value).forEach(look);
  };
  look(args);
  return weight;
}

function rooms(socket) {
  socket.on('join', (names, ack) => {
    socket.join(names);
    ack();
  });
  socket.on('leave', (name, ack) => {
    socket.leave(name);
    ack();
  });
  // The one way to send to others; `how` says from where, to which rooms, and in which manner.
  socket.on('send', (how, event, ...args) => {
    const ack = args.pop();
    let target = how.from === 'socket' ? socket : socket.nsp;
    if (how.volatile) target = target.volatile;
    if (how.local) target = target.local;
    if (how.compress) target = target.compress(true);
    if (how.from === 'socket' && !how.to) target = target.broadcast;
    if (how.to) target = target.to(how.to);
    if (how.except) target = target.except(how.except);
    target.emit(event, ...args);
    ack();
  });
  socket.on('members', async (room, ack) => ack((await socket.nsp.in(room).fetchSockets()).map(({ id }) => id).sort()));
  socket.on('move', (from, to, ack) => {
    socket.nsp.in(from).socketsJoin(to);
    socket.nsp.in(from).socketsLeave(from);
    ack();
  });
  socket.on('clear', (room, close, ack) => {
    socket.nsp.in(room).disconnectSockets(close);
    ack();
  });
}

function leave(socket) {
  const watchers = (id) => `watch:${id}`;
  let left = [];
  socket.on('kick', (close) => socket.disconnect(close));
  socket.on('hang-up', () => socket.conn.close());
  socket.on('watch', (id, ack) => {
    socket.join(watchers(id));
    ack(socket.nsp.sockets.has(id));
  });
  socket.on('disconnecting', () => {
    left = [...socket.rooms].filter((room) => room !== socket.id && !room.startsWith('watch:')).sort();
  });
  socket.on('disconnect', (reason) => socket.nsp.to(watchers(socket.id)).emit('gone', socket.id, reason, left));
}

http.listen(Number(values.port ?? 0), '127.0.0.1', () => console.log(`listening ${http.address().port}`));
