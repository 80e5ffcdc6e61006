/** What a person must be told: plainly, until it is dismissed, and each thing once. */

import { element } from "./figures.js";

const home = document.getElementById("notices");

/** @param {string} text @param {{ isNews?: boolean, lasts_ms?: number }} [manner] news is no failure */
export function notice(text, { isNews = false, lasts_ms } = {}) {
  [...home.children].find((shown) => shown.firstChild.textContent === text)?.remove();
  const shown = element("div", { className: `notice${isNews ? " is-news" : ""}` }, element("span", { textContent: text }));
  shown.append(element("button", { type: "button", className: "quiet", textContent: "Dismiss", onclick: () => shown.remove() }));
  home.append(shown);
  if (lasts_ms) setTimeout(() => shown.remove(), lasts_ms);
  return shown;
}

/** Runs `work`; what goes wrong is said. Answers whether it went well. */
export async function saying(work) {
  try {
    await work();
    return true;
  } catch (error) {
    notice(error.message);
    return false;
  }
}
