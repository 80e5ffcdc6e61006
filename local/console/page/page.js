/** The console: what a person does, led to the telephone and to Duckline's API. */

import { Api } from "./api.js";
import { Ear } from "./ear.js";
import { clock, decibels, fixed } from "./figures.js";
import { takeFiles } from "./files.js";
import { Music } from "./music.js";
import { notice, saying } from "./notices.js";
import { Phone } from "./phone.js";
import { Requests } from "./requests.js";
import { Ribbon } from "./ribbon.js";
import { Speeches } from "./speeches.js";
import { TwilioLog } from "./twilio.js";

const FIGURES_EVERY_MS = 200;
const GOOD_FOR_MS = 4000; // how long good news is shown

const $ = (id) => document.getElementById(id);

const ear = new Ear();
const phone = new Phone(ear);
const speeches = new Speeches($("speeches"), phone);
const twilio = new TwilioLog($("twilio"), phone);
new Ribbon($("ribbon"), { ear, phone, speeches });

let api;
let music;

// -- the call ---------------------------------------------------------------------------------------

async function call() {
  $("call").disabled = true;
  speeches.clear();
  twilio.clear();
  show("Ringing");
  if (!(await saying(() => phone.call(music.chosen)))) show("Nobody is on the line");
  $("call").disabled = false;
  live();
  $("line").focus();
}

async function hangUp() {
  $("call").disabled = true;
  await saying(() => phone.hangUp());
  $("call").disabled = false;
}

function show(state) {
  $("call-state").textContent = state;
}

function live() {
  const isLive = phone.isLive;
  $("call").textContent = isLive ? "Hang up" : "Call";
  $("call").classList.toggle("is-live", isLive);
  $("ribbon-empty").hidden = isLive || ear.peaks.length > 0;
  for (const id of ["speak", "interrupt", "silence", "audio"]) $(id).disabled = !isLive;
}

phone.addEventListener("now", ({ detail }) => show(detail.line ? "On the line" : "Ringing"));
phone.addEventListener("over", ({ detail }) => {
  const how = { caller: "you hung up", twiml: "Duckline ended it", rejected: "it was rejected", error: "of an error" };
  show(`Call over, ${how[detail.ended_by] ?? detail.ended_by}`);
  live();
  for (const name of ["level", "floor", "gain", "lead", "sealed"]) $(`figure-${name}`).textContent = "–";
  for (const speech of speeches.unfinished) settled(speech);
});
phone.addEventListener("lost", () => {
  show("The line is dead");
  notice("The connection to the stack was lost. If make dev has stopped, start it again, then press Call.");
  live();
});
phone.addEventListener("error", ({ detail }) => notice(`Twilio would report error ${detail.error.code}: ${detail.error.message}.`));
phone.addEventListener("trouble", ({ detail }) => notice(`The picture stands still: ${detail.detail}.`, { lasts_ms: GOOD_FOR_MS }));

// -- speaking ---------------------------------------------------------------------------------------

async function speak(words, body, when) {
  const path = `/calls/${phone.sid}/speeches${when === "now" ? "?when=now" : ""}`;
  const speech = speeches.asked(words);
  try {
    speeches.accepted(speech, await api.ask("POST", path, body));
  } catch (error) {
    speeches.refused(speech, error.message);
    notice(error.message);
  }
}

function sayLine(when) {
  const text = $("line").value.trim();
  if (!phone.isLive) return notice("Nobody is on the line. Press Call first.", { lasts_ms: GOOD_FOR_MS });
  if (!text) return $("line").focus();
  $("line").select();
  return speak(text, { json: { text } }, when);
}

function sayFile(file) {
  if (!phone.isLive) return notice("Nobody is on the line. Press Call first, then drop the file again.");
  return speak(file.name, { file }, "queue");
}

speeches.addEventListener("cancel", ({ detail: speech }) =>
  saying(async () => speeches.told(await api.ask("DELETE", `/calls/${callOf(speech)}/speeches/${speech.id}`))),
);
speeches.addEventListener("left", ({ detail: speech }) => settled(speech));

