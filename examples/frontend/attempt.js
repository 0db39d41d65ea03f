/**
 * A write that must not happen twice. Its idempotency key is made once for what was filled in, and kept until the outcome
 * is known: whoever sends the same again, even after a reload or with a new session, is the one that the gateway knows.
 *
 * The tab keeps the key alone, under a hash of user, path and body: nothing of the write itself.
 */

const HEX = 16;

export class Attempt {
  #place;

  /** Of this user, for this body on this path. */
  static async of(user, path, body) {
    const text = new TextEncoder().encode(JSON.stringify([user.id, path, body]));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
    return new Attempt([...digest].map((byte) => byte.toString(HEX).padStart(2, "0")).join(""));
  }

  constructor(place) {
    this.#place = `attempt ${place}`;
    this.key = sessionStorage.getItem(this.#place) ?? crypto.randomUUID();
    sessionStorage.setItem(this.#place, this.key);
  }

  /** The outcome is known: what is sent from now on is another write, even with the same words. */
  settle() {
    sessionStorage.removeItem(this.#place);
  }
}
