// Copyright (c) 2026, quickpull.registry contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** Errors in the form of the distribution specification, whose codes clients read. */

/** The headers that each answer of a registry has. */
export const COMMON = {
  'Docker-Distribution-Api-Version': 'registry/2.0',
  // What is pulled with a login is for who has it, and a blob that calls itself a web page is none.
  'Cache-Control': 'private',
  'X-Content-Type-Options': 'nosniff',
  // Nor is a manifest that calls itself a picture one with a script in it.
  'Content-Security-Policy': "default-src 'none'; sandbox",
};

/** Of an upstream's error, what its client has to know: when to try again, and how much is left. */
export const KEPT_OF_ERRORS = ['Retry-After', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'];

const LONGEST_ERROR = 64 * 1024;

/** @type {Record<number, string>} */
const CODES = { 401: 'UNAUTHORIZED', 403: 'DENIED', 404: 'NAME_UNKNOWN', 405: 'UNSUPPORTED', 416: 'RANGE_INVALID', 429: 'TOOMANYREQUESTS' };

/** An answer that is thrown. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {Record<string, string>} headers
   */
  constructor(status, code, message, headers = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/**
 * @param {number} status
 * @param {string} code
 * @param {string} message
 * @param {Record<string, string>} [headers]
 * @returns {Problem}
 */
export function problem(status, code, message, headers) {
  return new Problem(status, code, message, headers);
}

/**
 * @param {Problem} found
 * @returns {Response}
 */
export function refusal(found) {
  const { status, code, message, headers } = found;
  return Response.json({ errors: [{ code, message, detail: null }] }, { status, headers: { ...COMMON, ...headers } });
}

/**
 * What an upstream refused, told in its own words where they are those of a registry. Others (a web page of whoever is in between) are not passed on.
 *
 * @param {Response} answer
 * @param {string} unknown the code for 404
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Response>}
 */
export async function passOn(answer, unknown, headers = {}) {
  const kept = { ...COMMON, ...headers };
  for (const name of [...KEPT_OF_ERRORS, ...(answer.status === 416 ? ['Content-Range'] : [])]) {
    const value = answer.headers.get(name);
    if (value !== null) {
      kept[name] = value;
    }
  }
  const status = answer.status >= 400 ? answer.status : 502;
  const said = await read(answer);
  if (Array.isArray(said?.errors) && said.errors.length) {
    return Response.json({ errors: said.errors }, { status, headers: kept });
  }
  const code = answer.status === 404 ? unknown : CODES[answer.status] ?? 'UNKNOWN';
  return refusal(problem(status, code, `The upstream answered ${answer.status}.`, kept));
}

/**
 * @param {Response} answer
 * @returns {Promise<any>} the JSON of a short answer, undefined for any other
 */
export async function read(answer) {
  const length = Number(answer.headers.get('Content-Length') ?? 0);
  if (length > LONGEST_ERROR || !answer.body || !/\bjson\b/.test(answer.headers.get('Content-Type') ?? '')) {
    await answer.body?.cancel();
    return undefined;
  }
  let text = '';
  let size = 0;
  const decoder = new TextDecoder();
  try {
    // Its length need not be told.
    for await (const chunk of answer.body) {
      size += chunk.byteLength;
      if (size > LONGEST_ERROR) {
        return undefined; // which cancels the rest
      }
      text += decoder.decode(chunk, { stream: true });
    }
    return JSON.parse(text + decoder.decode());
  } catch {
    return undefined;
  }
}
