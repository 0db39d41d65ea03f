/** Appointment widget: appointments, and the times that were asked for. */

import { make } from "../markup.js";
import { facts } from "../panel.js";
import { Problem, show } from "../problem.js";
import { sideOf } from "../stage.js";
import { foreignZone, moment, momentIn, word } from "../words.js";

const FLAG = "appointments.stage";
const TONES = { fulfilled: "good", cancelled: "quiet", no_show: "bad" };
const HOLDING = ["proposed", "booked", "arrived"];
const WISH_TONES = { free: "good", taken: "bad", past: "quiet" };
const USUAL_LENGTH_MS = 30 * 60_000;
const REQUESTS = 10;
const MOST = 200;

export const appointments = {
  path: "/v2/appointments",
  one: "appointment",
  many: "appointments",
  stages: (stage) => [stage(FLAG)],
  query: (form) => {
    const plain = [...form].filter(([name, value]) => value !== "" && name !== "when");
    return [...plain, ...when(form.get("when"))];
  },
  row: (appointment) => ({
    title: momentIn(appointment.starts_at, appointment.time_zone),
    note: [word(appointment.modality), appointment.location, foreignZone(appointment.time_zone)]
      .filter(Boolean)
      .join(" · "),
    pill: word(appointment.status),
    tone: TONES[appointment.status] ?? "going",
  }),
  details: (appointment) => [
    facts([
      ["Begins", momentIn(appointment.starts_at, appointment.time_zone)],
      ["Ends", momentIn(appointment.ends_at, appointment.time_zone)],
      ["Time zone", appointment.time_zone],
      ["Begins, your time", foreignZone(appointment.time_zone) && moment(appointment.starts_at)],
      ["Where", appointment.location],
      ["Clinician", appointment.clinician_id],
      ["Partner", appointment.partner_id],
      ["Reason", appointment.reason],
      ["Cancelled because", appointment.cancellation_reason],
    ]),
  ],
};

function when(choice) {
  const now = new Date().toISOString();
  if (choice === "upcoming") return [["ends_at[gte]", now], ["order", "starts_at"]];
  if (choice === "past") return [["ends_at[lt]", now], ["order", "-starts_at"]];
  return [["order", "-starts_at"]];
}

/**
 * "Find a slot": of the times that open requests ask for, which does the patient still have free? Booking is the new
 * service's alone (on legacy it answers 409), so the button waits until the flag says that this user is there.
 */
export class SlotFinder {
  #gateway;
  #flags;
  #button = document.getElementById("find-slot");
  #note = document.getElementById("find-slot-note");
  #slots = document.getElementById("slots");
  #life = new AbortController();
  #looking = new AbortController();

  constructor({ gateway, flags }) {
    this.#gateway = gateway;
    this.#flags = flags;
    this.#button.addEventListener("click", () => this.#toggle(), { signal: this.#life.signal });
  }

  /** The button follows the flag. */
  flagsChanged() {
    const open = sideOf(this.#flags.stage(FLAG)) === "service";
    this.#button.disabled = !open;
    this.#note.textContent = open
      ? "Of the times asked for: which are free?"
      : "Booking opens when the new service answers for you.";
    if (!open) this.#fold();
  }

  close() {
    this.#life.abort();
    this.#button.disabled = true;
    this.#fold();
  }

  #toggle() {
    if (!this.#slots.hidden) {
      this.#fold();
      return;
    }
    this.#slots.hidden = false;
    this.#button.setAttribute("aria-expanded", "true");
    this.#look();
  }

  #fold() {
    this.#looking.abort();
    this.#slots.hidden = true;
    this.#slots.replaceChildren();
    this.#button.setAttribute("aria-expanded", "false");
  }

  async #look() {
    const { signal } = (this.#looking = new AbortController());
    this.#slots.replaceChildren(make("p", { class: "waiting" }, "Looking"));
    try {
      const requests = await this.#list("/v2/appointment-requests", signal, [
        ["status", "pending"],
        ["order", "-created_at"],
        ["limit", REQUESTS],
      ]);
      const wishes = requests.flatMap(wishesOf).sort((one, other) => one.start - other.start);
      const taken = wishes.length > 0 ? await this.#taken(wishes, signal) : [];
      signal.throwIfAborted();
      this.#slots.replaceChildren(wishList(wishes, taken));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.#slots.replaceChildren(show(error, () => this.#look()));
    }
  }

  /** The appointments of the same patients that overlap the whole span of the wishes. */
  #taken(wishes, signal) {
    const first = Math.min(...wishes.map(({ start }) => start));
    const last = Math.max(...wishes.map(({ end }) => end));
    return this.#list("/v2/appointments", signal, [
      ["submission_id[in]", [...new Set(wishes.map(({ submission }) => submission))].join(",")],
      ["status[in]", HOLDING.join(",")],
      ["starts_at[lt]", new Date(last).toISOString()],
      ["ends_at[gt]", new Date(first).toISOString()],
      ["limit", MOST],
    ]);
  }

  async #list(path, signal, query) {
    const page = await this.#gateway.list(path, new URLSearchParams(query), { signal });
    return page.items;
  }
}

/** The times that a request asks for; one without an end takes as long as usual. */
function wishesOf({ preferred_slots: slots, submission_id: submission }) {
  return (Array.isArray(slots) ? slots : [])
    .map((slot) => ({ submission, start: Date.parse(slot?.start), end: Date.parse(slot?.end) }))
    .filter(({ start }) => Number.isFinite(start))
    .map((wish) => (wish.end > wish.start ? wish : { ...wish, end: wish.start + USUAL_LENGTH_MS }));
}

function wishList(wishes, taken) {
  if (wishes.length === 0) return make("p", { class: "empty" }, "No open request names a time.");
  const lines = wishes.map((wish) => {
    const state = stateOf(wish, taken);
    const pill = make("span", { class: "pill", "data-tone": WISH_TONES[state] }, state);
    return make("li", {}, make("span", {}, moment(wish.start)), pill);
  });
  return make("ul", { class: "wishes" }, ...lines);
}

function stateOf({ submission, start, end }, taken) {
  if (end < Date.now()) return "past";
  const clash = taken.some(
    (one) =>
      one.submission_id === submission &&
      Date.parse(one.starts_at) < end &&
      Date.parse(one.ends_at) > start,
  );
  return clash ? "taken" : "free";
}
