/** The log of what Twilio sees: webhooks with their TwiML, the fetch of the stream, errors by their numbers. */

import { duration, element, fixed } from "./figures.js";
import { brief } from "./requests.js";

export class TwilioLog {
  #list;
  #items = new Map();

  /** @param {HTMLElement} list @param {import("./phone.js").Phone} phone */
  constructor(list, phone) {
    this.#list = list;
    phone.addEventListener("twilio", ({ detail }) => this.#show(detail.entry));
    phone.addEventListener("error", ({ detail }) => this.#fail(detail.error));
  }

  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
  }

  #show(entry) {
    const item = row(entry);
    const shown = this.#items.get(entry.number);
    if (shown) {
      item.querySelector("details").open = shown.querySelector("details").open;
      shown.replaceWith(item);
    } else {
      this.#list.prepend(item);
    }
    this.#items.set(entry.number, item);
  }

  #fail({ at_s, code, message }) {
    this.#list.prepend(
      element("li", {}, element("p", { className: "told" }, element("strong", { textContent: `Error ${code} ` }), `at ${fixed(at_s, 2)} s: ${message}`)),
    );
  }
}

function row(entry) {
  const came = entry.failure ? entry.failure : entry.status === null ? "…" : `${entry.status} · ${duration(entry.ms)}`;
  const isBad = Boolean(entry.failure) || entry.status >= 400;
  const form = Object.entries(entry.form).map(([name, value]) => `${name}: ${value}`).join("\n");
  const facts = [
    `${entry.kind}, ${entry.is_signed ? "signed" : "not signed, as Twilio fetches media"}${entry.type ? `; the answer is ${entry.type}` : ""}`,
  ];
  return element(
    "li", {},
    element(
      "details", {},
      element(
        "summary", {},
        element("span", { className: "when", textContent: `${fixed(entry.at_s, 2)} s` }),
        element("span", { className: "what", textContent: `${entry.method} ${brief(entry.path)}` }),
        element("span", { className: `came${isBad ? " is-bad" : ""}`, textContent: came }),
      ),
      element("p", { className: "copy-row", textContent: facts.join("") }),
      ...(form ? [element("pre", { textContent: form })] : []),
      ...(entry.twiml ? [element("pre", { textContent: laidOut(entry.twiml) })] : []),
    ),
  );
}

/** TwiML with each verb on a line of its own. */
function laidOut(twiml) {
  return twiml.replace(/<Response>/, "<Response>\n  ").replace(/(<\/(?!Response)\w+>|\/>)(?=<)/g, "$1\n  ").replace(/\n\s*<\/Response>/, "\n</Response>");
}
