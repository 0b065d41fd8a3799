// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** Manifests, blobs, tags and referrers, and the cache of what is named by its digest. */

import { digest as hash } from './clients.js';
import { COMMON, KEPT_OF_ERRORS, passOn, problem } from './errors.js';
import { DIGEST, ofHost } from './routes.js';
import { allowed } from './settings.js';
import { NOT_THERE, challenged, known, obtain } from './tokens.js';
import { ask, brought, plain } from './upstream.js';

/**
 * @typedef {import('./settings.js').Settings} Settings
 * @typedef {import('./settings.js').Upstream} Upstream
 * @typedef {import('./routes.js').Content} Asked
 * @typedef {import('./upstream.js').Told} Told
 */

// What Cloudflare's cache takes on every plan but Enterprise.
const LARGEST_CACHED = 512 * 1024 * 1024;
// Hashing is time of the CPU, of which the free plan has 10 ms for a request. What an upstream says in place of a blob is short.
const LARGEST_HASHED = 8 * 1024 * 1024;
/** @type {Record<string, string>} */
const HASHES = { sha256: 'SHA-256', sha512: 'SHA-512' };
const YEAR = 31_536_000;
const SIZE = 'X-Quickpull-Size';
const UNKNOWN = { blobs: 'BLOB_UNKNOWN', manifests: 'MANIFEST_UNKNOWN', tags: 'NAME_UNKNOWN', referrers: 'NAME_UNKNOWN' };
const LISTS = new Set(['tags', 'referrers']);
const KEPT = ['Content-Length', 'Content-Range', 'Docker-Content-Digest', 'ETag', 'Last-Modified', 'OCI-Filters-Applied', ...KEPT_OF_ERRORS];

/**
 * @param {Request} request
 * @param {URL} url
 * @param {Asked} asked
 * @param {Settings} given
 * @param {{waitUntil: (promise: Promise<unknown>) => void}} context
 * @returns {Promise<Response>}
 */
export async function content(request, url, asked, given, context) {
  if (!allowed(given, asked.upstream, asked.repository)) {
    throw problem(403, 'DENIED', 'This mirror does not serve that repository.');
  }
  const byDigest = asked.kind === 'blobs' || (asked.kind === 'manifests' && DIGEST.test(asked.reference));
  const range = byDigest && request.method === 'GET' ? wantedRange(request, asked.reference) : null;
  const store = byDigest && given.cache ? await caches.open('quickpull') : undefined;
  const key = store && (await keyOf(url, asked, given));
  const cached = store && key && (await cachedOf(store, key, range));
  if (cached) {
    const said = given.ownTokens || (await may(request, url, asked, given));
    if (said === true) {
      return finish(request, asked, cached, 'HIT');
    }
    await cached.body?.cancel();
    if (said) {
      return said;
    }
  }
  const headers = given.ownTokens ? plain(request) : brought(request, asked.upstream === ofHost(url, given));
  copy(request.headers, headers, ['Accept', ...(byDigest ? [] : ['If-None-Match'])]);
  if (range) {
    headers.set('Range', range);
  }
  const told = await withRights(asked, pathOf(asked, url), { method: request.method, headers }, given);
  const { answer } = told;
  if (answer.status === 304) {
    return new Response(null, { status: 304, headers: headersOf(asked, answer) });
  }
  if (answer.status !== 200 && !(answer.status === 206 && range)) {
    return refusedBy(told, url, asked, given);
  }
  if (isPage(answer)) {
    await answer.body?.cancel();
    throw problem(502, 'UNKNOWN', 'A web page came in place of what was asked for.');
  }
  const kept = store && key && request.method === 'GET' ? keep(answer, asked, store, key, context) : answer;
  return finish(request, asked, withLink(kept, url, asked), store ? 'MISS' : '');
}

/**
 * @param {Response} answer
 * @returns {boolean}
 */
function isPage(answer) {
  return /^text\/html\b/i.test(answer.headers.get('Content-Type') ?? '');
}

/**
 * A blob has no other version, so that its digest is its ETag, wherever its bytes come from.
 *
 * @param {Request} request
 * @param {string} reference
 * @returns {string | null}
 */
function wantedRange(request, reference) {
  const condition = request.headers.get('If-Range');
  // What is no range of one part is ignored, as the specification of HTTP lets a server do.
  const found = /^bytes=(?:(\d+)-(\d*)|-\d+)$/.exec(request.headers.get('Range') ?? '');
  const fits = found && !(found[2] && Number(found[2]) < Number(found[1]));
  return fits && (condition === null || condition === `"${reference}"`) ? found[0] : null;
}

/**
 * By repository, because who may pull from one may not from another that shares a layer; and by whose rights fetched it, so that what a login brought is
 * never given to those who come after it was taken away.
 *
 * @param {URL} url
 * @param {Asked} asked
 * @param {Settings} given
 * @returns {Promise<string>}
 */
