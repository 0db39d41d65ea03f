/** One order that is watched: each state that it comes to, as soon as the page hears of it. */

import { make } from "../markup.js";
import { pause, visible } from "../pause.js";
import { Problem, show } from "../problem.js";
import { moment, word } from "../words.js";

const LAST = ["resulted", "cancelled", "failed"];
const WAIT_S = 20;
const POLL_MS = 3_000;
// Who waits says so (RFC 7240), and is asked again at once; not quite, or a mistake there would be a flood of requests.
const AFTER_WAITING_MS = 250;

export class FollowedOrder {
  #place = document.getElementById("followed");
  #gateway;
  #announce;
  #following = new AbortController();

  constructor({ gateway, announce }) {
    this.#gateway = gateway;
    this.#announce = announce;
  }

  /** From now on this order; one that was followed before is not any more. */
  follow(order) {
    this.close();
    this.#following = new AbortController();
    const states = make("ol", { class: "trail" });
    const place = make("div", { class: "problem-place" });
    const title = make("h3", {}, `No. ${order.order_number}, ${order.test_code}`);
    this.#place.replaceChildren(title, states, place);
    this.#place.hidden = false;
    this.#show(order, states);
    this.#watch(order, states, place);
  }

  close() {
    this.#following.abort();
    this.#place.hidden = true;
    this.#place.replaceChildren();
  }

  async #watch(order, states, place) {
    const { signal } = this.#following;
    const path = `/v2/lab-orders/${encodeURIComponent(order.id)}`;
    try {
      let { status } = order;
      while (!LAST.includes(status)) {
        await visible(signal);
        const { row, waited } = await this.#gateway.item(path, { wait: WAIT_S, signal });
        if (row.status !== status) this.#show(row, states);
        ({ status } = row);
        if (!LAST.includes(status)) await pause(waited ? AFTER_WAITING_MS : POLL_MS, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      const again = () => {
        place.replaceChildren();
        this.#watch(order, states, place);
      };
      place.replaceChildren(show(error, again));
    }
  }

  #show({ order_number: number, status, updated_at: since }, states) {
    const state = make("span", { class: "trail-kind" }, word(status));
    const time = make("time", { datetime: since }, moment(since));
    states.append(make("li", {}, state, time));
    this.#announce(`Order ${number}: ${word(status)}.`);
  }
}
