// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** What a request asks for, and of which upstream. */

import { problem } from './errors.js';

/**
 * @typedef {import('./settings.js').Settings} Settings
 * @typedef {import('./settings.js').Upstream} Upstream
 * @typedef {{kind: 'ping', upstream: Upstream | undefined}} Ping
 * @typedef {{kind: 'token', upstream: Upstream}} Token
 * @typedef {{kind: 'blobs' | 'manifests' | 'tags' | 'referrers', upstream: Upstream, repository: string, reference: string}} Content
 */

export const TOKEN_PATH = '/-/token/';

const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const LONGEST_NAME = 255;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
export const DIGEST = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,}$/;
const CONTENT = /^(.+)\/(blobs|manifests|referrers|tags)\/([^/]+)$/;

/**
 * The upstream is told by the path (`/v2/quay.io/team/app/...`, as Podman asks a mirror `mirror.example.com/quay.io`), by the parameter `ns` (containerd),
 * or by the host's name, in this order: as by the collection's own cache.
 *
 * @param {URL} url
 * @param {Settings} given
 * @returns {Ping | Token | Content}
 */
export function parse(url, given) {
  // Go writes the colon of a digest as it is, others may not. Nothing else that a registry knows needs an escape.
  const path = url.pathname.replace(/%3A/gi, ':');
  if (path.startsWith(TOKEN_PATH)) {
    return { kind: 'token', upstream: named(path.slice(TOKEN_PATH.length), given) };
  }
  if (path === '/v2' || path === '/v2/') {
    const ns = url.searchParams.get('ns');
    return { kind: 'ping', upstream: ns ? named(ns, given) : undefined };
  }
  if (!path.startsWith('/v2/')) {
    throw problem(404, 'NAME_UNKNOWN', 'This is a mirror of container registries: it answers below /v2/ alone.');
  }
  const rest = path.slice('/v2/'.length);
  const [first, behind] = split(rest, given);
  if (first && !behind) {
    return { kind: 'ping', upstream: first };
  }
  const ns = url.searchParams.get('ns');
  const upstream = first ?? (ns ? named(ns, given) : hostUpstream(url, given));
  return contentOf(first ? behind : rest, upstream);
}

/**
 * @param {string} rest
 * @param {Upstream} upstream
 * @returns {Content}
 */
function contentOf(rest, upstream) {
  const found = CONTENT.exec(rest);
  if (!found) {
    throw problem(404, 'NAME_UNKNOWN', 'There is nothing of a registry at this address.');
  }
  const [, name, kind, reference] = /** @type {[string, string, any, string]} */ (/** @type {unknown} */ (found));
  if (!isName(name)) {
    throw problem(400, 'NAME_INVALID', 'This cannot be the name of a repository.');
  }
  if (kind === 'tags' ? reference !== 'list' : kind === 'manifests' && !TAG.test(reference) && !DIGEST.test(reference)) {
    throw problem(404, kind === 'tags' ? 'NAME_UNKNOWN' : 'MANIFEST_UNKNOWN', 'There is nothing of a registry at this address.');
  }
  if ((kind === 'blobs' || kind === 'referrers') && !DIGEST.test(reference)) {
    throw problem(400, 'DIGEST_INVALID', 'This cannot be a digest.');
  }
  return { kind, upstream, repository: complete(upstream, name), reference };
}

/**
 * @param {string} text
 * @returns {boolean} whether it can be the name of a repository
 */
export function isName(text) {
  return text.length <= LONGEST_NAME && NAME.test(text);
}

/**
 * @param {string} path behind /v2/, or the name of a repository
 * @param {Settings} given
 * @returns {[Upstream | undefined, string]} the upstream that it begins with, and what follows
 */
export function split(path, given) {
  const slash = path.indexOf('/');
  const upstream = given.upstreams.get(slash < 0 ? path : path.slice(0, slash));
  return [upstream, upstream && slash > 0 ? path.slice(slash + 1) : ''];
}

/**
 * Docker Hub's own images are below library/, which people leave out: the Hub knows them by the whole name alone.
 *
 * @param {Upstream} upstream
 * @param {string} repository
 * @returns {string}
 */
export function complete(upstream, repository) {
  return upstream.name === 'docker.io' && !repository.includes('/') ? `library/${repository}` : repository;
}

/**
 * @param {string} name
 * @param {Settings} given
 * @returns {Upstream}
 */
function named(name, given) {
  const upstream = given.upstreams.get(name);
  if (!upstream) {
    throw problem(404, 'NAME_UNKNOWN', 'This mirror does not serve that registry.');
  }
  return upstream;
}

/**
 * A name of somebody's own that is in no map stood for a registry once, or is to: under it another one's images would pass for that one's.
 *
 * @param {URL} url
 * @param {Settings} given
 * @returns {Upstream | undefined} the one whose login a client has that logs in to the name it asks by
 */
export function ofHost(url, given) {
  return given.hosts.get(url.host) ?? given.hosts.get(url.hostname) ?? (url.hostname.endsWith('.workers.dev') ? given.fallback : undefined);
}

/**
 * @param {URL} url
 * @param {Settings} given
 * @returns {Upstream}
 */
export function hostUpstream(url, given) {
  const upstream = ofHost(url, given);
  if (!upstream) {
    throw problem(404, 'NAME_UNKNOWN', 'This mirror serves no registry under the name that it was asked by.');
  }
  return upstream;
}
