/**
 * The picture of the call: what was heard to the left of the ear, what is decided and planned to the right of it.
 *
 * Amplitudes are companded as µ-law compands them, so that ducked music can be seen beside speech.
 */

import { clock } from "./figures.js";

const TICKS_PER_S = 50;
const EAR_AT = 0.64; // of the width
const SECONDS_SHOWN = { wide: 20, narrow: 11 };
const NARROW_PX = 700;
const LOWEST_GAIN_DB = -32;
const TOP_PX = 34; // for the labels of speeches and of how long they were waited for
const BOTTOM_PX = 22; // for the clock
const SCALE_PX = 44; // at the right, for the decibels
const CLOCK_EVERY_S = 2;
const CALM_FRAME_MS = 500; // between two pictures for a person who wants less motion

export class Ribbon {
  #canvas;
  #ear;
  #phone;
  #speeches;
  #colours = {};
  #drawnAt = 0;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{ ear: import("./ear.js").Ear, phone: import("./phone.js").Phone, speeches: import("./speeches.js").Speeches }} sources
   */
  constructor(canvas, { ear, phone, speeches }) {
    this.#canvas = canvas;
    this.#ear = ear;
    this.#phone = phone;
    this.#speeches = speeches;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#readColours());
    this.#readColours();
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    const draw = (time) => {
      if (!calm.matches || time - this.#drawnAt > CALM_FRAME_MS) {
        this.#drawnAt = time;
        this.#draw();
      }
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["card", "edge", "ink", "faint", "music", "speech", "speech-pale", "wait", "way", "sealed"]) {
      this.#colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio || 1;
    if (this.#canvas.width !== Math.round(width * scale) || this.#canvas.height !== Math.round(height * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = this.#colours.card;
    pen.fillRect(0, 0, width, height);
    if (this.#ear.peaks.length === 0) return;

    const shown_s = width < NARROW_PX ? SECONDS_SHOWN.narrow : SECONDS_SHOWN.wide;
    const perTick = width / (shown_s * TICKS_PER_S);
    const ear = this.#ear.tick;
    const view = {
      pen, width, height, perTick, ear,
      x: (tick) => width * EAR_AT + (tick - ear) * perTick,
      first: ear - (width * EAR_AT) / perTick,
      last: ear + (width * (1 - EAR_AT)) / perTick,
      middle: TOP_PX + (height - TOP_PX - BOTTOM_PX) / 2,
      reach: (height - TOP_PX - BOTTOM_PX) / 2,
    };
    if (this.#phone.isLive) this.#drawAhead(view);
    this.#drawSpeeches(view);
    if (this.#phone.isLive) this.#drawSealed(view);
    this.#drawSound(view);
    this.#drawGain(view);
    this.#drawWaits(view);
    this.#drawClock(view);
    this.#drawEar(view);
  }

  /** What is on its way already, and what is decided. */
  #drawAhead({ pen, x, ear, height, width }) {
    const { now } = this.#phone;
    if (!now?.line) return;
    const arrived = now.line.arrived_tick;
    const sealed = this.#phone.tickOf(now.sealed);
    const [from, way, edge] = [x(ear), x(Math.max(ear, arrived)), x(Math.max(ear, sealed))];
    pen.fillStyle = this.#colours.way;
    pen.fillRect(from, 0, Math.min(width, edge) - from, height);
    pen.fillStyle = this.#colours.sealed;
    pen.fillRect(from, 0, Math.min(width, way) - from, height);
  }

  #drawSealed({ pen, x, ear, height }) {
    if (!this.#phone.now?.line) return;
    const edge = x(Math.max(ear, this.#phone.tickOf(this.#phone.now.sealed)));
    pen.strokeStyle = this.#colours.faint;
    pen.setLineDash([3, 3]);
    line(pen, edge, TOP_PX - 12, edge, height);
    pen.setLineDash([]);
    this.#label(pen, "sealed", edge + 5, height - BOTTOM_PX - 5, this.#colours.faint);
  }

  #drawSpeeches({ pen, x, height, first, last }) {
    for (const speech of this.#speeches.shown()) {
      for (const [from, to] of speech.voices) {
        if (to < first || from > last) continue;
        pen.fillStyle = this.#colours["speech-pale"];
        pen.fillRect(x(from), TOP_PX, (to - from) * (x(1) - x(0)), height - TOP_PX - BOTTOM_PX);
      }
    }
  }

  #drawSound({ pen, x, perTick, first, ear, middle, reach }) {
    const { peaks, rms, firstTick } = this.#ear;
    const start = Math.max(firstTick, Math.floor(first));
    const end = Math.min(firstTick + peaks.length, Math.floor(ear));
    const bar = Math.max(perTick, 1) + 0.35;
    for (const [values, alpha] of [[peaks, 0.42], [rms, 1]]) {
      pen.globalAlpha = alpha;
      for (let tick = start; tick < end; tick += 1) {
        const high = Math.max(companded(values[tick - firstTick]) * reach, 0.5);
        pen.fillStyle = this.#speeches.isSpoken(tick) ? this.#colours.speech : this.#colours.music;
        pen.fillRect(x(tick), middle - high, bar, 2 * high);
      }
    }
    pen.globalAlpha = 1;
  }

  #drawGain({ pen, x, first, last, width }) {
    const { now } = this.#phone;
    if (!now?.line) return;
    const y = (gain) => TOP_PX + 12 + ((20 * Math.log10(Math.max(gain, 1e-3))) / LOWEST_GAIN_DB) * (this.#height - 60);
    pen.beginPath();
    const start = Math.max(first, this.#ear.firstTick);
    for (let tick = Math.floor(start); tick <= last && x(tick) <= width - SCALE_PX; tick += 1) {
      pen.lineTo(x(tick), y(this.#phone.gainAt(tick - now.line.offset_ticks)));
    }
    for (const [colour, thickness] of [[this.#colours.card, 5], [this.#colours.ink, 2]]) {
      pen.strokeStyle = colour;
      pen.globalAlpha = thickness === 5 ? 0.7 : 1;
      pen.lineWidth = thickness;
      pen.lineJoin = "round";
      pen.stroke();
    }
    pen.globalAlpha = pen.lineWidth = 1;
    for (const db of [0, -10, -20]) {
      const at = y(10 ** (db / 20));
      this.#label(pen, db === 0 ? "0 dB" : `−${-db} dB`, width - 8, at + 4, this.#colours.faint, "right");
    }
  }

  /** Above the sound, for each speech, the way from where it was asked for to its first word. */
  #drawWaits({ pen, x, first, last, height }) {
    for (const [number, speech] of this.#speeches.shown().entries()) {
      const voice = speech.voices[0]?.[0];
      if (speech.askedTick === null || (voice ?? speech.askedTick) < first || speech.askedTick > last) continue;
      const y = 10 + (number % 2) * 14;
      pen.strokeStyle = pen.fillStyle = this.#colours.wait;
      const to = voice === undefined ? Math.max(this.#ear.tick, speech.askedTick) : voice;
      pen.lineWidth = 1.5;
      line(pen, x(speech.askedTick), y, x(to), y);
      pen.beginPath();
      pen.arc(x(speech.askedTick), y, 4, 0, 2 * Math.PI);
      pen.fill();
      if (voice === undefined) continue;
      pen.strokeStyle = this.#colours.speech;
      line(pen, x(voice), y, x(voice), height - BOTTOM_PX);
      pen.lineWidth = 1;
      this.#label(pen, speech.caption, x(voice) + 6, y + 4, this.#colours.speech, "left", 600);
    }
  }

  #drawClock({ pen, x, first, last, height }) {
    const start = Math.max(0, Math.ceil(first / TICKS_PER_S / CLOCK_EVERY_S) * CLOCK_EVERY_S);
    for (let second = start; second * TICKS_PER_S < last; second += CLOCK_EVERY_S) {
      this.#label(pen, clock(second), x(second * TICKS_PER_S), height - 8, this.#colours.faint, "center");
    }
  }

  #drawEar({ pen, x, ear, height }) {
    pen.fillStyle = this.#colours.ink;
    pen.fillRect(x(ear) - 0.75, TOP_PX - 12, 1.5, height);
  }

  #label(pen, text, x, y, colour, align = "left", weight = 400) {
    pen.font = `${weight} 11.5px system-ui, "DejaVu Sans", sans-serif`;
    pen.textAlign = align;
    pen.lineJoin = "round";
    pen.lineWidth = 3.5;
    pen.strokeStyle = this.#colours.card;
    pen.globalAlpha = 0.8;
    pen.strokeText(text, x, y);
    pen.globalAlpha = pen.lineWidth = 1;
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }

  get #height() {
    return this.#canvas.clientHeight;
  }
}

/** µ-law's own curve (ITU-T G.711, µ = 255), for amplitudes from 0 to 1. */
function companded(amplitude) {
  return Math.log1p(255 * amplitude) / Math.log(256);
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}
