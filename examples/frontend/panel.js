/** A panel: one /v2 list with filters, pages, details and a badge that says which side answers. */

import { copyOf, make } from "./markup.js";
import { Problem, show } from "./problem.js";
import { UNKNOWN, badge } from "./stage.js";

const PAGE = 10;

/**
 * `section` is the panel's element in the page, `spec` what makes this panel this panel:
 *   path      of the collection
 *   one, many what a row is called
 *   stages    (stage) => the stages of all that the panel shows; `stage` looks one up
 *   query     (form data) => pairs of v2's query language
 *   row       (row) => { title, note, pill, tone }
 *   details   (row, tools) => elements, or a promise of them. `tools`:
 *               list(path, query)  a page of another collection
 *               change(fields)     changes the very version that is shown
 *               again(words)       shows the row as it is by now, and says why
 *               user, signal       who is signed in, and until when
 */
export class Panel {
  #section;
  #spec;
  #gateway;
  #flags;
  #announce;
  #user;
  #form;
  #stages = UNKNOWN;
  #query = null;
  #next = null;
  #shown = 0;
  #total = null;
  #open = new Set();
  #life = new AbortController();
  #loading = new AbortController();

  constructor(section, spec, { gateway, flags, announce, session }) {
    this.#section = section;
    this.#spec = spec;
    this.#gateway = gateway;
    this.#flags = flags;
    this.#announce = announce;
    this.#user = session.user;
    this.#form = section.querySelector("form.filters");
    section.append(copyOf("panel-body"));
    this.#mark(badge([UNKNOWN]));
    const { signal } = this.#life;
    this.#find(".reload").addEventListener("click", () => this.load());
    this.#find(".more").addEventListener("click", () => this.#more());
    this.#form.addEventListener("change", () => this.load(), { signal });
    this.#form.addEventListener("submit", (event) => event.preventDefault(), { signal });
  }

  /** The flags may have changed: if they changed for this panel, the badge follows and the list is read anew. */
  flagsChanged() {
    const stages = this.#spec.stages((flag, otherwise) => this.#flags.stage(flag, otherwise));
    if (stages.join() === this.#stages) return;
    this.#stages = stages.join();
    const { side, words } = badge(stages);
    this.#mark({ side, words });
    if (this.#query !== null) {
      this.#announce(`${this.#find("h2").textContent}: now ${words}.`);
      this.load();
    }
  }

  /** Reads the list from its beginning. A load that is under way is given up. */
  async load() {
    // Kept for all pages: a cursor belongs to its very query, and "overdue" asked a second later is another one.
    this.#query = new URLSearchParams(this.#spec.query(new FormData(this.#form)));
    this.#query.set("limit", PAGE);
    const page = await this.#page(null);
    if (page === null) return;
    this.#total = page.total ?? null;
    this.#replaceRows(page);
    const empty = this.#shown === 0 && page.next === null;
    this.#find(".empty").textContent = empty ? this.#emptyWords() : "";
    this.#find(".empty").hidden = !empty;
  }

  /** Ends what is under way and gives the section back as it was. */
  close() {
    this.#life.abort();
    this.#loading.abort();
    this.#form.reset();
    for (const selector of [".list-head", ".list-problem", ".rows", ".empty", ".more"]) {
      this.#find(selector).remove();
    }
  }

  async #more() {
    const before = this.#shown;
    const page = await this.#page(this.#next);
    if (page === null) return;
    this.#add(page);
    // The button has gone, and the focus must not go with it.
    if (page.next === null) this.#focusRow(this.#find(".rows").children[before]);
  }

  /** The page behind `cursor`, or null: then it was given up, or refused and the panel shows why. */
  async #page(cursor) {
    this.#loading.abort();
    const { signal } = (this.#loading = new AbortController());
    this.#find(".list-problem").replaceChildren();
    this.#find(".empty").hidden = true;
    this.#busy(true);
    try {
      const options = { cursor, count: cursor === null, signal };
      const page = await this.#gateway.list(this.#spec.path, this.#query, options);
      signal.throwIfAborted();
      return page;
    } catch (error) {
      if (signal.aborted) return null;
      if (!(error instanceof Problem)) throw error;
      this.#refused(error, cursor);
      return null;
    } finally {
      if (!signal.aborted) this.#busy(false);
    }
  }

