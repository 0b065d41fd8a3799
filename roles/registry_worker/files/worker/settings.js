// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** What the Worker was deployed with: the binding SETTINGS and two secrets. */

import { problem } from './errors.js';

/**
 * @typedef {{username: string, password: string}} Login
 * @typedef {{name: string, url: URL, login: Login | undefined}} Upstream
 * @typedef {object} Settings
 * @property {Map<string, Upstream>} upstreams by name, such as docker.io
 * @property {Map<string, Upstream>} hosts by the name under which the Worker is asked
 * @property {Upstream | undefined} fallback for a host of workers.dev that is not in the map
 * @property {string[][] | undefined} allow what is around each `*`; undefined: all repositories
 * @property {boolean} cache
 * @property {Map<string, string> | undefined} clients user and password; undefined: anybody may ask
 * @property {boolean} ownTokens whether the Worker fetches the upstream's tokens itself
 */

/** @type {WeakMap<object, Settings>} */
const parsed = new WeakMap();

/**
 * @param {Record<string, unknown>} env
 * @returns {Settings}
 */
export function settings(env) {
  let found = parsed.get(env);
  if (!found) {
    found = read(env);
    parsed.set(env, found);
  }
  return found;
}

/**
 * @param {Record<string, unknown>} env
 * @returns {Settings}
 */
function read(env) {
  const given = /** @type {any} */ (object('SETTINGS', env.SETTINGS));
  const logins = env.UPSTREAM_LOGINS === undefined ? {} : object('UPSTREAM_LOGINS', env.UPSTREAM_LOGINS);
  const clients = env.CLIENT_LOGINS === undefined ? undefined : object('CLIENT_LOGINS', env.CLIENT_LOGINS);
  const upstreams = new Map(
    Object.entries(given.upstreams ?? {}).map(([name, { url }]) => [name, { name, url: new URL(url), login: logins[name] }]),
  );
  const pointing = (/** @type {string} */ name) => {
    if (!upstreams.has(name)) {
      throw wrong(`SETTINGS names the upstream ${name}, which is not among its upstreams.`);
    }
    return upstreams.get(name);
  };
  return {
    upstreams,
    hosts: new Map(Object.entries(given.hosts ?? {}).map(([host, name]) => [host.toLowerCase(), pointing(name)])),
    fallback: given.default ? pointing(given.default) : undefined,
    allow: given.allow?.length ? given.allow.map((/** @type {string} */ one) => one.split('*')) : undefined,
    cache: given.cache_blobs === true,
    clients: clients && new Map(Object.entries(clients)),
    ownTokens: clients !== undefined || Object.keys(logins).length > 0,
  };
}

/**
 * A secret that cannot be read must not count as none: that would let in anybody.
 *
 * @param {string} name
 * @param {unknown} value
 * @returns {Record<string, any>}
 */
function object(name, value) {
  let read = value;
  try {
    read = typeof value === 'string' ? JSON.parse(value) : value;
  } catch {
    read = undefined;
  }
  if (typeof read !== 'object' || read === null || Array.isArray(read)) {
    throw wrong(`${name} of this Worker is not a JSON object. Deploy it again.`);
  }
  return read;
}

/** @param {string} message */
function wrong(message) {
  console.error(message);
  return problem(500, 'UNKNOWN', message);
}

/**
 * No regular expression: with many `*` one takes for ever to find that it does not fit.
 *
 * @param {string[]} parts of a pattern, between which there may be anything
 * @param {string} text
 * @returns {boolean}
 */
function fits(parts, text) {
  const [first, last] = [parts[0], parts[parts.length - 1]];
  if (parts.length === 1) {
    return text === first;
  }
  const end = text.length - last.length;
  let at = first.length;
  if (at > end || !text.startsWith(first) || !text.endsWith(last)) {
    return false;
  }
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) {
      return false;
    }
    at = found + part.length;
  }
  return true;
}

/**
 * @param {Settings} given
 * @param {Upstream} upstream
 * @param {string} repository
 * @returns {boolean}
 */
export function allowed(given, upstream, repository) {
  return !given.allow || given.allow.some((one) => fits(one, `${upstream.name}/${repository}`));
}
