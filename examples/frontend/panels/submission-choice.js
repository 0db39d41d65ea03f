/** The submissions that somebody may choose from, in a select; read when its part of the page is opened. */

import { make } from "../markup.js";
import { Problem, show } from "../problem.js";
import { word } from "../words.js";

const MOST = 200;

export class SubmissionChoice {
  #details;
  #select;
  #gateway;
  #life = new AbortController();

  /** `details` is the part of the page that opens, with the select and a `.problem-place` in it. */
  constructor(details, { gateway }) {
    this.#details = details;
    this.#select = details.querySelector("[name=submission_id]");
    this.#gateway = gateway;
    details.addEventListener("toggle", () => this.#opened(), { signal: this.#life.signal });
  }

  close() {
    this.#life.abort();
    this.#details.open = false;
    this.#select.replaceChildren();
  }

  #opened() {
    if (this.#details.open && this.#select.options.length === 0) this.#read();
  }

  async #read() {
    const { signal } = this.#life;
    const place = this.#details.querySelector(".problem-place");
    this.#offer([make("option", { value: "" }, "Loading")]);
    try {
      const query = new URLSearchParams({ order: "-submitted_at", limit: MOST });
      const { items, next } = await this.#gateway.list("/v2/submissions", query, { signal });
      const first = make("option", { value: "" }, items.length === 0 ? "none that you may see" : "choose one");
      const last = next === null ? [] : [make("option", { disabled: "" }, `The latest ${items.length} are listed.`)];
      this.#offer([first, ...items.map(option), ...last]);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.#offer([]);
      const again = () => {
        place.replaceChildren();
        this.#read();
      };
      place.replaceChildren(show(error, again));
    }
  }

  #offer(options) {
    this.#select.replaceChildren(...options);
  }
}

// A name of either direction stays together: the rest of the line keeps its own.
const FIRST_STRONG = "\u2068";
const END = "\u2069";

function option({ id, given_name: given, family_name: family, birth_date: born, status }) {
  const name = `${FIRST_STRONG}${given} ${family}${END}`;
  return make("option", { value: id }, `${name}, born ${born} (${word(status)})`);
}
