/** The caller's ear in the browser: µ-law in, sound out, and what was heard for those who draw or measure it. */

const RATE_HZ = 8000;
const FRAME_SAMPLES = 160;
const FRAME_MS = 20;
const FLOOR_FRAMES = 60; // 1.2 s: long enough to hold a pause between two words
const SILENT_DBOV = -100;

/** ITU-T G.711: inverted bits of sign, 3-bit exponent, 4-bit mantissa, bias 0x84. */
const LEVELS = Float32Array.from({ length: 256 }, (_, code) => {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84;
  return (bits & 0x80 ? -magnitude : magnitude) / 32768;
});

export class Ear {
  /** @type {AudioContext | null} */
  context = null;
  /** Peak and RMS of every frame that has come, by tick since `firstTick`. */
  peaks = [];
  rms = [];
  firstTick = 0;
  /** Levels in dBov of the latest frames that were played. */
  levels = [];
  dry = 0;
  #volume = null;
  #playout = null;
  #played = 0;
  #reportedAt = 0;
  #isMuted = false;

  /** Opens the loudspeaker; must be called from a click or a key. */
  async open() {
    this.context = new AudioContext({ sampleRate: RATE_HZ });
    await this.context.audioWorklet.addModule("/console/playout.js");
    await this.context.resume();
    this.#playout = new AudioWorkletNode(this.context, "playout", { outputChannelCount: [1] });
    this.#volume = new GainNode(this.context, { gain: this.#isMuted ? 0 : 1 });
    this.#playout.connect(this.#volume).connect(this.context.destination);
    this.#playout.port.onmessage = ({ data }) => this.#heard(data);
    this.peaks = [];
    this.rms = [];
    this.levels = [];
    this.dry = this.#played = this.#reportedAt = 0;
  }

  /** @param {ArrayBuffer} mulaw whole frames, the next of the line */
  feed(mulaw) {
    const pcm = Float32Array.from(new Uint8Array(mulaw), (code) => LEVELS[code]);
    for (let first = 0; first < pcm.length; first += FRAME_SAMPLES) {
      let peak = 0;
      let energy = 0;
      for (let at = first; at < first + FRAME_SAMPLES; at += 1) {
        peak = Math.max(peak, Math.abs(pcm[at]));
        energy += pcm[at] * pcm[at];
      }
      this.peaks.push(peak);
      this.rms.push(Math.sqrt(energy / FRAME_SAMPLES));
    }
    this.#playout?.port.postMessage(pcm, [pcm.buffer]);
  }

  /** No more sound will come; what is there is played. */
  end() {
    this.#playout?.port.postMessage("over");
  }

  async close() {
    const context = this.context;
    this.context = this.#playout = null;
    await context?.close();
  }

  /** The tick that is heard now. */
  get tick() {
    const since = this.#reportedAt ? Math.min(performance.now() - this.#reportedAt, 150) : 0;
    const newest = this.firstTick + this.peaks.length;
    return Math.min(newest, this.firstTick + this.#played / FRAME_SAMPLES + since / FRAME_MS);
  }

  /** The level of what was heard last, in dBov. */
  get level_dbov() {
    return this.levels.at(-1) ?? SILENT_DBOV;
  }

  /** The level in the pauses of the last second: between words that is the music alone. */
  get floor_dbov() {
    if (this.levels.length < FLOOR_FRAMES) return SILENT_DBOV;
    const sorted = this.levels.slice(-FLOOR_FRAMES).sort((one, other) => one - other);
    return sorted[Math.floor(FLOOR_FRAMES * 0.08)];
  }

  set muted(isMuted) {
    this.#isMuted = isMuted;
    this.#volume?.gain.setTargetAtTime(isMuted ? 0 : 1, this.context.currentTime, 0.02);
  }

  #heard({ played, levels, dry, isDone }) {
    this.#played = played;
    this.#reportedAt = isDone ? 0 : performance.now();
    this.dry = dry;
    this.levels.push(...levels);
    this.levels = this.levels.slice(-500);
  }
}
