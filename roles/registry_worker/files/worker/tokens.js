// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** Tokens: those that the Worker fetches for itself, and the endpoint where clients fetch theirs. */

import { basic } from './clients.js';
import { COMMON, KEPT_OF_ERRORS, passOn, problem, read } from './errors.js';
import { TOKEN_PATH, complete, isName, ofHost, split } from './routes.js';
import { allowed } from './settings.js';
import { ask, patiently, trusted } from './upstream.js';

/**
 * @typedef {import('./settings.js').Settings} Settings
 * @typedef {import('./settings.js').Upstream} Upstream
 * @typedef {{scheme: string, parameters: Map<string, string>}} Challenge
 */

/**
 * What a client is given that had its challenge from the upstream of the host's name, and pulls from another that wants no tokens (Docker asks for one
 * whenever /v2/ challenged). It does not go up: registries that want none refuse what they do not know.
 */
export const NO_TOKEN = 'none-is-wanted';

// What a registry means that says nothing (the token specification).
const LIFETIME = 60;
// A token that dies on its way is worse than one fetched too early.
const MARGIN = 10;
const MOST_TOKENS = 500;
export const NOT_THERE = 'The upstream has no such repository, or does not let this mirror pull from it.';

/**
 * In the memory of one instance of the Worker: lost whenever Cloudflare ends it, which costs a request more.
 *
 * @type {Map<string, {header: string, until: number}>}
 */
const tokens = new Map();

/**
 * @param {string | null} header
 * @returns {Challenge[]}
 */
