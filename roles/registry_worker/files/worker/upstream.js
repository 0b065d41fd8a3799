// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** How the Worker asks an upstream, and whom else it asks for it: nobody but where the upstream itself sends it. */

import { COMMON, passOn, problem } from './errors.js';
import { ofHost } from './routes.js';
import { NO_TOKEN, challenged } from './tokens.js';

/**
 * @typedef {import('./settings.js').Settings} Settings
 * @typedef {import('./settings.js').Upstream} Upstream
 * @typedef {{answer: Response, atHome: boolean}} Told `atHome`: it is the upstream's own, not of a host that the upstream sent us to
 */

// Each is a subrequest, of which a Worker has 50 for a request of its own. Real registries need one or two.
const MOST_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
// For the first byte alone: a blob may take as long as it takes.
const PATIENCE = 20_000;

/**
 * @param {Upstream} upstream
 * @param {string} path from /v2/ on
 * @param {{method: string, headers: Headers, follow?: boolean}} how
 * @returns {Promise<Told>}
 */
export async function ask(upstream, path, { method, headers, follow = true }) {
  const sent = new Headers(headers);
  // A registry that compresses a blob once more would make a length and ranges that are not the blob's.
  sent.set('Accept-Encoding', 'identity');
  let url = new URL(upstream.url.origin + upstream.url.pathname.replace(/\/+$/, '') + path);
  let atHome = true;
  for (let redirects = 0; ; redirects += 1) {
    const answer = await patiently(url, { method, headers: sent, redirect: 'manual' });
    if (!follow || !REDIRECTS.has(answer.status)) {
      return { answer, atHome };
    }
    await answer.body?.cancel();
    if (redirects === MOST_REDIRECTS) {
      throw problem(502, 'UNKNOWN', 'The upstream redirects without end.');
    }
    const next = target(answer.headers.get('Location'), url, upstream);
    if (next.origin !== url.origin) {
      // Neither the upstream's business nor wanted there: a store refuses a signed address that comes with an Authorization as well.
      sent.delete('Authorization');
      atHome = false;
    }
    url = next;
  }
}

/**
 * @param {URL} url
 * @param {RequestInit} init
 * @returns {Promise<Response>}
 */
export async function patiently(url, init) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), PATIENCE);
  try {
    return await fetch(url, { ...init, signal: controller.signal });
  } catch (error) {
    if (controller.signal.aborted) {
      throw problem(504, 'UNKNOWN', 'The upstream did not answer in time.');
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {string | null} location
 * @param {URL} from
 * @param {Upstream} upstream
 * @returns {URL}
 */
function target(location, from, upstream) {
  if (!location || !URL.canParse(location, from.href)) {
    throw problem(502, 'UNKNOWN', 'The upstream redirects to nowhere.');
  }
  return trusted(new URL(location, from), upstream, 'redirects to');
}

/**
 * @param {URL} url where an upstream sends us
 * @param {Upstream} upstream
 * @param {string} does
 * @returns {URL} the same
 */
export function trusted(url, upstream, does) {
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && upstream.url.protocol === 'http:');
  if (!secure) {
    throw problem(502, 'UNKNOWN', `The upstream ${does} an address without TLS, which this mirror does not follow.`);
  }
  if (url.username || url.password || (isPrivate(url.hostname) && !isPrivate(upstream.url.hostname))) {
    throw problem(502, 'UNKNOWN', `The upstream ${does} an address that this mirror does not follow.`);
  }
  return url;
}

/**
 * Bare addresses and the names of private networks. No public registry sends anybody to one.
 *
 * @param {string} hostname as URL writes it, in which every form of an IPv4 address is a dotted one
 * @returns {boolean}
 */
function isPrivate(hostname) {
  return /^[0-9.]+$|^\[|(?:^|\.)(?:localhost|local|internal|lan|home\.arpa)\.?$/.test(hostname);
}

/**
 * The answer to `/v2/`, from which Docker takes its challenge.
 *
 * @param {Request} request
 * @param {URL} url
 * @param {Upstream} upstream
 * @param {Settings} given
 * @returns {Promise<Response>}
 */
export async function ping(request, url, upstream, given) {
  if (!given.ownTokens) {
    const { answer, atHome } = await ask(upstream, '/v2/', { method: 'GET', headers: brought(request, upstream === ofHost(url, given)) });
    if (answer.status === 401 && atHome) {
      return challenged(answer, url, upstream);
    }
    if (!answer.ok) {
      return passOn(answer, 'NAME_UNKNOWN');
    }
    await answer.body?.cancel();
  }
  return Response.json({}, { headers: COMMON });
}

/**
 * @param {Request} request
 * @param {boolean} own whether the upstream is that of the host's name, for which the client's login is; a token is of whom it was fetched for
 * @returns {Headers} what of a client goes up to an upstream whose tokens the client fetches itself
 */
export function brought(request, own) {
  const headers = plain(request);
  const authorization = request.headers.get('Authorization');
  if (authorization && authorization !== `Bearer ${NO_TOKEN}` && (own || /^bearer /i.test(authorization))) {
    headers.set('Authorization', authorization);
  }
  return headers;
}

/**
 * @param {Request} request
 * @returns {Headers} what of a client goes up to any upstream
 */
export function plain(request) {
  return new Headers({ 'User-Agent': request.headers.get('User-Agent') ?? 'quickpull-registry-worker' });
}
