/** The simulated caller's telephone: places a call, listens to it, hangs up. */

export class Phone extends EventTarget {
  /** @type {string | null} the call that is on the line */
  sid = null;
  /** The latest word of the stack on the call: schedule, seal, lead. */
  now = null;
  /** The music's gain as [frame, gain]. */
  gain = [];
  #socket = null;
  #ear;
  #nowAt = 0;

  /** @param {import("./ear.js").Ear} ear */
  constructor(ear) {
    super();
    this.#ear = ear;
  }

  /** @param {string} bed the music, or "" for the stack's own choice */
  async call(bed) {
    await this.#ear.close();
    await this.#ear.open();
    const { call_sid } = await asked("/console/calls", "POST", bed ? { bed } : {});
    this.sid = call_sid;
    this.now = null;
    this.gain = [];
    const address = new URL(`/console/calls/${call_sid}/live`, location.href);
    address.protocol = "ws:";
    const socket = (this.#socket = new WebSocket(address));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#told(JSON.parse(data)) : this.#ear.feed(data));
    socket.onclose = () => this.#closed(socket);
    return call_sid;
  }

  async hangUp() {
    if (this.sid) await asked(`/console/calls/${this.sid}`, "DELETE");
  }

  get isLive() {
    return this.sid !== null;
  }

  /** The tick of the caller's line at this moment, which is a little ahead of what the loudspeaker plays. */
  get tick() {
    return this.now ? this.now.tick + (performance.now() - this.#nowAt) / 20 : 0;
  }

  /** @param {number} frame of the call @returns {number | null} the tick at which it is heard */
  tickOf(frame) {
    return this.now?.line ? frame + this.now.line.offset_ticks : null;
  }

  /** The music's linear gain at a frame of the call. */
  gainAt(frame) {
    const points = this.gain;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] <= frame) low = middle + 1;
      else high = middle;
    }
    if (low === 0 || low === points.length) return 1;
    const [[before, from], [after, to]] = [points[low - 1], points[low]];
    return from + ((to - from) * (frame - before)) / (after - before);
  }

  #told(message) {
    if (message.kind === "sound") this.#ear.firstTick = message.from_tick;
    if (message.kind === "gain") this.gain = message.points;
    if (message.kind === "now") {
      // Between two windows there is no line; the last one known still tells where the sound lies.
      this.now = { ...message, line: message.line ?? this.now?.line ?? null };
      this.#nowAt = performance.now();
    }
    if (message.kind === "over") {
      this.sid = null;
      this.#ear.end();
    }
    this.dispatchEvent(new CustomEvent(message.kind, { detail: message }));
  }

  #closed(socket) {
    if (socket !== this.#socket || this.sid === null) return;
    this.sid = null;
    this.#ear.end();
    this.dispatchEvent(new CustomEvent("lost"));
  }
}

/** @returns {Promise<any>} the answer's JSON; throws an Error with a sentence for a person */
async function asked(path, method, body) {
  const answer = await fetch(path, { method, body: body && JSON.stringify(body) }).catch(() => null);
  if (answer === null) throw new Error("The stack does not answer. If make dev has stopped, start it again.");
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.detail ?? `The stack answered ${answer.status}.`);
  return told;
}
