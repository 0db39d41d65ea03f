/** Errors as the person at the screen meets them: the gateway's problem documents, and the same shape for our own. */

import { copyOf, make } from "./markup.js";
import { word } from "./words.js";

const NO_ANSWER = "no_answer";

/**
 * Something did not work. `code` is stable, the words are for people; `retryAfter` is in seconds, or null; `legal` are the
 * states to which a row can go; `outcome` is what became of a write: "not_applied", "unknown", or nothing said.
 */
export class Problem extends Error {
  constructor({
    code,
    title,
    detail,
    status = 0,
    correlationId = "",
    errors = [],
    retryAfter = null,
    legal = [],
    outcome = "",
  }) {
    super(title);
    this.name = "Problem";
    Object.assign(this, { code, title, detail, status, correlationId, errors, retryAfter, legal, outcome });
  }

  /** Whether a write that met this may have happened all the same. */
  get leavesDoubt() {
    if (this.outcome !== "") return this.outcome === "unknown";
    return this.status >= 500 || this.code === NO_ANSWER;
  }
}

/** Nobody is signed in any more; only signing in again helps. */
export class SessionEnded extends Problem {
  constructor() {
    super({ code: "session_ended", title: "Signed out", detail: "Your session has ended. Sign in again." });
  }
}

/** The Problem of an answer that is not 2xx; one that is no problem document is described by its status. */
export async function problemOf(response, correlationId) {
  const document = await readJson(response);
  const retryAfter = Number(response.headers.get("retry-after") ?? NaN);
  return new Problem({
    code: document.code ?? "unexpected_answer",
    title: document.title ?? "Unexpected answer",
    detail: document.detail ?? `The server answered with status ${response.status}.`,
    status: response.status,
    correlationId: document.correlation_id ?? correlationId,
    errors: Array.isArray(document.errors) ? document.errors : [],
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
    legal: Array.isArray(document.legal) ? document.legal : [],
    outcome: document.outcome ?? "",
  });
}

async function readJson(response) {
  if (!/\bjson\b/.test(response.headers.get("content-type") ?? "")) return {};
  try {
    return (await response.json()) ?? {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

/** No answer came at all: the server is away, or the browser may not read it (CORS). */
export function noAnswer(whose, correlationId = "") {
  return new Problem({
    code: NO_ANSWER,
    title: "No answer",
    detail: `${whose} cannot be reached. Check your connection and try again.`,
    correlationId,
  });
}

/** The problem on the page; `again` is offered as a button if it is given, `errors` are named. */
export function show(problem, again, errors = problem.errors) {
  const part = copyOf("problem");
  const find = (selector) => part.querySelector(selector);
  find(".problem-title").textContent = problem.title;
  find(".problem-detail").textContent =
    problem.retryAfter === null ? problem.detail : `${problem.detail} (${problem.retryAfter} s)`;
  if (errors.length > 0) {
    const items = errors.map(({ field, code }) =>
      make("li", {}, make("code", {}, String(field)), `: ${word(code)}`),
    );
    find(".problem-errors").replaceChildren(...items);
    find(".problem-errors").hidden = false;
  }
  if (problem.correlationId) {
    find(".problem-id code").textContent = problem.correlationId;
    find(".problem-id").hidden = false;
  }
  if (again) {
    find(".again").hidden = false;
    find(".again").addEventListener("click", again);
  }
  return part;
}