async function keyOf(url, asked, given) {
  const { upstream, repository, kind, reference } = asked;
  const rights = given.ownTokens ? JSON.stringify([upstream.url.href, upstream.login?.username, upstream.login?.password]) : '';
  const sum = hex(await hash(rights));
  const path = [given.ownTokens ? 'own' : 'client', sum, upstream.name, repository, kind, reference].join('/');
  return `${url.origin}/-/cache/${path}`;
}

/**
 * Whether the upstream lets this client have what is cached; asked with the client's own token, and with no more than a byte of it coming.
 *
 * @param {Request} request
 * @param {URL} url
 * @param {Asked} asked
 * @param {Settings} given
 * @returns {Promise<boolean | Response>} or the refusal; false: it does not tell, and has to be asked for the whole
 */
async function may(request, url, asked, given) {
  const headers = brought(request, asked.upstream === ofHost(url, given));
  copy(request.headers, headers, ['Accept']);
  // HEAD is not counted as a pull.
  let told = await ask(asked.upstream, pathOf(asked, url), { method: 'HEAD', headers, follow: false });
  const { status } = told.answer;
  if (status >= 300 && status < 400) {
    // It may lead to the bytes, or to a page for logging in. An address that is signed is so for GET.
    await told.answer.body?.cancel();
    headers.set('Range', 'bytes=0-0');
    told = await ask(asked.upstream, pathOf(asked, url), { method: 'GET', headers });
  }
  const { answer, atHome } = told;
  if (answer.ok || answer.status < 400 || [405, 416, 501].includes(answer.status)) {
    await answer.body?.cancel();
    return [200, 206].includes(answer.status) && !isPage(answer);
  }
  return answer.status === 401 && atHome ? challenged(answer, url, asked.upstream) : refusedBy(told, url, asked, given);
}

/**
 * @param {Asked} asked
 * @param {string} path
 * @param {{method: string, headers: Headers}} how
 * @param {Settings} given
 * @returns {Promise<Told>}
 */
async function withRights({ upstream, repository }, path, how, given) {
  if (!given.ownTokens) {
    return ask(upstream, path, how);
  }
  const before = known(upstream, repository);
  if (before) {
    how.headers.set('Authorization', before);
  }
  const told = await ask(upstream, path, how);
  const wanted = told.answer.status === 401 && told.atHome ? await obtain(upstream, repository, told.answer) : undefined;
  if (!wanted) {
    return told;
  }
  await told.answer.body?.cancel();
  how.headers.set('Authorization', wanted);
  return ask(upstream, path, how);
}

/**
 * @param {Told} told
 * @param {URL} url
 * @param {Asked} asked
 * @param {Settings} given
 * @returns {Promise<Response>}
 */
async function refusedBy({ answer, atHome }, url, asked, given) {
  if (answer.status === 401 && atHome && !given.ownTokens) {
    return challenged(answer, url, asked.upstream);
  }
  if (answer.status === 401) {
    await answer.body?.cancel();
    throw problem(403, 'DENIED', NOT_THERE);
  }
  return passOn(answer, UNKNOWN[asked.kind]);
}

/**
 * What is cached, if all of it is: a cache may keep what it had of a blob when its upstream broke off, as if that were the whole (miniflare's does, and says
 * nothing of it but in the bytes). So the last byte has to be there.
 *
 * @param {Cache} store
 * @param {string} key
 * @param {string | null} range
 * @returns {Promise<Response | undefined>}
 */
async function cachedOf(store, key, range) {
  const found = await store.match(key);
  if (!found) {
    return undefined;
  }
  const part = (/** @type {string} */ wanted) => store.match(new Request(key, { headers: { Range: wanted } }));
  const last = Number(found.headers.get(SIZE)) - 1;
  const end = last < 0 ? undefined : await part(`bytes=${last}-${last}`);
  const whole = last < 0 || (end?.status === 206 && (await bytesOf(end)) === 1);
  if (whole && !range) {
    return found;
  }
  await found.body?.cancel();
  return whole && range ? part(range) : undefined;
}

/**
 * @param {Response} answer a short one
 * @returns {Promise<number>}
 */
async function bytesOf(answer) {
  try {
    return (await answer.arrayBuffer()).byteLength;
  } catch {
    return -1;
  }
}

/**
 * @param {Response} answer
 * @param {Asked} asked
 * @param {Cache} store
 * @param {string} key
 * @param {{waitUntil: (promise: Promise<unknown>) => void}} context
 * @returns {Response}
 */
