// Draws the conversation of one room, and lets the keyboard walk through it.
import { $, face, h, icon, keep, plural } from "./dom.js";

export const REACTIONS = { heart: "heart", smile: "smile", star: "star", yes: "check", note: "note" }; // name → symbol
const TOGETHER = 5 * 60 * 1000; // ms within which one person's messages stand together
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export class View {
  #talk = null;
  #act; // (what, message, name?)
  #active = null; // key of the message that Tab reaches
  #target = null; // message_id that is being changed
  #below = 0; // messages that came while one was looking further up
  #last = null; // key of the newest row that was drawn
  #wasAtEnd = true;
  #sure = null; // message_id whose deletion was asked for once

  constructor(act) {
    this.#act = act;
    $("messages").addEventListener("keydown", (e) => this.#walk(e));
    $("messages").addEventListener("focusin", (e) => this.#reach(e.target.closest(".msg")));
    $("messages").addEventListener("click", (e) => e.target.closest("button") || e.target.closest(".msg")?.focus());
    new ResizeObserver(() => this.#wasAtEnd && this.toEnd()).observe($("scroller"));
    $("scroller").addEventListener("scroll", () => this.#scrolled(), { passive: true });
    $("to-end").addEventListener("click", () => {
      this.toEnd();
      $("text").focus();
    });
  }

  /** Shows another room. */
  open(talk) {
    this.#talk = talk;
    this.#active = this.#target = this.#last = this.#sure = null;
    this.#below = 0;
    $("messages").replaceChildren();
    this.draw();
    this.toEnd();
  }

  /** Marks the message that the composer changes; null: none. */
  mark(message_id) {
    this.#target = message_id;
    this.draw();
  }

  toEnd() {
    $("scroller").scrollTop = $("scroller").scrollHeight;
    this.#scrolled();
  }

  #atEnd() {
    const s = $("scroller");
    return s.scrollHeight - s.scrollTop - s.clientHeight < 60;
  }

  #scrolled() {
    const away = !(this.#wasAtEnd = this.#atEnd());
    if (!away) this.#below = 0;
    $("to-end").hidden = !away;
    $("to-end-text").textContent = this.#below ? `${plural(this.#below, "new message")}` : "Newest";
    if ($("scroller").scrollTop < 80 && away) this.#act("earlier");
  }

  /** Draws what changed. What one looks at stays where it is; at the end it follows. */
  draw() {
    const talk = this.#talk, scroller = $("scroller");
    if (!talk) return;
    const follow = this.#atEnd();
    const anchor = follow ? null : [...$("messages").children].find((li) => li.offsetTop + li.offsetHeight > scroller.scrollTop);
    const offset = anchor ? anchor.offsetTop - scroller.scrollTop : 0;
    const rows = this.#rows();
    const newest = rows.at(-1)?.key;
    const grown = newest !== this.#last && this.#last !== null;
    if (grown && !follow) this.#below += rows.length - 1 - rows.findIndex((r) => r.key === this.#last);
    const focused = document.activeElement?.closest?.(".msg")?.dataset.key;
    const index = [...$("messages").children].findIndex((li) => li.dataset.key === focused);
    if (!focused || !rows.some((r) => r.key === this.#active)) this.#active = rows.findLast((r) => r.message)?.key ?? null;
    keep($("messages"), rows, (r) => r.key, (row, li) => this.#row(row, li, grown));
    if (focused && !rows.some((r) => r.key === focused)) this.#focusNear(index);
    this.#last = newest ?? "";
    keep($("pending"), talk.pending, (p) => p.id, (p, li) => this.#waiting(p, li));
    const first = talk.state.state === "joining" && !rows.length;
    $("earlier").hidden = !talk.more || !rows.length;
    $("beginning").textContent = first ? "" : rows.length ? (talk.more ? "" : "This is where the room begins.") : "Nobody has said anything here. You could begin.";
    if (follow) this.toEnd();
    else if (anchor?.isConnected) scroller.scrollTop = anchor.offsetTop - offset;
    this.#scrolled();
  }

  /** The rows of the list: messages, days, and where one was away. */
  #rows() {
    const rows = [], { missed, messages, me } = this.#talk;
    let before, day, told = !missed;
    for (const message of messages.messages) {
      const date = new Date(message.ts).toDateString();
      if (date !== day && (day || date !== new Date().toDateString())) rows.push({ key: `day ${date}`, day: message.ts });
      const late = missed && message.event_id > missed.after;
      if (late && !told) rows.push({ key: `away ${missed.after}`, away: missed });
      const first = !before || before.sender !== message.sender || message.ts - before.ts > TOGETHER || date !== day || (late && !told);
      if (late) told = true;
      rows.push({ key: message.message_id, message, first, late: missed?.touched.has(message.message_id), mine: message.sender === me });
      [before, day] = [message, date];
    }
    if (!told) rows.push({ key: `away ${missed.after}`, away: missed });
    return rows;
  }

  #row(row, li, grown) {
    if (row.day) return li ?? h("li", { class: "day" }, calendar.format(row.day));
    if (row.away) return li ?? h("li", { class: "away" }, absence(row.away));
    const { message: m, first, late, mine } = row;
    const target = m.message_id === this.#target, sure = m.message_id === this.#sure;
    const given = Object.keys(REACTIONS).filter((name) => this.#talk.mine.has(`${m.message_id} ${name}`));
    const looks = JSON.stringify([m.text ?? m.payload, m.version, m.counts, m.incomplete, first, late, mine, target, sure, given]);
    if (!li) li = h("li", { tabindex: "-1", class: "new" });
    const was = li.looks;
    if (was !== looks) {
      const focus = li.contains(document.activeElement) && document.activeElement.dataset.act;
      const changed = was && li.version !== m.version;
      li.looks = looks;
      li.version = m.version;
      li.className = ["msg", first && "first", mine && "mine", late && "missed", target && "target", changed && "changed", !was && grown && "new"].filter(Boolean).join(" ");
      li.replaceChildren(...this.#inside(row, given, sure));
      if (focus) (li.querySelector(`[data-act="${focus}"]`) ?? li).focus();
    }
    this.#tabbable(li, row.key === this.#active);
    return li;
  }

  #inside({ message: m, first, mine }, given, sure) {
    const who = m.sender ?? "the server";
    const time = h("time", { datetime: new Date(m.ts).toISOString() }, clock.format(m.ts));
    const words = m.incomplete ? "…" : (m.text ?? JSON.stringify(m.payload));
    const text = h("p", { class: "text" }, words);
    if (m.edited_ts) text.append(" ", h("span", { class: "edited" }, "edited"));
    const button = (act, label, pressed, inner, extra = {}) => h("button", {
      type: "button", "data-act": act, "aria-label": label, title: label, "aria-pressed": pressed === undefined ? undefined : String(pressed), ...extra,
      onclick: () => this.#pressed(act, m),
    }, inner);
    const chips = Object.entries(m.counts ?? {}).filter(([, n]) => n > 0).map(([name, n]) => {
      const chip = button(`chip ${name}`, `${name}, ${n}`, given.includes(name), REACTIONS[name] ? icon(REACTIONS[name]) : name, { class: "chip" });
      chip.append(String(n));
      return chip;
    });
    const tools = h("div", { class: "tools", role: "group", "aria-label": `Message of ${who}` },
      ...Object.entries(REACTIONS).map(([name, symbol]) => button(`react ${name}`, `React: ${name}`, given.includes(name), icon(symbol))));
    if (mine) {
      tools.append(h("span", { class: "sep", "aria-hidden": "true" }), button("edit", "Change", undefined, icon("edit")),
        sure ? button("delete", "Delete it for everybody", undefined, "Delete?", { class: "sure" }) : button("delete", "Delete", undefined, icon("delete")));
    }
    const by = h("p", { class: first ? "by" : "sr" }, h("b", {}, mine ? `${who} (you)` : who), " ", time);
    return [face(who), by, text, h("div", { class: "under" }, ...chips), tools];
  }

  #pressed(act, message) {
    const [what, name] = act.split(" ");
    if (what === "delete" && this.#sure !== message.message_id) {
      this.#sure = message.message_id;
      return this.draw();
    }
    this.#sure = null;
    this.#act(what === "chip" ? "react" : what, message, name);
  }

  #waiting(p, li) {
    const online = this.#talk.state.state === "live";
    const why = p.failed ? `Not sent: ${p.why}` : online ? "on its way" : "waits for the connection";
    if (li && li.looks === why) return li;
    li ??= h("li", {});
    li.looks = why;
    li.className = `msg first mine ${p.failed ? "failed" : ""}`;
    const under = h("div", { class: "under" }, h("span", { class: "why" }, why));
    if (p.failed) {
      under.append(h("button", { type: "button", onclick: () => this.#talk.again(p) }, "Again"), h("button", { type: "button", onclick: () => this.#talk.drop(p) }, "Discard"));
    }
    li.replaceChildren(face(this.#talk.me), h("p", { class: "sr" }, "You"), h("p", { class: "text" }, p.text), under);
    return li;
  }

  // One message is a stop of the Tab key, with its buttons; the arrow keys choose which.

  #tabbable(li, yes) {
    li.tabIndex = yes ? 0 : -1;
    for (const button of li.querySelectorAll("button")) button.tabIndex = yes ? 0 : -1;
  }

  #reach(li) {
    if (!li || li.dataset.key === this.#active) return;
    const old = [...$("messages").children].find((c) => c.dataset.key === this.#active);
    if (old) this.#tabbable(old, false);
    if (this.#sure) {
      this.#sure = null;
      this.draw();
    }
    this.#active = li.dataset.key;
    this.#tabbable(li, true);
  }

  #walk(e) {
    const li = e.target.closest(".msg");
    if (!li || e.altKey || e.ctrlKey || e.metaKey) return;
    const all = [...$("messages").querySelectorAll(".msg")], at = all.indexOf(li);
    const buttons = [...li.querySelectorAll("button")], b = buttons.indexOf(e.target);
    let to = { ArrowUp: all[at - 1], ArrowDown: all[at + 1], Home: all[0], End: all.at(-1), ArrowRight: buttons[b + 1], ArrowLeft: b > 0 ? buttons[b - 1] : li }[e.key];
    if (e.key === "Escape") to = $("text");
    if (e.key === "ArrowUp" && at === 0) this.#act("earlier");
    if (!to) return;
    e.preventDefault();
    to.focus();
    to.closest(".msg")?.scrollIntoView({ block: "nearest" });
  }

  #focusNear(index) {
    const all = [...$("messages").children];
    (all.slice(0, index).findLast((li) => li.matches(".msg")) ?? all.find((li) => li.matches(".msg")) ?? $("text")).focus();
  }
}

/** What happened while one was away, in words. */
function absence({ ms, kinds }) {
  const parts = [["chat.message", "message"], ["message.update", "change"], ["message.append", "addition"], ["message.delete", "deletion"], ["message.reactions", "reaction"]]
    .filter(([kind]) => kinds[kind]).map(([kind, noun]) => plural(kinds[kind], noun));
  const seconds = Math.round(ms / 1000), away = seconds < 100 ? `${Math.max(1, seconds)} s` : `${Math.round(seconds / 60)} min`;
  return `Away for ${away}: ${new Intl.ListFormat("en-GB").format(parts)} came meanwhile`;
}
