// Follows the state stream, and brings the parts of this page that are live up to date: at most once a second, and not
// while nobody looks. The server has drawn them; here they are only put in place of the old ones.
import { heardTime, now, ticks } from "./clock.js";
import { root } from "./root.js";

const REFRESH_MS = 1000;
const ANNOUNCED_EVERY_MS = 5000; // what is read aloud is not read over itself
const QUIET_MS = 12000; // the stream says something every five seconds

let heardAt = ticks();
let lost = null;
let source = null;
let due = null;
let refreshedAt = 0;
let refreshing = false;
let again = false;
let announcedAt = -Infinity;

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
    lost ??= ticks();
    if (source.readyState === EventSource.CLOSED) refused();
  };
}

function heard(kind, event) {
  heardAt = ticks();
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
  due = setTimeout(refresh, Math.max(50, REFRESH_MS - (ticks() - refreshedAt)));
}

export async function refresh() {
  due = null;
  if (refreshing) return void (again = true);
  refreshing = true;
  refreshedAt = ticks();
  try {
    const answer = await fetch(location.href, { headers: { "X-Homing-Live": "1" } });
    if (answer.redirected && new URL(answer.url).pathname === `${root}/login`) location.href = answer.url;
    else if (answer.ok || answer.status === 503) place(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    lost ??= ticks();
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
  if (!fresh.getElementById("main")) return; // no page: a gateway that cannot even say who asks
  if (isOfAnother(fresh)) return void location.reload();
  heardTime(fresh);
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

// The gateway was renewed while this page was open: its scripts and what it draws are others now.
function isOfAnother(fresh) {
  const style = (page) => page.querySelector("link[rel=stylesheet]")?.getAttribute("href");
  return style(fresh) !== undefined && style(fresh) !== style(document) && !document.querySelector("dialog[open]");
}

function tellAge() {
  const age = (ticks() - heardAt) / 1000;
  const box = document.getElementById("stream");
  const away = document.querySelector("#away .notice") !== null;
  const stale = age * 1000 > QUIET_MS || (lost !== null && ticks() - lost > 2000);
  const shape = box.querySelector(".shape");
  const clock = new Date(now()).toISOString().slice(11, 19);
  box.classList.toggle("warn", stale || away);
  document.body.classList.toggle("stale", stale);
  shape.setAttribute("class", `shape ${stale || away ? "warn" : "ok"}`);
  shape.firstElementChild.setAttribute("href", stale || away ? "#up" : "#disc");
  announce(stale ? "This page is not live." : away ? "The database is away." : document.querySelector("#verdict b").textContent);
  set(box.querySelector("[data-stream]"), stale ? `Not live, ${age.toFixed(0)} s` : `Live, ${clock}`);
  set(box.querySelector("[data-age]"), away && !stale ? "the database is away" : stale ? "actions wait until it is" : `data ${age.toFixed(0)} s old`);
}

function announce(says) {
  const element = document.getElementById("announced");
  if (element.textContent === says || ticks() - announcedAt < ANNOUNCED_EVERY_MS) return;
  announcedAt = ticks();
  element.textContent = says;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
