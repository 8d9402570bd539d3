// A member of a room by npm `ws`. Usage: room.mjs URL deflate|no-deflate
// Reads {"kind": "text"|"binary", "data": base64} lines and sends them; prints what it receives
// in the same form, after `open` once connected.

import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';

const [url, compression] = process.argv.slice(2);
const socket = new WebSocket(url, { perMessageDeflate: compression === 'deflate' && { threshold: 0 } });

socket.on('open', () => console.log('open'));
socket.on('message', (data, binary) => {
  console.log(JSON.stringify({ kind: binary ? 'binary' : 'text', data: data.toString('base64') }));
});
socket.on('close', (code) => {
  console.log(`closed ${code}`);
  process.exit(0);
});
socket.on('error', (error) => console.log(`error ${error.message}`));

for await (const line of createInterface({ input: process.stdin })) {
  const { kind, data } = JSON.parse(line);
  socket.send(Buffer.from(data, 'base64'), { binary: kind === 'binary' });
}
