// The list of workflows: what runs next, what ran last, and how healthy each is.

import { forWorkflow, get, post } from "./api.js";
import { askParameters } from "./dialogs.js";
import { Part, badge, button, fromNow, h, note } from "./elements.js";
import { duration, inWords, plural, tone } from "./words.js";

export class WorkflowsView {
  title = "Workflows";
  nav = "workflows";
  element = h("div");
  #list = new Part(h("div"));

  constructor() {
    this.element.append(h("h1", {}, "Workflows"), this.#list.element);
  }

  concerns(name) {
    return name === "run" || name === "workflows";
  }

  async load() {
    const workflows = await get("/api/workflows");
    this.#list.show(workflows, () => (workflows.length === 0 ? nothing() : h("ul", { class: "workflows" }, workflows.map(row))));
  }
}

function nothing() {
  return h("div", { class: "empty" },
    h("p", {}, "This project has no workflows yet."),
    h("p", { class: "quiet" }, "A file in ", h("code", {}, "workflows/"), " is one, in the JSON of Databricks Jobs. ",
      "It appears here as soon as it is saved and ", h("code", {}, "medallion check"), " finds nothing wrong with it."));
}

function row(workflow) {
  const [last] = workflow.last_runs;
  const id = `workflow-${workflow.name}`;
  return h("li", { class: "workflow", "data-workflow": workflow.name },
    h("div", { class: "what" },
      h("a", { class: "name", href: `#/workflows/${encodeURIComponent(workflow.name)}`, id }, workflow.name),
      workflow.description ? h("p", { class: "quiet description" }, workflow.description) : null),
    h("div", { class: "health" }, health(workflow)),
    h("div", { class: "last" }, h("span", { class: "head" }, "Last run"), last ? lastRun(workflow, last) : h("span", { class: "quiet" }, "never")),
    h("div", { class: "next" }, h("span", { class: "head" }, "Next run"), nextRun(workflow),
      workflow.schedule ? h("span", { class: "quiet schedule" }, workflow.schedule) : null),
    h("div", { class: "buttons" }, actions(workflow, `workflow-${workflow.name}`)));
}

function lastRun(workflow, last) {
  const counts = [workflow.running && `${workflow.running} running`, workflow.queued && `${workflow.queued} queued`].filter(Boolean);
  const going = workflow.running + workflow.queued > 1 ? h("span", { class: "quiet" }, counts.join(", ")) : null;
  return [
    h("span", {}, h("a", { href: `#/runs/${last.number}` }, badge(last.status))),
    h("span", { class: "quiet" }, fromNow(last.started_at ?? last.queued_at), took(last)), going,
  ];
}

const took = (run) => (run.started_at && run.ended_at ? `, took ${duration(Date.parse(run.ended_at) - Date.parse(run.started_at))}` : "");

function nextRun(workflow) {
  if (workflow.paused) return h("span", { class: "badge tone-retrying" }, "paused");
  return workflow.next ? fromNow(workflow.next) : h("span", { class: "quiet" }, workflow.waits_for ? `when ${workflow.waits_for}` : workflow.schedule ? "when it is due" : "by hand only");
}

/** The last runs as bars, the newest at the right: the height is how long it took, the colour how it ended. */
export function health(workflow) {
  const runs = workflow.last_runs;
  const length = (run) => (run.started_at && run.ended_at ? Date.parse(run.ended_at) - Date.parse(run.started_at) : 0);
  const longest = Math.max(1, ...runs.map(length));
  const counts = new Map();
  for (const run of runs) counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
  const words = [...counts].map(([status, number]) => `${number} ${inWords(status)}`).join(", ");
  const bars = [...runs].reverse().map((run) => {
    const bar = h("a", { class: `tone-${tone(run.status)}`, href: `#/runs/${run.number}`, tabindex: "-1", title: `run ${run.number} ${inWords(run.status)}${took(run)}` });
    bar.style.height = `${20 + 80 * (length(run) / longest)}%`;
    return bar;
  });
  const label = runs.length > 0 ? `Last ${plural(runs.length, "run")}: ${words}` : "No runs yet";
  return h("div", { class: runs.length > 0 ? "sparkline" : "sparkline none", role: "img", "aria-label": label, title: label }, bars);
}

/** The buttons of a workflow. */
export function actions(workflow, focus) {
  const pausing = workflow.paused
    ? button("Resume", () => setPaused(workflow.name, false), { "data-focus": `${focus}-pause`, "aria-label": `Resume ${workflow.name}` })
    : button("Pause", () => setPaused(workflow.name, true), { "data-focus": `${focus}-pause`, "aria-label": `Pause ${workflow.name}` });
  return [
    button("Run", () => start(workflow), { class: "main", "data-action": "run", "data-focus": `${focus}-run`, "aria-label": `Run ${workflow.name}` }),
    workflow.schedule ? pausing : null,
  ];
}

async function start(workflow) {
  const parameters = await askParameters(workflow.name, workflow.parameters);
  if (!parameters) return;
  await act(async () => {
    const started = await post(forWorkflow(workflow.name, "/run"), { parameters });
    if (started) location.hash = `#/runs/${started.run}`;
  });
}

async function setPaused(name, paused) {
  await act(async () => {
    const done = await post(forWorkflow(name, paused ? "/pause" : "/resume"));
    if (done) note(`${name} is ${done.paused ? "paused" : "resumed"}`);
    window.dispatchEvent(new CustomEvent("stale"));
  });
}

/** Does something, and tells what came in its way. */
export async function act(work) {
  try {
    await work();
  } catch (error) {
    note(error.message, "problem");
  }
}
