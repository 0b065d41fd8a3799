// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** Who may ask: the logins of the Worker's own, if it has any. */

import { problem } from './errors.js';

const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="quickpull registry worker", charset="UTF-8"' };

/**
 * @param {Request} request
 * @param {import('./settings.js').Settings} given
 * @returns {Promise<void>}
 */
export async function admit(request, given) {
  if (!given.clients) {
    return;
  }
  const login = basic(request.headers.get('Authorization'));
  const expected = login && given.clients.get(login.username);
  // A user that does not exist takes as long as a wrong password.
  const fits = await same(login?.password ?? '', expected ?? '');
  if (expected === undefined || !fits) {
    throw problem(401, 'UNAUTHORIZED', 'This mirror wants a login of its own.', CHALLENGE);
  }
}

/**
 * @param {string | null} header
 * @returns {import('./settings.js').Login | undefined}
 */
export function basic(header) {
  const found = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(header ?? '');
  if (!found) {
    return undefined;
  }
  try {
    const bytes = Uint8Array.from(atob(found[1].replace(/-/g, '+').replace(/_/g, '/')), (one) => one.charCodeAt(0));
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const colon = text.indexOf(':');
    return colon < 0 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
  } catch {
    return undefined;
  }
}

/**
 * Compared as hashes, so that neither the length nor the first difference shows in the time.
 *
 * @param {string} one
 * @param {string} other
 * @returns {Promise<boolean>}
 */
async function same(one, other) {
  const [first, second] = await Promise.all([digest(one), digest(other)]);
  return crypto.subtle.timingSafeEqual(first, second);
}

/** @param {string} text */
export async function digest(text) {
  return crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
}
