// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Runs the Worker under workerd until standard input ends. The first argument is what runtime.py wants, as JSON.

import { createRequire } from 'node:module';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// HttpOptions.Style in workerd.capnp: the whole URL in the request line.
const PROXY = 1;
const wanted = JSON.parse(process.argv[2]);
const { Log, LogLevel, Miniflare } = createRequire(join(wanted.installed, 'package.json'))('miniflare');

const names = readdirSync(wanted.code).filter((name) => name.endsWith('.js'));
const miniflare = new Miniflare({
  log: new Log(LogLevel.WARN),
  host: wanted.address,
  port: wanted.port,
  ...(wanted.certificate ? { httpsCertPath: wanted.certificate[0], httpsKeyPath: wanted.certificate[1] } : {}),
  modules: ['worker.js', ...names.filter((name) => name !== 'worker.js')].map((name) => ({
    type: 'ESModule',
    path: join(wanted.code, name),
    contents: readFileSync(join(wanted.code, name), 'utf8'),
  })),
  modulesRoot: wanted.code,
  compatibilityDate: '2025-07-01',
  bindings: wanted.bindings,
  cachePersist: false,
  cf: false, // or it fetches a sample from the internet
  // All that the Worker asks for goes to the tests' own internet, whatever the name.
  ...(wanted.internet ? { outboundService: { external: { address: wanted.internet, http: { style: PROXY } } } } : {}),
});
await miniflare.ready;
console.log('ready');
process.stdin.on('end', () => miniflare.dispose().then(() => process.exit(0)));
process.stdin.resume();
