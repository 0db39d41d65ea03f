/** The gateway's /v2, asked with the user's own token. */

import { noAnswer, problemOf } from "./problem.js";

export class Gateway {
  #base;
  #session;
  #seen = new Map();

  constructor(base, session) {
    this.#base = base;
    this.#session = session;
  }

  /**
   * One page of a list: `items`, and `next`, the cursor behind it, or null. With `count` also `total`.
   * `query` is a URLSearchParams of v2's own words and must be the same for every page. Throws Problem.
   */
  async list(path, query, { cursor = null, count = false, signal } = {}) {
    const full = new URLSearchParams(query);
    if (cursor !== null) full.set("cursor", cursor);
    const headers = count ? { prefer: "count=exact" } : {};
    const response = await this.#ask("GET", `${path}?${full}`, { headers, signal });
    return response.json();
  }

  /**
   * One row, and its entity tag. `changed` says whether it is another one than at the last call. With `wait` the answer
   * may take that many seconds while nothing changes; `waited` says whether it is that kind of answer. Throws Problem.
   */
  async item(path, { wait = 0, signal } = {}) {
    const seen = this.#seen.get(path);
    const headers = seen ? { "if-none-match": seen.etag } : {};
    if (wait > 0) headers.prefer = `wait=${wait}`;
    const response = await this.#ask("GET", path, { headers, signal });
    const waited = (response.headers.get("preference-applied") ?? "").includes("wait=");
    if (response.status === 304) {
      await response.text(); // an answer that nobody reads to its end counts as aborted
      return { ...seen, changed: false, waited };
    }
    return { ...(await this.#keep(path, response)), changed: true, waited };
  }

  /** Makes a row of a list. The same `key` again makes no second one. Throws Problem. */
  async create(path, row, key, { signal } = {}) {
    const headers = { "content-type": "application/json", "idempotency-key": `"${key}"` };
    const response = await this.#ask("POST", path, { headers, body: JSON.stringify(row), signal });
    return response.json();
  }

  /** Changes some fields of a row, if it is still in the version of this entity tag. Throws Problem. */
  async change(path, fields, etag, { signal } = {}) {
    const headers = { "content-type": "application/json", "if-match": etag };
    const body = JSON.stringify(fields);
    const response = await this.#ask("PATCH", path, { headers, body, signal });
    return this.#keep(path, response);
  }

  async #keep(path, response) {
    const row = await response.json();
    const etag = response.headers.get("etag");
    if (etag) this.#seen.set(path, { row, etag });
    return { row, etag };
  }

  async #ask(method, path, { headers, body, signal }) {
    const token = await this.#session.token();
    const request = { method, headers, body, signal };
    const first = await this.#send(path, request, token);
    if (first.response.status !== 401) return accepted(first);
    // Perhaps revoked, or the clocks differ: once more with another token.
    const other = await this.#session.tokenAfter(token);
    return accepted(await this.#send(path, request, other));
  }

  async #send(path, request, token) {
    // Ours, so that there is something to quote even when no answer comes.
    const id = crypto.randomUUID();
    const headers = { ...request.headers, authorization: `Bearer ${token}`, "x-correlation-id": id };
    try {
      return { response: await fetch(this.#base + path, { ...request, headers }), id };
    } catch (error) {
      throw error instanceof TypeError ? noAnswer("The gateway", id) : error;
    }
  }
}

async function accepted({ response, id }) {
  if (response.ok || response.status === 304) return response;
  throw await problemOf(response, response.headers.get("x-correlation-id") ?? id);
}
