// An echo server by npm `ws`, for our client to try.
// Usage: echo_server.mjs --compression on|off --protocol NAME [--cert PEM --key PEM]
// Prints `listening PORT` and, per connection that ended, `closed CODE REASON`.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';

const text = { type: 'string' };
const { values } = parseArgs({ options: { compression: text, protocol: text, cert: text, key: text } });

const http = values.cert
  ? createSecureServer({ cert: readFileSync(values.cert), key: readFileSync(values.key) })
  : createServer();
const server = new WebSocketServer({
  server: http,
  perMessageDeflate: values.compression === 'on' && { threshold: 0 },
  handleProtocols: (offered) => offered.has(values.protocol) && values.protocol,
});

server.on('connection', (socket, request) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('close', (code, reason) => console.log(`closed ${code} ${reason}`));
  socket.on('error', (error) => console.log(`error ${error.message}`));
  // `?close=CODE&reason=TEXT`: the server closes at once, for a client that wants to see that.
  const query = new URL(request.url, 'http://localhost').searchParams;
  if (query.has('close')) socket.close(Number(query.get('close')), query.get('reason') ?? '');
});

http.listen(0, '127.0.0.1', () => console.log(`listening ${http.address().port}`));
