/** "Order a test": makes a lab order, then follows it until the laboratory is done. */

import { WriteForm } from "../write-form.js";
import { FollowedOrder } from "./followed-order.js";
import { SubmissionChoice } from "./submission-choice.js";

export class Ordering {
  #form = document.getElementById("order-form");
  #parts;

  /** `ordered` is called when there is one order more. */
  constructor(parts, ordered) {
    const details = document.getElementById("order");
    const followed = new FollowedOrder(parts);
    const spec = {
      path: "/v2/lab-orders",
      body: (form) => ({
        submission_id: form.get("submission_id"),
        test_code: form.get("test_code").trim(),
        priority: Number(form.get("priority")),
        status: "ordered",
      }),
      done: (order) => {
        this.#form.reset();
        followed.follow(order);
        ordered();
      },
    };
    this.#parts = [new SubmissionChoice(details, parts), new WriteForm(this.#form, spec, parts), followed];
  }

  close() {
    for (const part of this.#parts) part.close();
  }
}
