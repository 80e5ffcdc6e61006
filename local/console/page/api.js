/** Duckline's own API, asked as any application would ask it, with every request kept as curl. */

export class Api extends EventTarget {
  #key;
  #base;

  /** @param {{ api_url: string, api_key: string }} stack */
  constructor({ api_url, api_key }) {
    super();
    this.#base = api_url;
    this.#key = api_key;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ json?: unknown, file?: File, isSilent?: boolean }} [body] a silent request is a look, and not listed
   * @returns {Promise<any>} the answer's JSON; throws an Error with a sentence for a person
   */
  async ask(method, path, { json, file, isSilent } = {}) {
    const type = file ? file.type || typeOf(file.name) : json === undefined ? "" : "application/json";
    const body = file ?? (json === undefined ? undefined : JSON.stringify(json));
    const request = { method, path, curl: this.#curl(method, path, type, json, file), status: null, ms: null, answer: "" };
    if (!isSilent) this.#tell(request);
    const began = performance.now();
    const headers = { Authorization: `Bearer ${this.#key}`, ...(type && { "Content-Type": type }) };
    const answer = await fetch(path, { method, headers, body }).catch(() => null);
    request.ms = performance.now() - began;
    const text = answer ? await answer.text() : "";
    Object.assign(request, { status: answer?.status ?? 0, answer: pretty(text) });
    if (!isSilent) this.#tell(request);
    if (answer === null) throw new Error("The API does not answer. If make dev has stopped, start it again.");
    if (!answer.ok) throw new Error(problem(text) ?? `${method} ${path} was answered ${answer.status}.`);
    return { ...JSON.parse(text), ms: request.ms };
  }

  /** The command as it can be run: with the key in it. */
  withKey(curl) {
    return curl.replaceAll("$KEY", this.#key);
  }

  #curl(method, path, type, json, file) {
    const lines = [`curl ${method === "GET" || type ? "" : `-X ${method} `}"${this.#base}${path}"`];
    if (type && method !== "POST") lines[0] = lines[0].replace("curl ", `curl -X ${method} `);
    lines.push(`-H "Authorization: Bearer $KEY"`);
    if (type) lines.push(`-H "Content-Type: ${type}"`);
    if (json !== undefined) lines.push(`-d '${JSON.stringify(json).replaceAll("'", "'\\''")}'`);
    if (file) lines.push(`--data-binary @'${file.name.replaceAll("'", "'\\''")}'`);
    return lines.join(" \\\n  ");
  }

  #tell(request) {
    this.dispatchEvent(new CustomEvent("request", { detail: request }));
  }
}

const TYPES = { wav: "audio/wav", mp3: "audio/mpeg", ogg: "audio/ogg", oga: "audio/ogg", opus: "audio/ogg", flac: "audio/flac" };

function typeOf(name) {
  return TYPES[name.split(".").pop().toLowerCase()] ?? "application/octet-stream";
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** What an application/problem+json says, or API Gateway's own errors. */
function problem(text) {
  try {
    const told = JSON.parse(text);
    return told.detail ? `${told.title}: ${told.detail}.` : told.message;
  } catch {
    return null;
  }
}
