/**
 * The last stage before the loudspeaker, in the browser's audio thread: a jitter buffer of 8 kHz sound.
 *
 * It takes Float32Arrays of whole frames, plays them in order, and reports after every fifth frame what it has played:
 * `played` in samples, and the level of each of those frames. It is the page's own word for what was heard.
 */

const FRAME_SAMPLES = 160;
const REPORT_FRAMES = 5;
const START_SAMPLES = 0.25 * 8000; // sound comes ten times a second; this outlasts a late tenth
const MOST_SAMPLES = 1.0 * 8000; // a page that slept skips to what is heard now

class PlayOut extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];
    this.offset = 0;
    this.buffered = 0;
    this.played = 0;
    this.runs = false;
    this.isOver = false;
    this.dry = 0;
    this.energy = 0;
    this.inFrame = 0;
    this.levels = [];
    this.port.onmessage = ({ data }) => (data === "over" ? (this.isOver = true) : this.take(data));
  }

  take(samples) {
    this.queue.push(samples);
    this.buffered += samples.length;
    while (this.buffered > MOST_SAMPLES && this.queue.length > 1) {
      const skipped = this.queue.shift().length - this.offset;
      this.offset = 0;
      this.buffered -= skipped;
      this.played += skipped;
    }
  }

  process(_, [[output]]) {
    if (!this.runs) {
      this.runs = this.buffered >= START_SAMPLES || (this.isOver && this.buffered > 0);
    }
    for (let at = 0; this.runs && at < output.length; at += 1) {
      if (this.buffered === 0) {
        this.runs = false;
        if (!this.isOver) this.dry += 1;
        break;
      }
      output[at] = this.next();
    }
    if (this.isOver && this.buffered === 0) {
      this.report(true);
      return false;
    }
    return true;
  }

  next() {
    const head = this.queue[0];
    const sample = head[this.offset];
    this.offset += 1;
    this.buffered -= 1;
    this.played += 1;
    if (this.offset === head.length) {
      this.queue.shift();
      this.offset = 0;
    }
    this.energy += sample * sample;
    this.inFrame += 1;
    if (this.inFrame === FRAME_SAMPLES) {
      this.levels.push(10 * Math.log10(Math.max(this.energy / FRAME_SAMPLES, 1e-10)));
      this.energy = this.inFrame = 0;
      if (this.levels.length === REPORT_FRAMES) this.report(false);
    }
    return sample;
  }

  report(isDone) {
    this.port.postMessage({ played: this.played, levels: this.levels, dry: this.dry, isDone });
    this.levels = [];
  }
}

registerProcessor("playout", PlayOut);
