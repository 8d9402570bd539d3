// Two pages of the chat, in one headless Chromium, as two people would use them.
// Usage: browser.mjs CHROMIUM ORIGIN PROFILE_FOLDER SCREENSHOT_PREFIX
// Prints one JSON line per step: {"check": name, "ok": …} or {"ask": "kill"|"restart"|"end"},
// the first two of which are answered with a line on standard input once done.

import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { launch, runStep } from './browser-kit.mjs';

const [executablePath, origin, profile, screenshot] = process.argv.slice(2);
const ROOM = `room-${process.pid}`;
const NASTY = '<img src=x onerror="document.title=\'owned\'"> & "quotes" ünï 👋';
// What Chromium itself reports while there is no server, and cannot be silenced by a page.
const NO_SERVER = /WebSocket connection to|net::ERR_|Failed to load resource/;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (step) => console.log(JSON.stringify(step));

async function ask(what) {
  say({ ask: what });
  await answers.next();
}

/** One step; without it the later ones make no sense, so a failure ends the run. */
const check = (name, step) =>
  runStep(step, {
    say: (result) => say({ check: name, ...result }),
    end,
    pages: () => Object.fromEntries(people.map(({ name, page }) => [name, page])),
    screenshot,
  });

const context = await launch(executablePath, profile);

const errors = [];
let serverIsDown = false;
const people = [];

async function enter(name) {
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    if (serverIsDown && NO_SERVER.test(message.text())) return;
    errors.push(`${name}: ${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => errors.push(`${name}: ${error.message}`));
  people.push({ name, page });
  await page.goto(origin);
  await page.fill('#name', name);
  await page.fill('#room', ROOM);
  await page.click('#join');
  await connected(page);
  return page;
}

const connected = (page) => page.waitForSelector('#state[data-state="open"]', { state: 'attached' });

async function write(page, text) {
  await page.fill('#message', text);
  await page.click('#send');
}

const shows = (page, selector, text) =>
  page.waitForFunction(([where, what]) => document.querySelector(where)?.textContent.includes(what), [selector, text]);

/** Both see both, in the list of people and in the count. */
async function bothPresent() {
  for (const { page } of people) {
    for (const { name } of people) await shows(page, '#people', name);
    await shows(page, '#count', '2');
  }
}

async function talk(ada, bob, suffix) {
  await write(ada, `hello from Ada ${suffix}`);
  await shows(bob, '#log', `hello from Ada ${suffix}`);
  await write(bob, `and hello back ${suffix}`);
  await shows(ada, '#log', `and hello back ${suffix}`);
  // One's own words are shown as well.
  await shows(ada, '#log', `hello from Ada ${suffix}`);
}

async function end() {
  await context.close().catch(() => {});
  say({ ask: 'end' });
  process.exit(0);
}

let ada;
let bob;
await check('two pages join a room', async () => {
  ada = await enter('Ada');
  bob = await enter('Bob');
});
await check('each page shows who is here', bothPresent);
await check('what one types the other reads, and back', () => talk(ada, bob, 'at first'));
await check('a message is text, whatever is in it', async () => {
  await write(ada, NASTY);
  await shows(bob, '#log', NASTY);
  for (const page of [ada, bob]) {
    assert.equal(await page.locator('#log img').count(), 0, 'the message became an element');
    assert.notEqual(await page.title(), 'owned', 'the message ran');
  }
});
await check('Enter sends the message', async () => {
  await bob.fill('#message', 'sent by Enter');
  await bob.press('#message', 'Enter');
  await shows(ada, '#log', 'sent by Enter');
  assert.equal(await bob.inputValue('#message'), '', 'the field is not emptied');
});
await ada.screenshot({ path: `${screenshot}.png` });
await check('both pages reconnect when the server is killed and started again', async () => {
  serverIsDown = true;
  await ask('kill');
  for (const { page } of people) await page.waitForSelector('#state:not([data-state="open"])', { state: 'attached' });
  await ask('restart');
  for (const { page } of people) await connected(page);
  serverIsDown = false;
  await bothPresent();
  await talk(ada, bob, 'after the restart');
});
await check('on a phone nothing is wider than the screen', async () => {
  await bob.setViewportSize({ width: 360, height: 640 });
  await bob.screenshot({ path: `${screenshot}-phone.png` });
  const [content, screen] = await bob.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert(content <= screen, `the page is ${content} px wide on a screen of ${screen}`);
  for (const id of ['#message', '#send']) assert(await bob.isVisible(id), `${id} is out of sight`);
});
await check('one who leaves is no longer shown', async () => {
  await bob.close();
  people.pop();
  await ada.waitForFunction(() => !document.querySelector('#people').textContent.includes('Bob'));
  await ada.waitForSelector('#count[data-count="1"]');
});
await check('no error in either console', async () => assert.deepEqual(errors, []));
await end();
