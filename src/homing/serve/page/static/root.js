// Where the gateway begins, behind a proxy that gives it a part of its own addresses.
export const root = document.querySelector("meta[name=root]").content;
