/** A form that makes a row, once: however often it is sent, until it is known what became of it. */

import { Attempt } from "./attempt.js";
import { make } from "./markup.js";
import { Problem, show } from "./problem.js";
import { pause } from "./pause.js";
import { word } from "./words.js";

// These say nothing about the write itself, so an earlier attempt is as open as before.
const NOT_ABOUT_THE_WRITE = [401, 408, 429];
const IN_FLIGHT = "idempotency_in_flight";
const DOUBT = "It is not known whether this has happened. To try again is safe: it cannot happen twice.";

export class WriteForm {
  #form;
  #spec;
  #gateway;
  #session;
  #life = new AbortController();
  #sending = false;
  /** What was sent and may have happened: until that is known, nothing else is. */
  #open = null;

  /**
   * `form` has the parts of the template "write-end"; each input stands in a `.field`, its name is the member's. `spec`:
   *   path    of the list
   *   body    (form data) => the row to make
   *   beside  names of inputs by members that have none of their own
   *   done    (row) => what follows when it has been made
   *   refused (problem) => true if it has been dealt with
   */
  constructor(form, spec, { gateway, session }) {
    this.#form = form;
    this.#spec = spec;
    this.#gateway = gateway;
    this.#session = session;
    form.addEventListener("submit", (event) => this.#submit(event), { signal: this.#life.signal });
  }

  /** Gives up waiting and leaves the form empty. A key whose outcome is open is kept. */
  close() {
    this.#life.abort();
    this.#clear();
    this.#say("");
    this.#find(".inputs").disabled = false;
    this.#form.reset();
  }

  async #submit(event) {
    event.preventDefault();
    // The button is not disabled meanwhile: it would lose the focus.
    if (this.#sending) return;
    this.#sending = true;
    try {
      await this.#send(this.#open ?? (await this.#filledIn()));
    } finally {
      this.#sending = false;
    }
    const next = this.#find("[aria-invalid], .again:not([hidden])");
    if (next !== null) next.focus();
    else if (document.activeElement === document.body) this.#find("[type=submit]").focus(); // "Try again" has gone
  }

  async #filledIn() {
    const body = this.#spec.body(new FormData(this.#form));
    return { body, attempt: await Attempt.of(this.#session.user, this.#spec.path, body) };
  }

  async #send(write) {
    const { signal } = this.#life;
    this.#clear();
    this.#say("Sending");
    this.#find(".inputs").disabled = true;
    try {
      const row = await this.#answer(write, signal);
      signal.throwIfAborted();
      write.attempt.settle();
      this.#open = null;
      this.#say("");
      this.#spec.done(row);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.#failed(error, write);
    } finally {
      if (!signal.aborted) this.#find(".inputs").disabled = this.#open !== null;
    }
  }

  /** The row. While the first request with this key is still running, it asks again when it was told to. */
  async #answer({ body, attempt }, signal) {
    for (;;) {
      try {
        return await this.#gateway.create(this.#spec.path, body, attempt.key, { signal });
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== IN_FLIGHT) throw error;
        this.#say("The first one is still being worked on. Asking again");
        await pause((error.retryAfter ?? 1) * 1000, signal);
      }
    }
  }

  #failed(problem, write) {
    const refused =
      problem.status >= 400 && problem.status < 500 && !NOT_ABOUT_THE_WRITE.includes(problem.status);
    if (refused) {
      write.attempt.settle();
      this.#open = null;
    } else if (problem.leavesDoubt) {
      this.#open = write;
    }
    this.#say(this.#open === null ? "" : DOUBT);
    if (refused && this.#spec.refused?.(problem)) return;
    const others = problem.errors.filter((error) => !this.#mark(error));
    const again = refused ? undefined : () => this.#form.requestSubmit();
    this.#find(".problem-place").replaceChildren(show(problem, again, others));
  }

  /** Says at the input what is wrong with it; false if no input is meant. */
  #mark({ field, code }) {
    const name = this.#spec.beside?.[field] ?? field;
    const input = this.#form.querySelector(`[name="${CSS.escape(name)}"]`);
    if (input === null) return false;
    const id = `${this.#form.id}-${name}-error`;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", id);
    input.closest(".field").append(make("p", { class: "field-error", id }, word(code)));
    return true;
  }

  #clear() {
    for (const error of this.#form.querySelectorAll(".field-error")) error.remove();
    for (const input of this.#form.querySelectorAll("[aria-invalid]")) {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
    this.#find(".problem-place").replaceChildren();
  }

  #say(words) {
    this.#find(".said").textContent = words;
  }

  #find(selector) {
    return this.#form.querySelector(selector);
  }
}