  #refused(problem, cursor) {
    // A cursor may be refused when the stage has changed behind the page before: then the list starts over.
    const old = problem.status === 410 || problem.errors.some(({ field }) => field === "cursor");
    const again = cursor === null || old ? () => this.load() : () => this.#more();
    if (cursor === null) {
      // The old rows do not belong to the filters that now stand above them.
      this.#total = null;
      this.#replaceRows({ items: [], next: null });
    }
    this.#find(".count").textContent = "";
    this.#find(".list-problem").replaceChildren(show(problem, again));
  }

  #replaceRows(page) {
    const rows = this.#find(".rows");
    const focused = rows.contains(document.activeElement) ? document.activeElement : null;
    const id = focused?.closest(".row").dataset.id;
    rows.replaceChildren();
    this.#shown = 0;
    this.#add(page);
    if (focused) this.#focusRow([...rows.children].find((row) => row.dataset.id === id));
  }

  #add({ items, next }) {
    this.#next = next;
    this.#shown += items.length;
    this.#find(".rows").append(...items.map((item) => this.#row(item)));
    this.#find(".more").hidden = next === null;
    const total = this.#total === null ? "" : ` of ${Math.max(this.#total, this.#shown)}`;
    const name = this.#shown === 1 && this.#total === 1 ? this.#spec.one : this.#spec.many;
    this.#find(".count").textContent = this.#shown === 0 ? "" : `${this.#shown}${total} ${name}`;
  }

  #emptyWords() {
    const chosen = [...new FormData(this.#form)].some(([name, value]) => name !== "order" && value);
    return chosen
      ? `No ${this.#spec.many} fit these filters.`
      : `There are no ${this.#spec.many} that you may see.`;
  }

  #row(item) {
    const part = copyOf("row");
    const head = part.querySelector(".row-head");
    const body = part.querySelector(".row-body");
    part.querySelector(".row").dataset.id = item.id;
    this.#fillIn(head, item);
    body.id = `${this.#section.id}-${item.id}`;
    head.setAttribute("aria-controls", body.id);
    head.addEventListener("click", () => this.#toggle(item.id, head, body));
    if (this.#open.has(item.id)) this.#toggle(item.id, head, body);
    return part;
  }

  #fillIn(head, item) {
    const { title, note, pill, tone } = this.#spec.row(item);
    head.querySelector(".row-title").textContent = title;
    head.querySelector(".row-note").textContent = note;
    head.querySelector(".pill").textContent = pill;
    head.querySelector(".pill").dataset.tone = tone;
  }

  #toggle(id, head, body) {
    const open = body.hidden;
    head.setAttribute("aria-expanded", open);
    body.hidden = !open;
    if (open) {
      this.#open.add(id);
      this.#details(id, body);
    } else {
      this.#open.delete(id);
    }
  }

  async #details(id, body, words = "") {
    const { signal } = this.#life;
    if (body.childElementCount === 0) body.append(make("p", { class: "waiting" }, "Loading"));
    body.setAttribute("aria-busy", "true");
    try {
      const path = `${this.#spec.path}/${encodeURIComponent(id)}`;
      const { row, etag, changed } = await this.#gateway.item(path, { signal });
      const parts = await this.#spec.details(row, {
        list: (inner, query) => this.#gateway.list(inner, query, { signal }),
        change: (fields) => this.#gateway.change(path, fields, etag, { signal }),
        again: (why) => this.#details(id, body, why),
        user: this.#user,
        signal,
      });
      this.#fillIn(body.parentElement.querySelector(".row-head"), row);
      const state = words || (changed ? "Read just now." : "Asked again: unchanged.");
      const said = make("p", { class: "fresh", tabindex: "-1" }, state);
      body.replaceChildren(...parts, said);
      if (words) this.#announce(words);
      if (words) said.focus();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      body.replaceChildren(show(error, () => this.#details(id, body, words)));
    } finally {
      body.removeAttribute("aria-busy");
    }
  }

  #mark({ side, words }) {
    const mark = this.#find(".badge");
    mark.textContent = words;
    mark.dataset.side = side;
  }

  #busy(busy) {
    this.#section.setAttribute("aria-busy", busy);
    if (busy && this.#shown === 0) this.#find(".count").textContent = "Loading";
  }

  #focusRow(row) {
    (row?.querySelector("button") ?? this.#find("h2")).focus();
  }

  #find(selector) {
    return this.#section.querySelector(selector);
  }
}

const WIDE = 32;
const LONG = 240;

/** Labelled values of one row, without those that are empty; a long text gets a box of its own that scrolls. */
export function facts(pairs) {
  const list = make("dl", { class: "facts" });
  for (const [label, value] of pairs) {
    const text = String(value ?? "");
    if (text === "") continue;
    const box = make("dd", { dir: "auto" }, text);
    const fact = make("div", {}, make("dt", {}, label), box);
    fact.classList.toggle("wide", text.length > WIDE);
    if (text.length > LONG) {
      box.classList.add("long");
      box.tabIndex = 0; // what scrolls must be reachable without a mouse
    }
    list.append(fact);
  }
  return list;
}
