// The page: which view is shown, and what brings it up to date.

import { get } from "./api.js";
import { h, note, tick } from "./elements.js";
import { listen } from "./events.js";
import { RunView } from "./run.js";
import { RunsView, WorkflowView } from "./workflow.js";
import { WorkflowsView } from "./workflows.js";

// Many events at once are one look.
const TOGETHER = 200;
// Runs that other processes started tell nothing here, so now and then everything is looked at.
const NOW_AND_THEN = 5000;
const WHILE_GOING = 3000;
// How long to wait when the server does not say yet what it serves.
const UNTIL_IT_ANSWERS = 3000;

const main = document.querySelector("#main");
let view = null;
let loading = null;
let isStale = false;
let lastLook = 0;

/** The parts of an address. One that is not well-formed leads home. */
function partsOf(hash) {
  try {
    return hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    history.replaceState(null, "", "#/");
    return [];
  }
}

function viewOf([first, second, third, fourth]) {
  if (first === "workflows" && second) return new WorkflowView(second);
  if (first === "runs" && /^\d+$/.test(second ?? "")) return new RunView(Number(second), third === "tasks" ? fourth : null);
  if (first === "runs") return new RunsView();
  return new WorkflowsView();
}

function go() {
  if (location.hash === "#main") return;
  const parts = partsOf(location.hash);
  const [first, number, third, task] = parts;
  if (first === "runs" && view instanceof RunView && /^\d+$/.test(number ?? "") && view.number === Number(number)) {
    view.select((third === "tasks" && task) || null);
    return;
  }
  view?.close?.();
  const hadOne = view !== null;
  view = viewOf(parts);
  for (const link of document.querySelectorAll("[data-nav]")) {
    if (link.dataset.nav === view.nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  loading = null;
  refresh().then(() => { if (hadOne) main.focus({ preventScroll: true }); });
  window.scrollTo(0, 0);
}

/** Loads what the view shows. Whatever comes meanwhile is loaded once more afterwards. */
async function refresh() {
  if (loading === view) {
    isStale = true;
    return;
  }
  const current = view;
  loading = current;
  isStale = false;
  lastLook = Date.now();
  try {
    await current.load();
    if (current !== view) return;
    if (main.firstChild !== current.element) main.replaceChildren(current.element);
    document.title = `${current.title} · ${document.querySelector("#project").textContent}`;
  } catch (error) {
    if (current !== view) return;
    if (main.firstChild === current.element && error.status !== 404) note(error.message, "problem");
    else main.replaceChildren(h("div", { class: "empty" }, h("p", {}, error.status === 404 ? error.message : `This could not be loaded: ${error.message}`)));
  } finally {
    if (loading === current) loading = null;
    if (isStale && current === view) soon();
  }
}

let timer = null;

function soon() {
  timer ??= setTimeout(() => {
    timer = null;
    refresh();
  }, TOGETHER);
}

function told(name, change) {
  if (name === "resync" || view?.concerns(name, change)) soon();
}

function showState(word) {
  const live = document.querySelector("#live");
  live.textContent = word;
  live.dataset.state = word;
}

/** The name of the project, as soon as the server says it. */
async function project() {
  for (;;) {
    try {
      return (await get("/api/project")).project;
    } catch (error) {
      main.replaceChildren(h("p", { class: "empty" }, error.message));
      await new Promise((done) => setTimeout(done, UNTIL_IT_ANSWERS));
    }
  }
}

async function start() {
  document.querySelector("#project").textContent = await project();
  go();
  window.addEventListener("hashchange", go);
  window.addEventListener("stale", soon);
  setInterval(() => view?.tick?.(), 200);
  setInterval(() => {
    tick();
    if (document.hidden) return;
    const pause = view?.isGoing?.() ? WHILE_GOING : NOW_AND_THEN;
    if (Date.now() - lastLook > pause) soon();
  }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  await listen(told, showState);
}

start().catch((error) => main.replaceChildren(h("p", { class: "empty" }, error.message)));
