/** "Ask for an appointment": a patient's request, which staff answers. Both sides take it, so it waits for no flag. */

import { beginOf, word } from "../words.js";
import { WriteForm } from "../write-form.js";
import { SubmissionChoice } from "./submission-choice.js";

export class Requesting {
  #form = document.getElementById("request-form");
  #parts;

  constructor(parts) {
    const details = document.getElementById("request");
    const spec = {
      path: "/v2/appointment-requests",
      body: (form) => ({
        submission_id: form.get("submission_id"),
        not_before: form.get("first_day") ? beginOf(form.get("first_day")) : null,
        not_after: form.get("last_day") ? beginOf(form.get("last_day"), 1) : null,
        notes: form.get("notes").trim() || null,
      }),
      beside: { not_before: "first_day", not_after: "last_day" },
      done: (request) => {
        this.#form.reset();
        const said = `Your request is ${word(request.status)}. The appointment will be among those below.`;
        this.#form.querySelector(".said").textContent = said;
      },
    };
    this.#parts = [new SubmissionChoice(details, parts), new WriteForm(this.#form, spec, parts)];
  }

  close() {
    for (const part of this.#parts) part.close();
  }
}