function keep(answer, asked, store, key, context) {
  const length = Number(answer.headers.get('Content-Length') ?? NaN);
  const [algorithm, wanted] = asked.reference.split(':');
  const hashed = length <= LARGEST_HASHED && Object.hasOwn(HASHES, algorithm);
  const isText = /\bjson\b|^text\//i.test(answer.headers.get('Content-Type') ?? '');
  if (answer.status !== 200 || !answer.body || !(length <= LARGEST_CACHED) || (isText && !hashed)) {
    return answer;
  }
  // Both branches are pumped by the runtime, at the pace of the slower: nothing piles up in memory.
  const [served, rest] = answer.body.tee();
  const [stored, summed] = hashed ? rest.tee() : [rest];
  const headers = headersOf(asked, answer);
  for (const name of KEPT_OF_ERRORS) {
    headers.delete(name); // of that moment
  }
  headers.set('Cache-Control', `public, max-age=${YEAR}, immutable`);
  headers.set(SIZE, String(length));
  const whole = new FixedLengthStream(length);
  const filled = fill(whole.writable, stored, summed && sumOf(summed, HASHES[algorithm]), wanted);
  const parts = [filled, store.put(key, new Response(whole.readable, { headers }))];
  context.waitUntil(
    Promise.allSettled(parts).then((ends) => {
      if (ends.some((one) => one.status === 'rejected')) {
        console.error('what broke off, or is not what its digest says, was not cached');
        return store.delete(key);
      }
      return true;
    }),
  );
  return new Response(served, { status: answer.status, headers: answer.headers });
}

/**
 * @param {WritableStream} writable
 * @param {ReadableStream} stored
 * @param {Promise<string> | undefined} sum
 * @param {string} wanted
 * @returns {Promise<void>} rejected, with the stream not closed, where the sum is not the one that is wanted
 */
async function fill(writable, stored, sum, wanted) {
  const [, found] = await Promise.all([stored.pipeTo(writable, { preventClose: true }), sum]);
  if (found !== undefined && found !== wanted) {
    const error = new Error('another digest');
    await writable.abort(error);
    throw error;
  }
  await writable.close();
}

/**
 * @param {ReadableStream} stream
 * @param {string} algorithm
 * @returns {Promise<string>}
 */
async function sumOf(stream, algorithm) {
  const sum = new crypto.DigestStream(algorithm);
  await stream.pipeTo(sum);
  return hex(await sum.digest);
}

/** @param {ArrayBuffer} bytes */
function hex(bytes) {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {Request} request
 * @param {Asked} asked
 * @param {Response} answer
 * @param {string} cache
 * @returns {Response}
 */
function finish(request, asked, answer, cache) {
  const headers = headersOf(asked, answer);
  if (cache) {
    headers.set('X-Cache', cache);
  }
  const etag = headers.get('ETag');
  const same = etag && (request.headers.get('If-None-Match') ?? '').split(/\s*,\s*/).some((one) => one.replace(/^W\//, '') === etag);
  if (same && answer.ok) {
    answer.body?.cancel();
    headers.delete('Content-Length');
    return new Response(null, { status: 304, headers });
  }
  return new Response(answer.body, { status: answer.status, headers });
}

/**
 * @param {Asked} asked
 * @param {Response} answer
 * @returns {Headers}
 */
function headersOf(asked, answer) {
  const headers = new Headers(COMMON);
  copy(answer.headers, headers, [...KEPT, 'Content-Type', ...(LISTS.has(asked.kind) ? ['Link'] : [])]);
  if (!/^(?:identity)?$/i.test(answer.headers.get('Content-Encoding') ?? '')) {
    // The length is that of what was compressed, which goes out as it was before.
    headers.delete('Content-Length');
  }
  if (asked.kind === 'blobs') {
    // A store calls them what it likes. What a browser would show as a page has no place under a name of somebody's own.
    headers.set('Content-Type', 'application/octet-stream');
    headers.set('Accept-Ranges', 'bytes');
  }
  if (DIGEST.test(asked.reference) && asked.kind !== 'referrers') {
    headers.set('Docker-Content-Digest', asked.reference);
    headers.set('ETag', `"${asked.reference}"`);
  }
  return headers;
}

/**
 * @param {Asked} asked
 * @param {URL} url
 * @returns {string}
 */
function pathOf({ kind, repository, reference }, url) {
  const query = new URLSearchParams(LISTS.has(kind) ? url.search : '');
  query.delete('ns');
  return `/v2/${repository}/${kind}/${reference}${query.size ? `?${query}` : ''}`;
}

/**
 * The next page of a list, by the name that the client knows. What else there is leads to where a client may not get.
 *
 * @param {Response} answer
 * @param {URL} url
 * @param {Asked} asked
 * @returns {Response}
 */
function withLink(answer, url, asked) {
  const links = answer.headers.get('Link');
  if (links === null) {
    return answer;
  }
  const changed = new Response(answer.body, answer);
  changed.headers.delete('Link');
  const found = [...links.matchAll(/<([^>]*)>([^<]*)/g)].find(([, , behind]) => /;\s*rel\s*=\s*(?:next\b|"(?:[^"]*\s)?next(?:\s[^"]*)?")/i.test(behind));
  if (!found || !URL.canParse(found[1], asked.upstream.url.href)) {
    return changed;
  }
  const next = new URL(found[1], asked.upstream.url);
  const ns = url.searchParams.get('ns');
  if (ns) {
    next.searchParams.set('ns', ns);
  }
  changed.headers.set('Link', `<${url.pathname}${next.search}>; rel="next"`);
  return changed;
}

/**
 * @param {Headers} from
 * @param {Headers} to
 * @param {string[]} names
 */
function copy(from, to, names) {
  for (const name of names) {
    const value = from.get(name);
    if (value !== null) {
      to.set(name, value);
    }
  }
}
