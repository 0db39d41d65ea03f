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
    const response = await this.#get(`${path}?${full}`, headers, signal);
    return response.json();
  }

  /** One row; `changed` says whether it is another one than at the last call, by its entity tag. Throws Problem. */
  async item(path, { signal } = {}) {
    const seen = this.#seen.get(path);
    const response = await this.#get(path, seen ? { "if-none-match": seen.etag } : {}, signal);
    if (response.status === 304) {
      await response.text(); // an answer that nobody reads to its end counts as aborted
      return { row: seen.row, changed: false };
    }
    const row = await response.json();
    const etag = response.headers.get("etag");
    if (etag) this.#seen.set(path, { etag, row });
    return { row, changed: true };
  }

  async #get(path, headers, signal) {
    const token = await this.#session.token();
    const first = await this.#send(path, headers, token, signal);
    if (first.response.status !== 401) return accepted(first);
    // Perhaps revoked, or the clocks differ: once more with another token.
    const other = await this.#session.tokenAfter(token);
    return accepted(await this.#send(path, headers, other, signal));
  }

  async #send(path, headers, token, signal) {
    // Ours, so that there is something to quote even when no answer comes.
    const id = crypto.randomUUID();
    const all = { ...headers, authorization: `Bearer ${token}`, "x-correlation-id": id };
    try {
      return { response: await fetch(this.#base + path, { headers: all, signal }), id };
    } catch (error) {
      throw error instanceof TypeError ? noAnswer("The gateway", id) : error;
    }
  }
}

async function accepted({ response, id }) {
  if (response.ok || response.status === 304) return response;
  throw await problemOf(response, response.headers.get("x-correlation-id") ?? id);
}
