/** Puts the page together: sign in, then three panels on /v2 that follow the user's flags, then sign out. */

import { Flags } from "./flags.js";
import { Gateway } from "./gateway.js";
import { Panel } from "./panel.js";
import { appointments } from "./panels/appointments.js";
import { Booking } from "./panels/booking.js";
import { compliance } from "./panels/compliance.js";
import { labOrders } from "./panels/lab-orders.js";
import { Ordering } from "./panels/ordering.js";
import { Requesting } from "./panels/requesting.js";
import { Problem, noAnswer, problemOf, show } from "./problem.js";
import { Session, Supabase } from "./session.js";

const PANELS = { "lab-orders": labOrders, compliance, appointments };
const SIGNED_IN = ["account", "jump", "desk"];
const at = (id) => document.getElementById(id);

const config = await readConfig();
if (config) offerSignIn(new Supabase(config.supabase_url, config.publishable_key));

/** Where gateway and Supabase are: the page's own server knows. */
async function readConfig() {
  try {
    const response = await fetch("config.json");
    if (!response.ok) throw await problemOf(response, "");
    return await response.json();
  } catch (error) {
    const problem = error instanceof TypeError ? noAnswer("This page's server") : error;
    if (!(problem instanceof Problem)) throw error;
    at("broken").replaceChildren(show(problem, () => location.reload()));
    at("broken").hidden = false;
    return null;
  }
}

function offerSignIn(supabase) {
  const form = at("sign-in-form");
  const submit = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { email, password } = Object.fromEntries(new FormData(form));
    submit.disabled = true;
    at("sign-in-problem").replaceChildren();
    try {
      const session = await Session.signIn(supabase, email, password);
      form.reset();
      new Desk(session).open();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      at("sign-in-problem").replaceChildren(show(error));
      form.elements.password.focus();
    } finally {
      submit.disabled = false;
    }
  });
  showSignIn();
}

function showSignIn() {
  at("sign-in").hidden = false;
  at("sign-in-form").elements.email.focus();
}

/** What a signed-in user sees. */
class Desk {
  #session;
  #flags;
  #panels;
  #writes;
  #leave = () => this.#session.signOut();

  constructor(session) {
    this.#session = session;
    this.#flags = new Flags(config.gateway_url, session, {
      onChange: () => this.#flagsChanged(),
      onReach: showReach,
    });
    const gateway = new Gateway(config.gateway_url, session);
    const parts = { gateway, flags: this.#flags, announce, session };
    this.#panels = Object.entries(PANELS).map(([id, spec]) => new Panel(at(id), spec, parts));
    const [orders, , dates] = this.#panels;
    this.#writes = [
      new Ordering(parts, () => orders.load()),
      new Booking(parts, () => dates.load()),
      new Requesting(parts),
    ];
  }

  async open() {
    this.#session.onEnd = (problem) => this.#close(problem);
    const { id: own, email, role } = this.#session.user;
    for (const one of document.querySelectorAll("[data-for]")) one.hidden = one.dataset.for !== role;
    at("mine").value = own;
    at("who-email").textContent = email;
    at("who-role").textContent = role;
    at("sign-out").addEventListener("click", this.#leave);
    at("sign-in").hidden = true;
    for (const id of SIGNED_IN) at(id).hidden = false;
    at("main").focus();
    // First who answers, then what: a list read before could be the other side's, and nobody would notice.
    await this.#flags.start();
    this.#flagsChanged();
    if (!this.#session.ended) for (const panel of this.#panels) panel.load();
  }

  /** The session has ended: by the button, or with a problem because it could not be renewed. */
  #close(problem) {
    at("sign-out").removeEventListener("click", this.#leave);
    this.#flags.stop();
    for (const part of [...this.#panels, ...this.#writes]) part.close();
    for (const id of SIGNED_IN) at(id).hidden = true;
    at("sign-in-problem").replaceChildren(...(problem ? [show(problem)] : []));
    announce("Signed out.");
    showSignIn();
  }

  #flagsChanged() {
    if (this.#session.ended) return;
    for (const part of [...this.#panels, ...this.#writes]) part.flagsChanged?.();
  }
}

function showReach(reached) {
  at("feed").dataset.state = reached ? "reached" : "silent";
  at("feed").textContent = reached ? "Flags: up to date" : "Flags: no answer";
}

function announce(words) {
  at("announcer").textContent = words;
}
