// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * A mirror of container registries, for pulling alone.
 *
 * Who fetches the upstream's tokens depends on what the Worker was given:
 *
 * - No login at all: the registry's own challenge goes on to the client, with a token endpoint of this Worker in place of the registry's. The client's token,
 *   anonymous or of its own login, then goes up with each request, and the registry alone decides what it may pull.
 * - `CLIENT_LOGINS` or `UPSTREAM_LOGINS`: the Worker fetches the tokens itself. A client's Authorization is compared with `CLIENT_LOGINS`, if there are any,
 *   and never leaves the Worker.
 */

import { admit } from './clients.js';
import { content } from './content.js';
import { problem, refusal, Problem } from './errors.js';
import { hostUpstream, parse } from './routes.js';
import { settings } from './settings.js';
import { tokenEndpoint } from './tokens.js';
import { ping } from './upstream.js';

// Far above any request for a pull, far below what would cost anything to look at.
const LONGEST_URL = 4096;

export default {
  /**
   * @param {Request} request
   * @param {Record<string, unknown>} env
   * @param {{waitUntil: (promise: Promise<unknown>) => void}} context
   * @returns {Promise<Response>}
   */
  async fetch(request, env, context) {
    let answer;
    try {
      answer = await route(request, env, context);
    } catch (error) {
      if (!(error instanceof Problem)) {
        // The text of any other error may hold a URL that is signed, or a secret.
        console.error(`unexpected: ${error instanceof Error ? error.name : typeof error}`);
      }
      answer = refusal(error instanceof Problem ? error : new Problem(502, 'UNKNOWN', 'The upstream could not be reached, or broke off.'));
    }
    // An answer to HEAD has the headers and no body, whatever it is.
    if (request.method !== 'HEAD' || !answer.body) {
      return answer;
    }
    const bare = new Response(null, answer);
    await answer.body.cancel();
    return bare;
  },
};

/**
 * @param {Request} request
 * @param {Record<string, unknown>} env
 * @param {{waitUntil: (promise: Promise<unknown>) => void}} context
 * @returns {Promise<Response>}
 */
async function route(request, env, context) {
  const url = new URL(request.url);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw problem(405, 'UNSUPPORTED', 'This is a mirror: nothing can be pushed to it, or deleted.', { Allow: 'GET, HEAD' });
  }
  if (request.url.length > LONGEST_URL) {
    throw problem(414, 'UNSUPPORTED', 'The address asked for is too long.');
  }
  if (Number(request.headers.get('Content-Length') ?? 0) > 0 || request.headers.has('Transfer-Encoding')) {
    throw problem(413, 'SIZE_INVALID', 'A request to a mirror has no body.');
  }
  if (url.pathname === '/-/health') {
    return Response.json({ status: 'ok', service: 'quickpull registry worker' });
  }
  // Cloudflare serves port 80 too, and tells how the client asked. A login would be invited, and sent, in clear.
  if (/"scheme" *: *"http"/.test(request.headers.get('CF-Visitor') ?? '')) {
    throw problem(403, 'DENIED', 'This mirror is asked by https:// alone.');
  }
  const given = settings(env);
  await admit(request, given);
  const asked = parse(url, given);
  switch (asked.kind) {
    case 'token':
      return tokenEndpoint(request, url, asked.upstream, given);
    case 'ping':
      return ping(request, url, asked.upstream ?? hostUpstream(url, given), given);
    default:
      return content(request, url, asked, given, context);
  }
}
