/** The speeches of this call: what was asked for, where each stands, and how long its first word took. */

import { duration, element, seconds } from "./figures.js";

const OVER = ["finished", "cancelled", "failed"];
const CAPTION_CHARS = 26;

export class Speeches extends EventTarget {
  /** @type {Map<string, Speech>} */
  #all = new Map();
  #list;
  #phone;

  /** @param {HTMLElement} list @param {import("./phone.js").Phone} phone */
  constructor(list, phone) {
    super();
    this.#list = list;
    this.#phone = phone;
    phone.addEventListener("now", ({ detail }) => this.#learn(detail.speeches));
  }

  clear() {
    this.#all.clear();
    this.#list.replaceChildren();
  }

  /** Something has just been asked for; the key is known by `accepted`. */
  asked(words) {
    const speech = new Speech(words, this.#phone.tick, () => this.#cancel(speech));
    this.#list.prepend(speech.item);
    return speech;
  }

  /** @param {Speech} speech @param {{ speech_id: string, ms: number, duration_ms: number | null }} answer */
  accepted(speech, answer) {
    const known = this.#all.get(answer.speech_id); // the schedule may have told of it before the answer came
    if (known && known !== speech) {
      known.item.remove();
      speech.voices = known.voices;
    }
    speech.id = answer.speech_id;
    speech.answered_ms = answer.ms;
    this.#all.set(speech.id, speech);
    speech.show(answer);
  }

  refused(speech, reason) {
    speech.show({ state: "failed", reason });
  }

  /** Those that have an id, in the order of asking. */
  shown() {
    return [...this.#all.values()];
  }

  /** Whether anybody speaks at this tick. */
  isSpoken(tick) {
    for (const speech of this.#all.values()) {
      for (const [from, to] of speech.voices) if (tick >= from && tick < to) return true;
    }
    return false;
  }

  /** The state as the API tells it, for a speech that has left the schedule. */
  told(status) {
    this.#all.get(status.speech_id)?.show(status);
  }

  get unfinished() {
    return this.shown().filter((speech) => !OVER.includes(speech.state));
  }

  #learn(scheduled) {
    for (const status of scheduled) {
      let speech = this.#all.get(status.speech_id);
      if (!speech) {
        speech = new Speech("asked for elsewhere", null, () => this.#cancel(speech));
        speech.id = status.speech_id;
        this.#all.set(status.speech_id, speech);
        if (this.#isAwaited()) continue; // it may be one of ours whose answer is on its way
        this.#list.prepend(speech.item);
      } else if (!speech.item.isConnected && !this.#isAwaited()) {
        this.#list.prepend(speech.item);
      }
      const voices = status.parts.map((part) => [this.#phone.tickOf(part.voice_at), this.#phone.tickOf(part.voice_end)]);
      if (voices.length && voices[0][0] !== null) speech.voices = voices;
      speech.show(status);
    }
    const still = new Set(scheduled.map((status) => status.speech_id));
    for (const speech of this.unfinished) {
      if (speech.id && !still.has(speech.id)) this.dispatchEvent(new CustomEvent("left", { detail: speech }));
    }
  }

  #isAwaited() {
    return [...this.#list.children].some((item) => item.dataset.state === "asked");
  }

  #cancel(speech) {
    this.dispatchEvent(new CustomEvent("cancel", { detail: speech }));
  }
}

class Speech {
  id = null;
  state = "asked";
  answered_ms = null;
  /** When it sounds: [from, to] in ticks of the line, one pair a part. */
  voices = [];

  constructor(words, askedTick, cancel) {
    this.words = words;
    this.askedTick = askedTick;
    this.stateShown = element("span", { className: "state" });
    this.told = element("p", { className: "told" });
    this.button = element("button", { type: "button", className: "link", textContent: "Cancel", onclick: cancel });
    this.item = element("li", { className: "speech" }, element("span", { className: "words", textContent: words }), this.stateShown, this.told);
    this.show({ state: "asked" });
  }

  /** Seconds from the request to the first word in the caller's ear; null while that is not known. */
  get latency_s() {
    return this.askedTick === null || !this.voices.length ? null : (this.voices[0][0] - this.askedTick) / 50;
  }

  get caption() {
    const words = this.words.length > CAPTION_CHARS ? `${this.words.slice(0, CAPTION_CHARS - 1).trimEnd()}…` : this.words;
    return this.latency_s === null ? words : `${seconds(this.latency_s)} · ${words}`;
  }

  show({ state, reason = null, duration_ms = null }) {
    this.state = this.item.dataset.state = state;
    if (this.latency_s !== null) this.item.dataset.latencyS = this.latency_s.toFixed(3);
    const label = state === "asked" ? "being made" : state;
    const facts = [];
    if (this.latency_s !== null) {
      const isHeard = state !== "scheduled" && state !== "asked";
      facts.push(element("span", { className: "latency", textContent: `${isHeard ? "heard after" : "to be heard after"} ${seconds(this.latency_s)}` }));
    }
    if (this.answered_ms !== null) facts.push(`API ${duration(this.answered_ms)}`);
    if (duration_ms !== null) facts.push(`lasts ${seconds(duration_ms / 1000)}`);
    if (reason) facts.push(reason);
    const text = facts.flatMap((fact, number) => (number ? [" · ", fact] : [fact]));
    const key = `${state}|${facts.map((fact) => fact.textContent ?? fact).join("|")}`;
    if (key === this.key) return; // nothing new: a button that is pressed right now must stay the same one
    this.key = key;
    this.stateShown.className = `state is-${state}`;
    this.stateShown.textContent = label;
    this.told.replaceChildren(...text, ...(state === "scheduled" || state === "playing" ? [" ", this.button] : []));
  }
}
