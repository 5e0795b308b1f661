// Tokens for whoever the page says it is, from the endpoint that development mode has in place of an application's backend.
export class Tokens {
  #user; #fetch;
  /** How long the next one shall last, once; null: as usual. */
  nextTTL = null;
  /** Unix milliseconds at which the newest one ends. */
  expires = 0;
  /** How many there were. */
  made = 0;

  constructor(user, usualTTL, fetch) {
    this.#user = user;
    this.usualTTL = usualTTL;
    this.#fetch = fetch;
  }

  /** What to give to the library as its token function: it is asked on every attempt, and before a token ends. */
  next = async () => {
    const ttl_seconds = this.nextTTL ?? this.usualTTL;
    const answer = await this.#fetch(new URL("../dev/token", location.href), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user: this.#user, ttl_seconds }),
    });
    if (!answer.ok) throw new Error(`no token: ${answer.status}`);
    const { token, expires_at } = await answer.json();
    this.nextTTL = null;
    this.expires = expires_at;
    this.made++;
    return token;
  };
}
