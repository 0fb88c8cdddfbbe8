// Questions to the server. The token is asked for when the first one needs it, and kept for this tab.

import { askToken } from "./dialogs.js";

const KEPT = "medallion-token";

/** What the server said when it did not do what it was asked. */
export class Refusal extends Error {
  constructor(status, { kind, message }) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

let asking = null;
// Whether the question for the token was closed without one. It is asked again when something is pressed, not by itself.
let isDeclined = false;
for (const press of ["click", "keydown"]) window.addEventListener(press, () => { isDeclined = false; }, { capture: true });

function headers() {
  const token = sessionStorage.getItem(KEPT);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Asks whoever looks for the token, once for all questions that wait for it. */
async function obtain(hint) {
  if (isDeclined) return false;
  asking ??= askToken(hint).finally(() => { asking = null; });
  const token = await asking;
  isDeclined = !token;
  if (token) sessionStorage.setItem(KEPT, token);
  return Boolean(token);
}

/** Like `fetch`, with the token; asks for it as often as it is not the right one. */
export async function ask(path, options = {}) {
  let response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  while (response.status === 401) {
    const hint = sessionStorage.getItem(KEPT) ? "That was not the token." : "";
    sessionStorage.removeItem(KEPT);
    if (!(await obtain(hint))) break;
    response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({ kind: "unknown", message: `the server answered ${response.status}` }));
  throw new Refusal(response.status, told);
}

export const get = async (path) => (await ask(path)).json();
export const getText = async (path) => (await ask(path)).text();

export async function post(path, body = {}) {
  if (!sessionStorage.getItem(KEPT) && !(await obtain(""))) return null;
  const response = await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return response.json();
}

export const forWorkflow = (name, rest = "") => `/api/workflows/${encodeURIComponent(name)}${rest}`;
export const forRun = (number, rest = "") => `/api/runs/${number}${rest}`;
