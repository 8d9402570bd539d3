// What both browser scripts stand on: one headless Chromium, and steps of which a failed one ends the run.

import { chromium } from 'playwright-core';

/** A browser with a profile of its own, which trusts every certificate. */
export async function launch(executablePath, profile) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    ignoreHTTPSErrors: true,
    chromiumSandbox: false,
    viewport: { width: 1100, height: 750 },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-proxy-server',
    ],
  });
  context.setDefaultTimeout(30_000);
  return context;
}

/** Runs a step and says how it went; after a failure, with a picture of each page (`{who: page}`), `end` is called. */
export async function runStep(step, { say, end, pages, screenshot }) {
  try {
    await step();
    say({ ok: true });
  } catch (error) {
    const shown = Object.entries(pages());
    await Promise.all(shown.map(([who, page]) => page.screenshot({ path: `${screenshot}-failed-${who}.png` }).catch(() => {})));
    say({ ok: false, detail: String(error.message).split('\n').slice(0, 6).join(' / ') });
    await end();
  }
}
