// Follows the state stream, and brings the parts of this page that are live up to date: at most once a second, and not
// while nobody looks. The server has drawn them; here they are only put in place of the old ones.
import { root } from "./root.js";

const REFRESH_MS = 1000;
const QUIET_MS = 12000; // the stream says something every five seconds

let heardAt = Date.now();
let lost = null;
let source = null;
let due = null;
let refreshedAt = 0;
let refreshing = false;
let again = false;

export function follow() {
  connect();
  setInterval(tellAge, 500);
  document.addEventListener("visibilitychange", () => document.hidden || soon());
}

function connect() {
  source?.close();
  source = new EventSource(`${root}/api/v1/state`);
  for (const kind of ["snapshot", "delta", "beat"]) source.addEventListener(kind, (event) => heard(kind, event));
  source.onerror = () => {
    lost ??= Date.now();
    if (source.readyState === EventSource.CLOSED) refused();
  };
}

function heard(kind, event) {
  heardAt = Date.now();
  const wasLost = lost !== null;
  lost = null;
  document.body.classList.remove("stale");
  // What becomes of messages is no part of the state: pages about them are read anew with each beat.
  if (kind === "beat") return wasLost || document.querySelector("[data-beats]") ? soon() : undefined;
  document.dispatchEvent(new CustomEvent("homing:state", { detail: { kind, told: JSON.parse(event.data) } }));
  soon();
}

// The server ended it for good: the login is over, or there are too many streams. Find out which.
async function refused() {
  const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
  if (answer?.type === "opaqueredirect") location.href = `${root}/login`;
  else setTimeout(connect, 5000);
}

export function soon() {
  if (due !== null || document.hidden) return;
  due = setTimeout(refresh, Math.max(50, REFRESH_MS - (Date.now() - refreshedAt)));
}

export async function refresh() {
  due = null;
  if (refreshing) return void (again = true);
  refreshing = true;
  refreshedAt = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Homing-Live": "1" } });
    if (answer.redirected && new URL(answer.url).pathname === `${root}/login`) location.href = answer.url;
    else if (answer.ok) place(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    lost ??= Date.now();
  } finally {
    refreshing = false;
    if (again) (again = false), soon();
  }
}

// What somebody is typing stays. A focused link or button is brought up to date like everything else.
function morph(old, now) {
  const ignoreActiveValue = document.activeElement?.matches("input, select, textarea") ?? false;
  Idiomorph.morph(old, now, { ignoreActiveValue });
}

function place(fresh) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (now) morph(old, now);
  }
  // A part that came to be, or is over, such as a code to scan: put the column of parts right.
  const missing = [...fresh.querySelectorAll("main [data-live]")].some((part) => !document.getElementById(part.id));
  const over = [...document.querySelectorAll("main [data-live]")].some((part) => !fresh.getElementById(part.id));
  const main = document.getElementById("main");
  if ((missing || over) && !main.querySelector("session-grid")) {
    morph(main, fresh.getElementById("main"));
  }
}

function tellAge() {
  const age = (Date.now() - heardAt) / 1000;
  const box = document.getElementById("stream");
  const stale = age * 1000 > QUIET_MS || (lost !== null && Date.now() - lost > 2000);
  const shape = box.querySelector(".shape");
  const clock = new Date().toISOString().slice(11, 19);
  box.classList.toggle("warn", stale);
  document.body.classList.toggle("stale", stale);
  shape.setAttribute("class", `shape ${stale ? "warn" : "ok"}`);
  shape.firstElementChild.setAttribute("href", stale ? "#up" : "#disc");
  set(box.querySelector("[data-stream]"), stale ? `Not live, ${age.toFixed(0)} s` : `Live, ${clock}`);
  set(box.querySelector("[data-age]"), stale ? "actions wait until it is" : `data ${age.toFixed(0)} s old`);
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
