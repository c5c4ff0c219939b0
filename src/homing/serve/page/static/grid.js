// <session-grid>: as many sessions as there are, of which only those in sight are in the page. The rows come by the
// hundred from the API; what the state stream tells of a row in sight is put there at once, and of others nothing is done.
import { now } from "./clock.js";
import { root } from "./root.js";

const ROW = 32;
const PAGE = 100;
const BEYOND = 8;
const PAGES_KEPT = 40;
const TYPED = 60; // ms after a key before it is looked for; what was asked for before is not waited for

const SHAPES = {
  "logged out": ["diamond", "bad"], failed: ["cross", "bad"], quarantined: ["barred", "warn"], "waits for you": ["bars", "warn"],
  starting: ["ring", "busy"], moving: ["right", "busy"], doubtful: ["up", "warn"], unknown: ["square", "off"],
  stopped: ["square", "off"], connected: ["disc", "ok"],
};
const SVG = "http://www.w3.org/2000/svg";

class SessionGrid extends HTMLElement {
  #pages = new Map(); // page number -> rows, or a promise of them
  #rows = new Map(); // row number -> element in the page
  #shown = new Map(); // session -> row number, of those in the page
  #total = 0;
  #active = -1;
  #stale = null;
  #asks = {}; // what is looked for, in the words of the API
  #names = {}; // what instances are called, by their addresses

