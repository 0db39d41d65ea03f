/**
 * A session with Supabase Auth: sign in by password, renew, sign out.
 *
 * Tokens live in memory alone, so a reload signs out, and nothing is left on a shared machine.
 */

import { Problem, SessionEnded, noAnswer } from "./problem.js";

const RENEW_BEFORE_MS = 30_000;
const FINAL = [400, 401, 403];

export class Session {
  #supabase;
  #grant;
  #goodUntil;
  #renewing = null;
  #ended = false;

  /** Called once, when the session has ended: with the problem if it could not be renewed, else with nothing. */
  onEnd = () => {};

  /** Signs in. Throws Problem; a wrong password is one, too. */
  static async signIn(supabase, email, password) {
    const grant = await supabase.post("token?grant_type=password", { email, password });
    return new Session(supabase, grant);
  }

  constructor(supabase, grant) {
    this.#supabase = supabase;
    this.#keep(grant);
  }

  get ended() {
    return this.#ended;
  }

  /** Who is signed in, as the token's issuer says. */
  get user() {
    const { id, email, app_metadata: rights } = this.#grant.user;
    return { id, email, role: rights?.app_role ?? rights?.banyan_roles?.join(", ") ?? "" };
  }

  /** An access token that is good for a while. Throws SessionEnded, or Problem when Auth does not answer. */
  async token() {
    if (this.#ended) throw new SessionEnded();
    return Date.now() < this.#goodUntil ? this.#grant.access_token : this.#renew();
  }

  /** A token other than the one that was refused. Throws like `token`. */
  async tokenAfter(refused) {
    return this.#grant.access_token === refused ? this.#renew() : this.token();
  }

  /** Forgets the tokens at once, then tells Auth. Never throws: a session that Auth was not told of runs out. */
  async signOut() {
    const token = this.#grant.access_token;
    this.#end();
    try {
      await this.#supabase.post("logout?scope=local", {}, token);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  }

  // A refresh token works once, and using one again ends the whole session: callers share one renewal.
  #renew() {
    this.#renewing ??= this.#refresh().finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  async #refresh() {
    let grant;
    try {
      const body = { refresh_token: this.#grant.refresh_token };
      grant = await this.#supabase.post("token?grant_type=refresh_token", body);
    } catch (error) {
      // Too many requests, a server's trouble or no answer end nothing: the next call tries again.
      if (!(error instanceof Problem) || !FINAL.includes(error.status)) throw error;
      this.#end(new SessionEnded());
    }
    if (this.#ended) throw new SessionEnded();
    this.#keep(grant);
    return grant.access_token;
  }

  #keep(grant) {
    this.#grant = grant;
    // By our own clock: `expires_at` is by the server's, and the two may differ by more than a token lives.
    this.#goodUntil = Date.now() + grant.expires_in * 1000 - RENEW_BEFORE_MS;
  }

  #end(problem) {
    if (this.#ended) return;
    this.#ended = true;
    this.onEnd(problem);
  }
}

/** Supabase Auth over HTTP. */
export class Supabase {
  #base;
  #apikey;

  constructor(url, apikey) {
    this.#base = `${url}/auth/v1/`;
    this.#apikey = apikey;
  }

  /** The answer's JSON, null when it has none. Throws Problem. */
  async post(path, body, token) {
    const headers = {
      apikey: this.#apikey,
      "content-type": "application/json",
      "x-supabase-api-version": "2024-01-01",
    };
    if (token) headers.authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(this.#base + path, { method: "POST", headers, body: JSON.stringify(body) });
    } catch (error) {
      throw error instanceof TypeError ? noAnswer("Sign-in") : error;
    }
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw refused(response.status, answer ?? {});
    return answer;
  }
}

function refused(status, { code, message }) {
  return new Problem({
    code: code ?? "auth_refused",
    title: status < 500 ? "Sign-in refused" : "Sign-in does not work",
    detail: message ? `${message}.` : `Auth answered with status ${status}.`,
    status,
  });
}