let called = null; // the call that the speeches belong to, which may be over

function callOf() {
  return phone.sid ?? called;
}

/** A speech has left the schedule: the API knows what became of it. */
async function settled(speech) {
  if (speech.isAskedAbout) return;
  speech.isAskedAbout = true;
  try {
    speeches.told(await api.ask("GET", `/calls/${callOf()}/speeches/${speech.id}`, { isSilent: true }));
  } catch {
    // The stack may be gone; its loss is told by then.
  }
  speech.isAskedAbout = false;
}

// -- music ------------------------------------------------------------------------------------------

async function changeBed() {
  if (!phone.isLive) return;
  await saying(() => api.ask("PUT", `/calls/${phone.sid}/bed`, { json: { bed: music.chosen } }));
}

async function makeBed(file) {
  const news = notice(`Making music of ${file.name}: decoding, levelling, cutting. A song takes some seconds.`, { isNews: true });
  await saying(async () => {
    music.chosen = await music.make(file);
    notice(`${file.name} is ready${phone.isLive ? ", and fades in" : ": press Call to hear it"}.`, { isNews: true, lasts_ms: GOOD_FOR_MS });
    await changeBed();
  });
  news.remove();
}

// -- figures ----------------------------------------------------------------------------------------

function showFigures() {
  const { now } = phone;
  if (!phone.isLive || !now?.line) return;
  $("call-clock").textContent = clock(now.tick / 50);
  $("call-clock").dateTime = `PT${Math.floor(now.tick / 50)}S`;
  $("figure-level").textContent = decibels(ear.level_dbov, "dBov");
  $("figure-floor").textContent = decibels(ear.floor_dbov, "dBov");
  const gain = phone.gainAt(ear.tick - now.line.offset_ticks);
  $("figure-gain").textContent = decibels(20 * Math.log10(gain));
  $("figure-lead").textContent = `${fixed(now.line.lead_ms / 1000, 2)} s`;
  $("figure-sealed").textContent = `${fixed(Math.max(0, phone.tickOf(now.sealed) - phone.tick) / 50, 2)} s`;
  $("figure-gaps").textContent = `${now.underruns} · ${now.late_chunks}`;
  $("figure-gaps").classList.toggle("is-bad", now.underruns + now.late_chunks > 0);
}

// -- keys, and the beginning --------------------------------------------------------------------------

addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "c" && !$("call").disabled) $("call").click();
  if (event.key === "/") {
    event.preventDefault();
    $("line").focus();
    $("line").select();
  }
});

$("call").addEventListener("click", () => (phone.isLive ? hangUp() : call().then(() => (called = phone.sid))));
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  sayLine("queue");
});
$("line").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // a form whose button is disabled would keep silent
  sayLine(event.ctrlKey || event.metaKey ? "now" : "queue");
});
$("interrupt").addEventListener("click", () => sayLine("now"));
$("silence").addEventListener("click", () => saying(() => api.ask("DELETE", `/calls/${phone.sid}/speeches`)));
$("bed").addEventListener("change", changeBed);
$("mute").addEventListener("click", () => {
  const isMuted = $("mute").getAttribute("aria-pressed") !== "true";
  $("mute").setAttribute("aria-pressed", String(isMuted));
  ear.muted = isMuted;
});
takeFiles({ speech: sayFile, music: makeBed });

live();
$("call").disabled = true;
await saying(async () => {
  const answer = await fetch("/console/stack.json").catch(() => null);
  if (!answer?.ok) throw new Error("The stack does not answer. If make dev has stopped, start it again and reload this page.");
  const stack = await answer.json();
  api = new Api(stack);
  new Requests($("requests"), api);
  music = new Music($("bed"), api, stack.bed);
  await music.refresh();
  $("call").disabled = false;
});
setInterval(showFigures, FIGURES_EVERY_MS);

/** For whoever looks from the browser's own console, and for the tests. */
window.duckline = { ear, phone, speeches };
