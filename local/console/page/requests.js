/** The list of requests to the API, each as curl to copy. */

import { duration, element } from "./figures.js";

export class Requests {
  #list;
  #api;
  #items = new Map();

  /** @param {HTMLElement} list @param {import("./api.js").Api} api */
  constructor(list, api) {
    this.#list = list;
    this.#api = api;
    api.addEventListener("request", ({ detail }) => this.#show(detail));
  }

  #show(request) {
    let item = this.#items.get(request);
    if (!item) {
      item = this.#item(request);
      this.#items.set(request, item);
      this.#list.prepend(item.element);
    }
    if (request.status === null) return;
    item.came.textContent = `${request.status || "no answer"} · ${duration(request.ms)}`;
    item.came.classList.toggle("is-bad", request.status === 0 || request.status >= 400);
    item.answer.textContent = request.answer;
    item.answer.hidden = !request.answer;
  }

  #item(request) {
    const came = element("span", { className: "came", textContent: "…" });
    const answer = element("pre", { hidden: true });
    const copy = element("button", { type: "button", className: "link", textContent: "Copy as curl" });
    copy.onclick = async () => {
      const isCopied = await copied(this.#api.withKey(request.curl));
      copy.textContent = isCopied ? "Copied" : "Not allowed to copy";
      setTimeout(() => (copy.textContent = "Copy as curl"), 1600);
    };
    const details = element(
      "details", {},
      element("summary", {}, element("span", { className: "when", textContent: request.method }), element("span", { className: "what", textContent: brief(request.path) }), came),
      element("div", { className: "copy-row" }, element("span", { textContent: "$KEY is filled in when copied" }), copy),
      element("pre", { textContent: request.curl }),
      answer,
    );
    return { element: element("li", {}, details), came, answer };
  }
}

/** A path whose long ids are cut in their middle. */
export function brief(path) {
  return path.replace(/(CA)[0-9a-f]{28}([0-9a-f]{4})/g, "$1…$2").replace(/(\/stream\/.{10})[^/?]{12,}(\.wav)/, "$1…$2").replace(/\?X-Amz-.*/, "?…");
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
