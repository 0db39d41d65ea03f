/** "Book a slot": a clinician's own free times of a day. Only the new service knows them, so this waits for the flag. */

import { make } from "../markup.js";
import { Problem, show } from "../problem.js";
import { sideOf } from "../stage.js";
import { beginOf, dayFromNow, foreignZone, momentIn, timeIn } from "../words.js";
import { WriteForm } from "../write-form.js";
import { FLAG } from "./appointments.js";
import { SubmissionChoice } from "./submission-choice.js";

const TAKEN = "Somebody has just taken that time. These are free now.";
const NOT_YET = "not_available_at_stage";

export class Booking {
  #details = document.getElementById("booking");
  #form = document.getElementById("booking-form");
  #later = document.getElementById("booking-later");
  #said = document.getElementById("slots-said");
  #list = document.querySelector("#slots .slots");
  #gateway;
  #flags;
  #clinician;
  #slots = [];
  #life = new AbortController();
  #looking = new AbortController();
  #parts;

  /** `booked` is called when there is one appointment more. */
  constructor(parts, booked) {
    this.#gateway = parts.gateway;
    this.#flags = parts.flags;
    this.#clinician = parts.session.user.id;
    const spec = {
      path: "/v2/appointments",
      body: (form) => this.#booking(form),
      beside: { starts_at: "slot", ends_at: "slot" },
      done: (appointment) => {
        this.#look(`Booked: ${momentIn(appointment.starts_at, appointment.time_zone)}.`);
        booked();
      },
      refused: (problem) => this.#refused(problem),
    };
    this.#parts = [new SubmissionChoice(this.#details, parts), new WriteForm(this.#form, spec, parts)];
    const { signal } = this.#life;
    const { day, minutes } = this.#form.elements;
    day.min = dayFromNow(0);
    day.value = dayFromNow(1);
    for (const input of [day, minutes]) input.addEventListener("change", () => this.#look(), { signal });
    this.#details.addEventListener("toggle", () => this.#details.open && this.#look(), { signal });
  }

  flagsChanged() {
    this.#allow(sideOf(this.#flags.stage(FLAG)) === "service");
  }

  close() {
    this.#life.abort();
    this.#looking.abort();
    for (const part of this.#parts) part.close();
    this.#allow(false);
    this.#offer([]);
    this.#said.textContent = "";
  }

  #allow(open) {
    this.#details.hidden = !open;
    this.#later.hidden = open;
  }

  /** Shows the free times of the day that is chosen; `before` is said with it. */
  async #look(before = "") {
    this.#looking.abort();
    const { signal } = (this.#looking = new AbortController());
    const { day, minutes } = this.#form.elements;
    this.#offer([]);
    if (!day.value) {
      this.#said.textContent = `${before} Choose a day.`.trim();
      return;
    }
    this.#said.textContent = `${before} Looking`.trim();
    const query = new URLSearchParams({
      clinician_id: this.#clinician,
      from: beginOf(day.value),
      to: beginOf(day.value, 1),
      duration_minutes: minutes.value,
    });
    try {
      const { items } = await this.#gateway.list("/v2/appointments/slots", query, { signal });
      this.#offer(items);
      this.#said.textContent = `${before} ${items.length === 0 ? "Nothing is free on this day." : zoneWords(items[0])}`.trim();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.#said.textContent = before;
      if (error.code === NOT_YET) this.#allow(false);
      else this.#list.replaceChildren(show(error, () => this.#look()));
    }
  }

  #offer(slots) {
    this.#slots = slots;
    // Without a time there is nothing to send, and a radio button that is not there cannot say so.
    this.#form.elements.day.setCustomValidity(slots.length === 0 ? "No free time of this day is shown." : "");
    this.#list.replaceChildren(
      ...slots.map(({ starts_at: starts, time_zone: zone }, number) => {
        const radio = make("input", { type: "radio", name: "slot", value: number, required: "" });
        return make("label", { class: "slot" }, radio, timeIn(starts, zone));
      }),
    );
  }

  #booking(form) {
    const slot = this.#slots[Number(form.get("slot"))];
    return { ...slot, submission_id: form.get("submission_id"), modality: form.get("modality") };
  }

  #refused(problem) {
    if (problem.code === NOT_YET) {
      this.#allow(false);
      return true;
    }
    if (!problem.errors.some(({ code }) => code === "clinician_is_booked")) return false;
    this.#look(TAKEN);
    return true;
  }
}

function zoneWords({ time_zone: zone }) {
  const foreign = foreignZone(zone);
  return foreign ? `By the clock of ${foreign}.` : "";
}