export function challenges(header) {
  /** @type {Challenge[]} */
  const found = [];
  // Either a parameter (with a value, quoted or not), or a word that begins a challenge.
  for (const [, name, quoted, bare, scheme] of (header ?? '').matchAll(/([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([\w-]+)(?=\s|,|$)/g)) {
    if (scheme) {
      found.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
    } else {
      found.at(-1)?.parameters.set(name.toLowerCase(), quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'));
    }
  }
  return found;
}

/**
 * An upstream's 401, with this Worker's token endpoint in place of the upstream's own, which a client may not be able to reach.
 *
 * @param {Response} answer
 * @param {URL} url of the client's request
 * @param {Upstream} upstream
 * @returns {Promise<Response>}
 */
export async function challenged(answer, url, upstream) {
  const told = challenges(answer.headers.get('WWW-Authenticate')).map(({ scheme, parameters }) => {
    const shown = new Map(parameters);
    if (scheme === 'bearer') {
      shown.set('realm', url.origin + TOKEN_PATH + upstream.name);
    }
    const list = [...shown].map(([name, value]) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`);
    return `${scheme[0].toUpperCase()}${scheme.slice(1)} ${list.join(',')}`;
  });
  return passOn(answer, 'NAME_UNKNOWN', told.length ? { 'WWW-Authenticate': told.join(', ') } : {});
}

/**
 * Where clients fetch tokens: of the upstream's own token server, for no more than pulling what they may.
 *
 * @param {Request} request
 * @param {URL} url
 * @param {Upstream} pinged whose challenge the client had
 * @param {Settings} given
 * @returns {Promise<Response>}
 */
export async function tokenEndpoint(request, url, pinged, given) {
  if (given.ownTokens) {
    throw problem(404, 'UNSUPPORTED', 'This mirror fetches its tokens itself.');
  }
  const { upstream, repositories } = scopes(url.searchParams.getAll('scope'), pinged, given);
  for (const repository of repositories) {
    if (!allowed(given, upstream, repository)) {
      throw problem(403, 'DENIED', 'This mirror does not serve that repository.');
    }
  }
  const bearer = await bearerOf(upstream, repositories[0]);
  if (!bearer) {
    return handed(NO_TOKEN, NO_TOKEN, LIFETIME);
  }
  // Docker sends the login that it has for the host's name with whatever it pulls by that name.
  const login = upstream === ofHost(url, given) ? basic(request.headers.get('Authorization')) : undefined;
  const answer = await fetchToken(upstream, bearer, repositories.map(scopeOf), login);
  if (!answer.ok) {
    return passOn(answer, 'NAME_UNKNOWN');
  }
  const { token, access_token: access, expires_in: lifetime, issued_at: issued } = (await read(answer)) ?? {};
  if (!token && !access) {
    throw problem(502, 'UNKNOWN', 'The token server of the upstream gave no token.');
  }
  return handed(token ?? access, access ?? token, lifetime, issued);
}

/**
 * @param {string} token
 * @param {string} access the same, as some clients call it
 * @param {number} [lifetime]
 * @param {string} [issued]
 * @returns {Response}
 */
function handed(token, access, lifetime, issued) {
  const told = { token, access_token: access, expires_in: lifetime, issued_at: issued };
  return Response.json(told, { headers: { ...COMMON, 'Cache-Control': 'no-store' } });
}

/**
 * What a client asks for. It asks by the name that it knows: with the upstream before it where it pulled `mirror.example.com/quay.io/team/app`, and without
 * library/ where it pulled `mirror.example.com/nginx`.
 *
 * @param {string[]} asked
 * @param {Upstream} pinged
 * @param {Settings} given
 * @returns {{upstream: Upstream, repositories: string[]}}
 */
function scopes(asked, pinged, given) {
  const names = asked.flatMap((one) => one.split(' ')).flatMap((one) => {
    const found = /^repository(?:\([^)]*\))?:(.+):([^:]*)$/.exec(one);
    return found && /(?:^|,)(?:pull|\*)(?:,|$)/.test(found[2]) ? [found[1]] : [];
  });
  const found = names
    .map((name) => {
      const [upstream, behind] = split(name, given);
      return upstream && behind ? { upstream, name: behind } : { upstream: pinged, name };
    })
    // It becomes part of a path, and is compared with what is allowed.
    .filter(({ name }) => isName(name));
  // One token is of one token server. What is named with its upstream is what was pulled; anything else is left over from the ping.
  const upstream = found.find((one) => one.upstream !== pinged)?.upstream ?? pinged;
  const repositories = found.filter((one) => one.upstream === upstream).map((one) => complete(upstream, one.name));
  return { upstream, repositories: [...new Set(repositories)] };
}

/** @param {string} repository */
function scopeOf(repository) {
  return `repository:${repository}:pull`;
}

/**
 * @param {Upstream} upstream
 * @param {string | undefined} repository
 * @returns {Promise<Challenge | undefined>}
 */
async function bearerOf(upstream, repository) {
  // Most challenge at /v2/, some for a manifest alone.
  for (const path of ['/v2/', ...(repository ? [`/v2/${repository}/manifests/latest`] : [])]) {
    const { answer, atHome } = await ask(upstream, path, { method: path === '/v2/' ? 'GET' : 'HEAD', headers: new Headers() });
    await answer.body?.cancel();
    if (answer.status === 429) {
      throw tooMany(answer);
    }
    const bearer = answer.status === 401 && atHome ? challenges(answer.headers.get('WWW-Authenticate')).find((one) => one.scheme === 'bearer') : undefined;
    if (bearer) {
      return bearer;
    }
  }
  return undefined;
}

/**
 * @param {Upstream} upstream
 * @param {Challenge} bearer
 * @param {string[]} scopesAsked
 * @param {import('./settings.js').Login | undefined} login
 * @returns {Promise<Response>}
 */
async function fetchToken(upstream, bearer, scopesAsked, login) {
  const realm = bearer.parameters.get('realm') ?? '';
  if (!URL.canParse(realm)) {
    throw problem(502, 'UNKNOWN', 'The upstream names no token server.');
  }
  const url = trusted(new URL(realm), upstream, 'has its tokens at');
  const service = bearer.parameters.get('service');
  if (service) {
    url.searchParams.set('service', service);
  }
  for (const scope of scopesAsked) {
    url.searchParams.append('scope', scope);
  }
  // A token server that redirects would carry the login to wherever it likes.
  return patiently(url, { headers: login ? { Authorization: header(login) } : {}, redirect: 'manual' });
}

/** @param {import('./settings.js').Login} login */
function header({ username, password }) {
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${username}:${password}`)))}`;
}

/** @param {Response} answer */
function tooMany(answer) {
  const kept = KEPT_OF_ERRORS.flatMap((name) => (answer.headers.has(name) ? [[name, answer.headers.get(name)]] : []));
  const message = 'The upstream has had too many requests from where this mirror runs. Take another mirror, or try again later.';
  return problem(429, 'TOOMANYREQUESTS', message, Object.fromEntries(kept));
}

/**
 * The header by which the Worker pulls from a repository, as far as it knows one already.
 *
 * @param {Upstream} upstream
 * @param {string} repository
 * @returns {string | undefined}
 */
export function known(upstream, repository) {
  const found = tokens.get(`${upstream.name} ${repository}`);
  return found && found.until > Date.now() ? found.header : undefined;
}

/**
 * The header that an upstream's 401 asks for.
 *
 * @param {Upstream} upstream
 * @param {string} repository
 * @param {Response} refused
 * @returns {Promise<string | undefined>}
 */
export async function obtain(upstream, repository, refused) {
  const told = challenges(refused.headers.get('WWW-Authenticate'));
  const bearer = told.find((one) => one.scheme === 'bearer');
  if (!bearer) {
    return upstream.login && told.some((one) => one.scheme === 'basic') ? remember(upstream, repository, header(upstream.login), LIFETIME * 60) : undefined;
  }
  const answer = await fetchToken(upstream, bearer, [scopeOf(repository)], upstream.login);
  if (answer.status === 429) {
    await answer.body?.cancel();
    throw tooMany(answer);
  }
  const said = answer.ok ? await read(answer) : undefined;
  const token = said?.token ?? said?.access_token;
  if (!token) {
    await answer.body?.cancel();
    const refusedLogin = upstream.login && answer.status === 401;
    if (answer.status === 403 || (answer.status === 401 && !upstream.login)) {
      throw problem(403, 'DENIED', NOT_THERE);
    }
    const what = refusedLogin ? `refused the login that this mirror has for ${upstream.name}` : `gave no token: it answered ${answer.status}`;
    console.error(`the token server of ${upstream.name} ${what}`);
    throw problem(502, 'UNKNOWN', `The token server of the upstream ${what}.`);
  }
  return remember(upstream, repository, `Bearer ${token}`, Number(said.expires_in) || LIFETIME);
}

/**
 * @param {Upstream} upstream
 * @param {string} repository
 * @param {string} value
 * @param {number} seconds
 * @returns {string} the value
 */
function remember(upstream, repository, value, seconds) {
  if (tokens.size >= MOST_TOKENS) {
    tokens.delete(/** @type {string} */ (tokens.keys().next().value));
  }
  tokens.set(`${upstream.name} ${repository}`, { header: value, until: Date.now() + (seconds - MARGIN) * 1000 });
  return value;
}
