// Two pages of the chat in one headless Chromium: one speaks Socket.IO, by the stock client, and the other WebSocket.
// Usage: browser-socketio.mjs CHROMIUM ORIGIN ORIGIN_WITHOUT_CLIENT PROFILE_FOLDER SCREENSHOT_PREFIX
// Prints one JSON line per check, {"name", "ok", "detail"}, and then "end of checks".

import assert from 'node:assert/strict';
import { launch, runStep } from './browser-kit.mjs';

const [executablePath, origin, bare, profile, screenshot] = process.argv.slice(2);
const ROOM = `room-${process.pid}`;

const context = await launch(executablePath, profile);

const errors = [];
const pages = [];

/** One step; without it the later ones make no sense, so a failure ends the run. */
const check = (name, step) =>
  runStep(step, {
    say: (result) => console.log(JSON.stringify({ name, ...result })),
    end,
    pages: () => ({ ...pages }),
    screenshot,
  });

async function end() {
  await context.close().catch(() => {});
  console.log('end of checks');
  process.exit(0);
}

async function visit(url) {
  const page = await context.newPage();
  page.on('console', (message) => message.type() === 'error' && errors.push(`${url}: ${message.text()}`));
  page.on('pageerror', (error) => errors.push(`${url}: ${error.message}`));
  page.sockets = [];
  page.on('websocket', (socket) => page.sockets.push(new URL(socket.url()).pathname));
  pages.push(page);
  await page.goto(url);
  return page;
}

async function enter(name, query) {
  const page = await visit(`${origin}/${query}`);
  await connected(page);
  await page.fill('#name', name);
  await page.fill('#room', ROOM);
  await page.click('#join');
  await connected(page);
  return page;
}

const connected = (page) => page.waitForSelector('#state[data-state="open"]', { state: 'attached' });

const shows = (page, selector, text) =>
  page.waitForFunction(([where, what]) => document.querySelector(where)?.textContent.includes(what), [selector, text]);

async function write(page, text) {
  await page.fill('#message', text);
  await page.click('#send');
}

let ada;
let bob;
await check('a page by Socket.IO and a page by WebSocket join a room', async () => {
  ada = await enter('Ada', '?transport=socketio');
  bob = await enter('Bob', '');
  await shows(ada, '#transport', 'Socket.IO');
  await shows(bob, '#transport', 'WebSocket');
  assert(ada.sockets.length > 0 && ada.sockets.every((path) => path === '/socket.io/'), `Ada: ${ada.sockets}`);
  assert(bob.sockets.every((path) => path.startsWith('/rooms/')), `Bob: ${bob.sockets}`);
});
await check('each sees the other, and two are counted', async () => {
  for (const page of [ada, bob]) {
    for (const name of ['Ada', 'Bob']) await shows(page, '#people', name);
    await page.waitForSelector('#count[data-count="2"]');
  }
});
await check('what one writes the other reads, both ways', async () => {
  await write(ada, 'hello by Socket.IO & <b>co</b>');
  await shows(bob, '#log', 'hello by Socket.IO & <b>co</b>');
  await write(bob, 'hello back by WebSocket 👋');
  await shows(ada, '#log', 'hello back by WebSocket 👋');
});
await ada.screenshot({ path: `${screenshot}-socketio.png` });
await bob.screenshot({ path: `${screenshot}-websocket.png` });
await check('two pages by Socket.IO hear each other too, and the link keeps the mode', async () => {
  const cay = await enter('Cay', new URL(ada.url()).search);
  await shows(cay, '#transport', 'Socket.IO');
  await write(cay, 'a third one');
  for (const page of [ada, bob]) await shows(page, '#log', 'a third one');
  await cay.close();
  for (const page of [ada, bob]) await page.waitForSelector('#count[data-count="2"]');
});
await check('an event of others is shown by both alike, with the bytes in it as base64', async () => {
  await ada.evaluate(async (room) => {
    const socket = globalThis.io({ forceNew: true });
    await socket.emitWithAck('join', room);
    await socket.emitWithAck('drawn', { at: [1, 2], with: [new Uint8Array([1, 2, 255])] }, 'x');
    socket.disconnect();
  }, ROOM);
  for (const page of [ada, bob]) await shows(page, '#log', '["drawn",{"at":[1,2],"with":["AQL/"]},"x"]');
});
await check('it is polling first and then an upgrade, as the client does it', async () => {
  const used = await ada.evaluate(() =>
    performance.getEntriesByType('resource').filter(({ name }) => name.includes('transport=polling')).length);
  assert(used > 0, 'no poll');
});
await check('no error in any console', async () => assert.deepEqual(errors, []));
await check('without the client, the page says how to get it', async () => {
  const page = await visit(`${bare}/?transport=socketio`);
  await shows(page, '#banner', 'npm install socket.io-client');
  await shows(page, '#banner', '--socketio-client-dir');
  assert(await page.isVisible('#banner'), 'nobody sees it');
  assert(await page.isDisabled('#send'), 'one can write where nothing is sent');
  await page.screenshot({ path: `${screenshot}-no-client.png` });
});
await end();
