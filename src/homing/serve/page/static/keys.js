// Keys: / finds, g goes, j and k walk, ? shows them.
import { root } from "./root.js";

const PAGES = { n: "/now", i: "/instances", s: "/sessions", p: "/pairing", d: "/deaf", m: "/moves", e: "/endpoints", a: "/alerts" };
let going = 0;

export function answerKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog[open]")) return;
    const goes = Date.now() - going < 1500;
    going = 0;
    if (goes && PAGES[event.key]) location.href = root + PAGES[event.key];
    else if (event.key === "g") going = Date.now();
    else if (event.key === "/") (document.getElementById("q") ?? document.getElementById("find")).focus();
    else if (event.key === "?") document.getElementById("keys").showModal();
    else return;
    event.preventDefault();
  });
}
