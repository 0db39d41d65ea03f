/** Moving a compliance task to another state: the very version that is shown, or none. */

import { copyOf, make } from "../markup.js";
import { Problem, show } from "../problem.js";
import { word } from "../words.js";

const STATES = ["open", "in_progress", "blocked", "completed", "cancelled"];
const WORKERS = ["compliance", "admin"];

/**
 * The form for it, in a list; an empty one for who only looks on. It offers every state: which ways there are is the
 * service's to say, and legacy takes them all.
 */
export function taskWork(task, { change, again, user, signal }) {
  if (!WORKERS.includes(user.role) && task.assignee_id !== user.id) return [];
  const form = copyOf("task-work").querySelector("form");
  const place = form.querySelector(".problem-place");
  const others = STATES.filter((state) => state !== task.status);
  form.elements.status.replaceChildren(...others.map((state) => make("option", { value: state }, word(state))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    move(form.elements.status.value);
  });
  return [form];

  async function move(status) {
    place.replaceChildren();
    form.elements.inputs.disabled = true;
    try {
      await change({ status });
      await again(`Moved to ${word(status)}.`);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      await refused(error, status);
    } finally {
      form.elements.inputs.disabled = false;
    }
  }

  async function refused(problem, status) {
    if (problem.code === "version_changed") {
      await again("Somebody else has changed this task, so your move was not made. This is how it is now.");
      return;
    }
    const ways = problem.code === "illegal_transition";
    place.replaceChildren(ways ? waysFrom(task.status, problem.legal, move) : show(problem, () => move(status)));
    (place.querySelector("button:not([hidden])") ?? place.firstElementChild).focus();
  }
}

/** Where a row can go, as the service says. */
function waysFrom(status, legal, move) {
  const words = legal.length === 0 ? `What is ${word(status)} stays so.` : `From ${word(status)} it can go to:`;
  const buttons = legal.map((state) => {
    const button = make("button", { type: "button", class: "quiet" }, word(state));
    button.addEventListener("click", () => move(state));
    return button;
  });
  return make("div", { class: "ways", role: "alert", tabindex: "-1" }, make("p", {}, words), ...buttons);
}
