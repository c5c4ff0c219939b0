// What time it is by the gateway's clock: the browser's may be wrong by any amount. How long something took is measured
// by a clock that nobody sets.
let offset = 0;

export function heardTime(page) {
  const told = Date.parse(page.querySelector("meta[name=now]")?.content ?? "");
  if (!Number.isNaN(told)) offset = told - performance.now();
}

export const ticks = () => performance.now();
export const now = () => ticks() + offset;

heardTime(document);
