/** Calls of the same /v1 API that programs use, with the cookie of this session. */

import { signInAgain } from "./sign_in_again.js";
import { csrfToken, renewed } from "./token.js";

/** An answer that is an error: its HTTP status, and what the problem document says. */
export class Problem extends Error {
  constructor(status, error, requestId, retryAfter = null) {
    super(error.message);
    this.name = "Problem";
    this.status = status;
    this.code = error.code ?? null;
    this.param = error.param ?? null;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
    this.document = error;
  }
}

const SAFE = new Set(["GET", "HEAD"]);

/**
 * The `Response` of a successful call; `body` goes as JSON.
 *
 * Throws `Problem` for every error answer, TypeError when the server cannot be reached, and
 * AbortError through `signal`. A session that ended is offered a new one, then the call goes again;
 * so it does when another tab has begun one.
 */
export async function open(method, path, { body, headers = {}, signal } = {}) {
  for (let refused = false; ; ) {
    const sent = new Headers(headers);
    const token = csrfToken();
    if (!SAFE.has(method)) sent.set("X-CSRF-Token", token);
    if (body !== undefined && !sent.has("Content-Type")) sent.set("Content-Type", "application/json");
    const response = await fetch(path, {
      method,
      headers: sent,
      signal,
      credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.ok || response.status === 304) return response;
    if (response.status === 401 && (await signInAgain(signal))) continue;
    if (response.status === 403 && !SAFE.has(method) && !refused) {
      refused = true;
      if (await renewed(token)) continue;
    }
    throw await problemOf(response);
  }
}

/** The JSON of a successful call, null where there is none; throws as `open` does. */
export async function call(method, path, options = {}) {
  const response = await open(method, path, options);
  return response.status === 204 || response.status === 304 ? null : response.json();
}

async function problemOf(response) {
  const id = response.headers.get("x-request-id");
  const wait = response.headers.get("Retry-After");
  let error = null;
  if (/\bjson\b/.test(response.headers.get("Content-Type") ?? "")) {
    error = (await response.json()).error;
  }
  error ??= { message: `HTTP ${response.status} ${response.statusText}` };
  return new Problem(response.status, error, id, wait === null ? null : Number(wait));
}