  connectedCallback() {
    this.#total = Number(this.dataset.total);
    this.#names = JSON.parse(this.dataset.names);
    this.#asks = JSON.parse(this.dataset.asks);
    if (!this.#total) return;
    this.table = this.querySelector("[role=table]");
    this.querySelector(".more")?.remove();
    const old = this.querySelector(".rows-static");
    this.view = element("div", "view");
    this.view.tabIndex = 0;
    this.view.setAttribute("role", "rowgroup");
    this.view.setAttribute("aria-label", "Sessions, by rows");
    this.space = element("div", "space");
    this.body = element("div", "rows");
    this.space.append(this.body);
    this.view.append(this.space);
    old.replaceWith(this.view);
    this.view.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.view.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("keydown", this.#anywhere);
    document.addEventListener("homing:state", this.#told);
    document.getElementById("q").addEventListener("input", this.#search);
    new ResizeObserver(() => this.#draw()).observe(this.view);
    this.#resize();
    this.#draw();
  }

  disconnectedCallback() {
    document.removeEventListener("homing:state", this.#told);
    document.removeEventListener("keydown", this.#anywhere);
  }

  // --- what is there ---

  #search = () => {
    clearTimeout(this.searching);
    this.searching = setTimeout(() => {
      this.#asks.q = document.getElementById("q").value;
      this.#active = -1;
      this.view.scrollTop = 0;
      this.#reload();
    }, TYPED);
  };

  async #reload() {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.#pages.clear();
    try {
      await this.#page(0);
    } catch {
      return; // something else is asked for meanwhile, or the gateway is away: what is shown stays
    }
    if (this.asking === asking) this.#draw(true);
  }

  async #page(number) {
    const kept = this.#pages.get(number);
    if (kept) return kept;
    const query = new URLSearchParams({ offset: number * PAGE, limit: PAGE });
    for (const [name, value] of Object.entries(this.#asks)) if (value.trim()) query.set(name, value.trim());
    const asked = fetch(`${root}/api/v1/sessions?${query}`, { signal: this.asking?.signal }).then(async (answer) => {
      if (!answer.ok) throw new Error(`${answer.status}`);
      const told = await answer.json();
      if (this.#pages.get(number) !== asked) return told.data; // an answer to what nobody asks for any more
      this.#pages.set(number, told.data);
      if (told.total !== this.#total) this.#resize(told.total);
      return told.data;
    });
    this.#pages.set(number, asked);
    asked.catch(() => this.#pages.get(number) === asked && this.#pages.delete(number));
    if (this.#pages.size > PAGES_KEPT) this.#pages.delete(this.#pages.keys().next().value);
    return asked;
  }

  #resize(total = this.#total) {
    this.#total = total;
    this.table.setAttribute("aria-rowcount", total + 1);
    this.space.style.height = `${Math.max(total * ROW, ROW)}px`;
    this.view.style.maxHeight = this.space.style.height;
  }

  // --- what is in sight ---

  #draw(anew = false) {
    const first = Math.max(0, Math.floor(this.view.scrollTop / ROW) - BEYOND);
    const last = Math.min(this.#total, Math.ceil((this.view.scrollTop + this.view.clientHeight) / ROW) + BEYOND);
    for (const [number, row] of this.#rows) {
      if (anew || number < first || number >= last) this.#drop(number, row);
    }
    for (let page = Math.floor(first / PAGE); page * PAGE < last; page++) {
      const rows = this.#pages.get(page);
      if (Array.isArray(rows)) this.#fill(page, rows, first, last);
      else this.#page(page).then(() => this.#draw(), () => {});
    }
    this.#say(first, last);
  }

  #fill(page, rows, first, last) {
    for (let number = Math.max(first, page * PAGE); number < Math.min(last, page * PAGE + rows.length); number++) {
      if (this.#rows.has(number)) continue;
      const row = this.#row(rows[number - page * PAGE], number);
      this.#rows.set(number, row);
      this.#shown.set(row.dataset.session, number);
      this.body.append(row);
    }
  }

  #drop(number, row) {
    this.#rows.delete(number);
    if (this.#shown.get(row.dataset.session) === number) this.#shown.delete(row.dataset.session);
    row.remove();
  }

  #row(told, number) {
    const row = element("div", "grow");
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", number + 2);
    row.dataset.session = told.session_id;
    row.style.position = "absolute";
    row.style.left = row.style.right = "0";
    row.style.top = `${number * ROW}px`;
    row.classList.toggle("active", number === this.#active);
    row.append(...cells(told, this.#names));
    return row;
  }

  #say(first, last) {
    const range = document.querySelector("[data-range]");
    const from = Math.min(this.#total, Math.floor(this.view.scrollTop / ROW) + 1);
    const to = Math.min(this.#total, Math.floor((this.view.scrollTop + this.view.clientHeight) / ROW));
    if (range) range.textContent = this.#total ? `Rows ${from.toLocaleString("en")} to ${to.toLocaleString("en")} of ${this.#total.toLocaleString("en")}` : "No session matches";
  }

  // --- what changes ---

  #told = ({ detail: { kind, told } }) => {
    if (kind === "snapshot") return this.#later(0);
    for (const row of told.sessions ?? []) {
      const number = this.#shown.get(row.session_id);
      if (number === undefined) continue;
      const old = this.#rows.get(number);
      const page = this.#pages.get(Math.floor(number / PAGE));
      const now = Array.isArray(page) ? { ...page[number % PAGE], ...row } : row; // of its past the stream tells nothing
      if (Array.isArray(page)) page[number % PAGE] = now;
      old.replaceChildren(...cells(now, this.#names));
      old.classList.add("changed");
      setTimeout(() => old.classList.remove("changed"), 400);
    }
    // The order is another now. It changes when the pointer is away, and never under it.
    if (told.session_counts || told.sessions_gone?.length || told.sessions?.length) this.#later(1500);
  };

  #later(after) {
    clearTimeout(this.#stale);
    this.#stale = setTimeout(() => {
      if (this.view.matches(":hover") || this.view.scrollTop > ROW * PAGE) this.#pages.clear();
      else this.#reload();
    }, after);
  }

  // --- by keyboard ---

  #anywhere = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog[open]")) return;
    if (["j", "k"].includes(event.key)) this.#key(event);
  };

  #key(event) {
    const sight = Math.max(1, Math.floor(this.view.clientHeight / ROW) - 1);
    const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: sight, PageUp: -sight, End: this.#total, Home: -this.#total }[event.key];
    if (by) {
      event.preventDefault();
      event.stopPropagation();
      this.#go(Math.min(this.#total - 1, Math.max(0, this.#active + by)));
    } else if (event.key === "Enter" && event.target === this.view) {
      this.#rows.get(this.#active)?.querySelector("a")?.click();
    }
  }

  #go(number) {
    this.#rows.get(this.#active)?.classList.remove("active");
    this.#active = number;
    const top = number * ROW;
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    else if (top + ROW > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = top + ROW - this.view.clientHeight;
    this.#draw();
    this.#rows.get(number)?.classList.add("active");
  }
}

// --- one row --------------------------------------------------------------------------------------------------

function cells(told, names) {
  const phone = element("span", "");
  const link = element("a", "");
  link.href = `${root}/sessions/${told.account_id}`;
  link.textContent = told.phone_written;
  phone.append(link);
  const name = cell("wide", told.name);
  name.title = told.name;
  const state = element("span", "stands");
  state.append(stateOf(told.standing), cell("", since(told.since), "small"));
  const beaten = element("span", "wide beaten");
  beaten.append(beatsOf(told.beats ?? ""));
  const down = told.beats ? (told.minutes_down ? briefly(60 * told.minutes_down) : "0") : "–";
  const found = [phone, name, state, beaten, cell("wide", names[told.instance_url] ?? told.instance_name ?? "–"), cell("num wide", told.epoch), cell("num wide", down)];
  for (const each of found) each.setAttribute("role", "cell");
  return found;
}

function stateOf(word) {
  const [shape, tone] = SHAPES[word] ?? ["square", "off"];
  const state = element("span", `state ${tone}`);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `shape ${tone}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${shape}`);
  svg.append(use);
  state.append(svg, word);
  return state;
}

// A path for each kind of half hour, as the server draws it.
const BEATS = [["-", "absent", 1, ""], [".", "well", 6, ""], ["m", "busy", 11, "moved in"], ["d", "warn", 11, "in doubt in"], ["x", "bad", 16, "could not send in"]];

function beatsOf(beats) {
  const bar = document.createElementNS(SVG, "svg");
  const says = [];
  for (const [letter, tone, high, words] of BEATS) {
    const found = [...beats].flatMap((each, at) => (each === letter ? [at] : []));
    if (!found.length) continue;
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", `f-${tone}`);
    path.setAttribute("d", found.map((at) => `M${at * 3} ${16 - high}h2v${high}h-2z`).join(""));
    bar.append(path);
    if (words) says.unshift(`${words} ${found.length} half ${found.length === 1 ? "hour" : "hours"}`);
  }
  const told = beats ? `Last 24 hours: ${says.join(", ") || "well"}` : "Of the last 24 hours nothing is known";
  for (const [name, value] of [["class", "beats"], ["viewBox", "0 0 144 16"], ["role", "img"], ["aria-label", told]]) bar.setAttribute(name, value);
  return bar;
}

function since(at) {
  if (!at) return "";
  return span(Math.max(0, (now() - Date.parse(at)) / 1000));
}

const briefly = (seconds) => (seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds));

function span(seconds) {
  for (const [size, name, below, rest] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const more = Math.floor((seconds % size) / below);
      return `${Math.floor(seconds / size)} ${name}${more ? ` ${more} ${rest}` : ""}`;
    }
  }
  return `${Math.floor(seconds)} s`;
}

function element(name, classes) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  return made;
}

function cell(classes, text, name = "span") {
  const made = element(name, classes);
  made.textContent = text;
  return made;
}

customElements.define("session-grid", SessionGrid);
