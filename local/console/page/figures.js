/** Numbers as a person reads them. */

/** @param {number} value @param {number} digits @returns {string} with a true minus sign */
export function fixed(value, digits = 0) {
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

export const decibels = (value, unit = "dB") => (value <= -90 ? "silence" : `${fixed(value, value > -10 ? 1 : 0)} ${unit}`);

export const seconds = (value) => `${fixed(value, 2)} s`;

/** @param {number} ms */
export const duration = (ms) => (ms < 1000 ? `${fixed(ms)} ms` : `${fixed(ms / 1000, 2)} s`);

/** Minutes and seconds since the answer. */
export function clock(value_s) {
  const whole = Math.max(0, Math.floor(value_s));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** @param {string} tag @param {Record<string, unknown>} properties @param {...(Node | string)} children */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
