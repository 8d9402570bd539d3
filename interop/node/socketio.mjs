// One official client, over one transport with one parser, through areas of checks.
// Usage: socketio.mjs 4|3|2 polling|websocket|upgrade json|msgpack ORIGIN AREA...
// Prints one JSON line per check and `end of checks` after the last.

import { runChecks } from './socketio-kit.mjs';
import { Peer } from './socketio-peer.mjs';

const [version, transport, parser, origin, ...areas] = process.argv.slice(2);
const peer = new Peer({ version: Number(version), transport, parser, origin });

const checks = [];
for (const area of areas) checks.push(...(await import(`./socketio-${area}.mjs`)).checks(peer));
await runChecks(checks);
