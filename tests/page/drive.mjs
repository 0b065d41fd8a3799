// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Opens pages in Chromium as visits ask for it, given as JSON in the first argument, and prints what was seen as JSON.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { installed, chromium: executablePath, visits } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const require = createRequire(installed + '/');
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

// One context after another; --no-sandbox because root may run the tests, and the pages are our own.
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
const seen = [];
for (const visit of visits) seen.push(await look(visit));
await browser.close();
console.log(JSON.stringify(seen));

async function look(visit) {
  const context = await browser.newContext({
    viewport: { width: visit.width, height: 900 }, colorScheme: visit.theme, locale: visit.locale, timezoneId: 'UTC',
    javaScriptEnabled: visit.script, bypassCSP: false, offline: false, isMobile: visit.width < 600, hasTouch: visit.width < 600,
  });
  const page = await context.newPage();
  const told = { console: [], errors: [], requests: [], answers: [], axe: [] };
  page.on('console', (message) => told.console.push(message.text()));
  page.on('pageerror', (error) => told.errors.push(String(error)));
  page.on('dialog', (dialog) => { told.errors.push('dialog ' + dialog.message()); dialog.dismiss(); });
  page.on('request', (request) => { if (!/^(file|data):/.test(request.url())) told.requests.push(request.url()); });
  // What the page's own policy refused was never sent; the console tells of it.
  page.on('requestfailed', (request) => { if (/csp/i.test(request.failure().errorText)) told.requests = told.requests.filter((url) => url !== request.url()); });
  const begun = performance.now();
  await page.goto('file://' + visit.page, { waitUntil: 'load' });
  // Two frames later what was drawn has been painted.
  if (visit.script) await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  told.opened_ms = performance.now() - begun;
  for (const [what, ...rest] of visit.steps) {
    if (what === 'ask') told.answers.push(await page.evaluate(rest[0]));
    else if (what === 'click') await page.click(rest[0]);
    else if (what === 'fill') {
      await page.fill(rest[0], rest[1]);
      // The page searches when no key was pressed for a moment.
      while (await page.evaluate(() => document.documentElement.dataset.searching)) await new Promise((done) => setTimeout(done, 10));
    }
    else if (what === 'press') await page.press(rest[0], rest[1]);
    else throw new Error('there is no step ' + what);
  }
  if (visit.axe) {
    // By the debugger's way in, which the page's policy does not reach.
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    told.axe = found.violations.map((one) => ({ id: one.id, impact: one.impact, help: one.help, nodes: one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + ' | ' + node.failureSummary) }));
    told.axe_passes = found.passes.length;
  }
  if (visit.screenshot) await page.screenshot({ path: visit.screenshot, fullPage: visit.full });
  await context.close();
  return told;
}
