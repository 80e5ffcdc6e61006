/** The beds there are, the one that plays, and files that become new ones. */

import { element } from "./figures.js";

const LOOKS_EVERY_MS = 500;
const SHIPPED = "shipped"; // comes with the code, whether the table lists it or not

export class Music {
  #select;
  #api;
  #usual;

  /** @param {HTMLSelectElement} select @param {import("./api.js").Api} api @param {string} usual the stack's own choice */
  constructor(select, api, usual) {
    this.#select = select;
    this.#api = api;
    this.#usual = usual;
  }

  get chosen() {
    return this.#select.value;
  }

  set chosen(name) {
    this.#select.value = name;
  }

  /** Lists what is ready. */
  async refresh() {
    const { beds } = await this.#api.ask("GET", "/beds", { isSilent: true });
    const names = new Set([this.#usual, SHIPPED, ...beds.filter((bed) => bed.seconds !== null).map((bed) => bed.name)]);
    const chosen = this.chosen || this.#usual;
    this.#select.replaceChildren(...[...names].map((name) => element("option", { value: name, textContent: name })));
    this.chosen = names.has(chosen) ? chosen : this.#usual;
  }

  /**
   * Uploads a file and waits until it is a bed.
   * @returns {Promise<string>} its name; throws an Error with a sentence for a person
   */
  async make(file) {
    const name = named(file.name);
    const before = JSON.stringify(await this.#known(name));
    const { upload } = await this.#api.ask("POST", `/beds/${name}`);
    const form = new FormData();
    for (const [field, value] of Object.entries(upload.fields)) form.append(field, value);
    form.append("file", file);
    const answer = await fetch(upload.url, { method: "POST", body: form }).catch(() => null);
    if (!answer?.ok) throw new Error(`The upload of ${file.name} was refused${answer ? `: ${answer.status}` : ""}.`);
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, LOOKS_EVERY_MS));
      const bed = await this.#known(name);
      const isNews = JSON.stringify(bed) !== before;
      if (isNews && bed.state === "failed") throw new Error(`${file.name} cannot be music: ${bed.reason}.`);
      if (isNews && bed.state === "ready") break;
    }
    await this.refresh();
    return name;
  }

  /** What the API says of a bed; undefined of one that there is not. */
  async #known(name) {
    const { beds } = await this.#api.ask("GET", "/beds", { isSilent: true });
    return beds.find((bed) => bed.name === name);
  }
}

/** A bed's name out of a file's: a-z, 0-9 and -. */
function named(file) {
  const plain = file.replace(/\.[^.]*$/, "").normalize("NFKD").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63).replace(/-+$/, "") || "music";
}
