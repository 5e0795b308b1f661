// The line between the page and the server, with switches in it: it can be cut and it can go deaf. The client library is
// given this WebSocket and this fetch and does not know of the switches.
export class Line {
  #socket = null; // the newest one that the library has asked for
  #isCut = false;
  #withhold = false;
  /** When something was last heard, by performance.now(). */
  heard = 0;

  get isCut() { return this.#isCut; }
  get isStalled() { return this.#socket?.stalled ?? false; }

  /** Ends the connection without a word, and lets no new one through until mend. */
  cut() {
    this.#isCut = true;
    this.#socket?.lose();
  }

  mend() {
    this.#isCut = false;
    window.dispatchEvent(new Event("online")); // as a browser tells it when its network is back
  }

  /** The connection stays open, and nothing comes through in either direction: what a dead router looks like. */
  stall() {
    if (this.#socket) this.#socket.stalled = true;
  }

  /** Ends the connection and keeps the warning before a token's end from the library, so that it cannot renew in time. */
  withholdWarnings() {
    this.#withhold = true;
    this.#socket?.lose();
  }

  warn() { this.#withhold = false; }

  /** What to give to the library as its WebSocket. */
  WebSocket = ((line) => class {
    onopen = null; onmessage = null; onclose = null; onerror = null;
    stalled = false;
    #real; #over = false;

    constructor(url, protocols) {
      line.#socket = this;
      if (line.#isCut) {
        setTimeout(() => this.lose(), 60);
        return;
      }
      this.#real = new WebSocket(url, protocols);
      this.#real.onopen = (e) => this.#tell("onopen", e);
      this.#real.onerror = (e) => this.#tell("onerror", e);
      this.#real.onclose = (e) => this.#end(e);
      this.#real.onmessage = (e) => {
        if (this.stalled || (line.#withhold && e.data.includes('"kind":"server.token_expiring"'))) return;
        line.heard = performance.now();
        this.#tell("onmessage", e);
      };
    }

    get readyState() { return this.#over ? 3 : (this.#real?.readyState ?? 0); }
    get bufferedAmount() { return this.#real?.bufferedAmount ?? 0; }
    get protocol() { return this.#real?.protocol ?? ""; }

    send(text) { if (!this.stalled) this.#real?.send(text); }
    close(code, reason) {
      if (this.#real) this.#real.close(code, reason);
      else this.#end({ code: 1006, reason: "", wasClean: false });
    }

    /** The network is gone: the other side may not even know. */
    lose() {
      if (this.#over) return;
      this.#tell("onerror", new Event("error"));
      this.#end({ code: 1006, reason: "", wasClean: false });
      this.#real?.close();
    }

    #tell(what, event) { if (!this.#over) this[what]?.(event); }
    #end(event) {
      if (this.#over) return;
      this.#tell("onclose", event);
      this.#over = true;
    }
  })(this);

  /** What to give to the library as its fetch. */
  fetch = (...request) => this.#isCut ? Promise.reject(new TypeError("the line is cut")) : fetch(...request);
}
