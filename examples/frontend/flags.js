/**
 * The signed-in user's own stages, by OpenFeature: the gateway's OFREP endpoint decides by the same snapshot that
 * routes this user's calls, so page and gateway cannot disagree for longer than one polling interval.
 */

import { NOOP_PROVIDER, OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { UNKNOWN } from "./stage.js";

const POLL_MS = 2_000;
const TIMEOUT_MS = 5_000;
const CHANGES = [
  ProviderEvents.Ready,
  ProviderEvents.ConfigurationChanged,
  ProviderEvents.ContextChanged,
];

export class Flags {
  #base;
  #session;
  #onChange;
  #onReach;
  #client = OpenFeature.getClient();
  #retry = 0;
  #stopped = false;

  /** `onChange` is called when stages may have changed, `onReach` with true or false for each answer or its absence. */
  constructor(base, session, { onChange, onReach }) {
    this.#base = base;
    this.#session = session;
    this.#onChange = onChange;
    this.#onReach = onReach;
  }

  /** Returns when the first answer is there or could not be had; from then on it keeps itself up to date. */
  async start() {
    for (const event of CHANGES) OpenFeature.addHandler(event, this.#onChange);
    window.addEventListener("focus", this.#refresh);
    await this.#connect();
  }

  /** The stage of this flag for this user, or `otherwise` when there is no such flag or no answer yet. */
  stage(flag, otherwise = UNKNOWN) {
    return this.#client.getStringValue(flag, otherwise);
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#retry);
    window.removeEventListener("focus", this.#refresh);
    for (const event of CHANGES) OpenFeature.removeHandler(event, this.#onChange);
    // Not clearProviders(): that ends later, and would take away the provider of whoever signs in meanwhile.
    OpenFeature.setProvider(NOOP_PROVIDER, {});
  }

  // Only its own id: the gateway knows the rest from the token and refuses to hear anything else.
  get #context() {
    return { targetingKey: this.#session.user.id };
  }

  // The provider asks anew by itself when the page becomes visible, but not when its window gets the focus.
  #refresh = () => OpenFeature.setContext(this.#context);

  async #connect() {
    const provider = new OFREPWebProvider({
      baseUrl: this.#base,
      pollInterval: POLL_MS,
      timeoutMs: TIMEOUT_MS,
      cacheMode: "disabled",
      headersFactory: this.#headers,
      fetchImplementation: this.#fetch,
    });
    try {
      await OpenFeature.setProviderAndWait(provider, this.#context);
    } catch {
      // A provider whose first question failed never polls: a new one takes its place.
      if (!this.#stopped) this.#retry = setTimeout(() => this.#connect(), POLL_MS);
    }
  }

  // The provider says when it gets stale, but not when it is well again without a change (304): hence our own look.
  #headers = async () => {
    try {
      return [["Authorization", `Bearer ${await this.#session.token()}`]];
    } catch (error) {
      this.#reached(false);
      throw error;
    }
  };

  #fetch = async (request, options) => {
    let reached = false;
    try {
      const response = await fetch(request, options);
      reached = response.ok || response.status === 304;
      return response;
    } finally {
      this.#reached(reached);
    }
  };

  #reached(reached) {
    if (!this.#stopped) this.#onReach(reached);
  }
}
