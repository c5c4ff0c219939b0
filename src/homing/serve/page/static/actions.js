// Dialogs: the server draws what will happen; the button calls the API as any client would.
import { refresh } from "./live.js";
import { root } from "./root.js";

const token = () => document.querySelector("meta[name=csrf-token]").content;

export function openDialogs() {
  const dialog = document.getElementById("dialog");
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (event.target.closest("[data-close]") && dialog.open) {
      event.preventDefault();
      dialog.close();
    } else if (link?.getAttribute("aria-disabled") === "true") {
      event.preventDefault();
    } else if (link && !event.metaKey && !event.ctrlKey) {
      event.preventDefault();
      await open(dialog, link.href);
    }
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-path]");
    if (!form) return;
    event.preventDefault();
    act(form, dialog);
  });
}

async function open(dialog, href) {
  const answer = await fetch(href).catch(() => null);
  const page = answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  const ask = page?.getElementById("ask");
  if (!ask) return void (location.href = href);
  dialog.replaceChildren(document.importNode(ask, true));
  dialog.setAttribute("aria-label", ask.querySelector("h2").textContent);
  dialog.showModal();
}

async function act(form, dialog) {
  const button = form.querySelector("[type=submit]");
  const said = form.querySelector(".said");
  const body = JSON.parse(form.dataset.body);
  const to = form.elements.to?.value;
  if (to) body.to = Number(to);
  for (const { name, value } of form.querySelectorAll("[data-pick]")) {
    if (value) body[name] = /^\d+$/.test(value) ? Number(value) : value;
  }
  if (body.instance_url) body.kind = "empty";
  button.disabled = true;
  said.textContent = "";
  try {
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": token() };
    const sent = Object.keys(body).length || form.elements.to ? JSON.stringify(body) : undefined;
    const answer = await fetch(form.dataset.path, { method: form.dataset.method, headers, body: sent });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(told.detail ?? `The gateway answered ${answer.status}.`);
    const tells = JSON.parse(form.dataset.tells);
    if (form.dataset.leads) location.href = root + form.dataset.leads + told.id;
    else if (tells.length) {
      tell(form, tells, told);
      await refresh();
    } else if (dialog.open) {
      dialog.close();
      await refresh();
    } else location.href = form.querySelector("[data-close]").href;
  } catch (error) {
    said.textContent = error instanceof TypeError ? "The gateway did not answer. Nothing is known of what it did." : error.message;
    button.disabled = false;
  }
}

// What came of it is read before the dialog goes: a link that is shown once, or how an endpoint answered.
function tell(form, tells, told) {
  const rows = tells.filter(([name]) => told[name] !== null && told[name] !== "");
  const parts = rows.flatMap(([name, words]) => [named("dt", words), named("dd", String(told[name]))]);
  form.querySelector(".told").replaceChildren(...parts);
  form.querySelector("[type=submit]").remove();
  form.querySelector("[data-close]").textContent = "Close";
}

function named(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
