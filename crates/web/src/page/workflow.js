// A workflow with its tasks and runs, and the list of all runs.

import { forWorkflow, get } from "./api.js";
import { drawing } from "./drawing.js";
import { Part, at, badge, button, facts, fromNow, h, section, since, table } from "./elements.js";
import { RUN_STATES, causeInWords, count, duration, inWords } from "./words.js";
import { actions, health } from "./workflows.js";

const SOME = 25;

export class WorkflowView {
  nav = "workflows";
  element = h("div");
  #head = new Part(h("div"));
  #drawing = new Part(h("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": "Tasks and their order" }));
  #runs;

  constructor(name) {
    this.title = name;
    this.name = name;
    this.#runs = new RunList(name);
    this.element.append(this.#head.element, section("Tasks", this.#drawing.element), section("Runs", this.#runs.element));
  }

  concerns(name, change) {
    return name === "workflows" || (name === "run" && change.workflow === this.name);
  }

  async load() {
    const [workflow] = await Promise.all([get(forWorkflow(this.name)), this.#runs.load()]);
    this.#head.show({ ...workflow, drawing: "", tasks: workflow.tasks.length }, () => head(workflow));
    this.#drawing.show(workflow.drawing, () => drawing(workflow.drawing, null));
  }
}

function head(workflow) {
  const parameters = Object.entries(workflow.parameters).map(([name, value]) => h("code", {}, `${name}=${value}`));
  const tags = Object.entries(workflow.tags).map(([name, value]) => h("code", {}, value ? `${name}: ${value}` : name));
  const next = workflow.paused ? h("span", { class: "badge tone-retrying" }, "paused") : workflow.next ? [at(workflow.next), " (", fromNow(workflow.next), ")"] : workflow.waits_for ? `when ${workflow.waits_for}` : null;
  return [
    h("div", { class: "heading" }, h("h1", {}, workflow.name), h("div", { class: "buttons" }, actions(workflow, "head"))),
    workflow.description ? h("p", { class: "lead" }, workflow.description) : null,
    facts([
      ["Schedule", workflow.schedule ?? "by hand only"],
      ["Next run", next && h("span", {}, next)],
      ["Running", String(workflow.running)],
      ["Queued", String(workflow.queued)],
      ["Runs at a time", String(workflow.max_concurrent_runs)],
      ["Parameters", parameters.length > 0 ? h("span", { class: "codes" }, parameters) : null],
      ["Tags", tags.length > 0 ? h("span", { class: "codes" }, tags) : null],
      ["Last runs", workflow.last_runs.length > 0 ? health(workflow) : null],
    ]),
  ];
}

export class RunsView {
  title = "Runs";
  nav = "runs";
  element = h("div");
  #runs = new RunList(null);

  constructor() {
    this.element.append(h("h1", {}, "Runs"), this.#runs.element);
  }

  concerns(name) {
    return name === "run";
  }

  load() {
    return this.#runs.load();
  }
}

/** Runs, the newest first, of one workflow or of all. */
class RunList {
  #workflow;
  #shown = SOME;
  #list = new Part(h("div"));
  #state;

  constructor(workflow) {
    this.#workflow = workflow;
    const options = RUN_STATES.map((state) => h("option", { value: state }, inWords(state)));
    this.#state = h("select", { id: "run-state", change: () => window.dispatchEvent(new CustomEvent("stale")) }, h("option", { value: "" }, "all"), options);
    this.element = h("div", {}, h("label", { class: "filter" }, "Show ", this.#state), this.#list.element);
  }

  async load() {
    const query = new URLSearchParams({ limit: String(Math.min(500, this.#shown + 1)) });
    if (this.#workflow) query.set("workflow", this.#workflow);
    if (this.#state.value) query.set("state", this.#state.value);
    const runs = await get(`/api/runs?${query}`);
    const hasMore = runs.length > this.#shown;
    this.#list.show([runs, this.#shown], () => {
      if (runs.length === 0) return h("p", { class: "empty" }, this.#state.value ? "None stands so." : "Nothing has run yet.");
      return [this.#table(runs.slice(0, this.#shown)), hasMore ? button("Show more", () => this.#more(), { id: "more-runs" }) : null];
    });
  }

  #more() {
    this.#shown = Math.min(499, this.#shown * 2);
    window.dispatchEvent(new CustomEvent("stale"));
  }

  #table(runs) {
    const columns = [
      { name: "Run", class: "key" }, ...(this.#workflow ? [] : [{ name: "Workflow", class: "of" }]), { name: "State" }, { name: "Started", class: "dim" },
      { name: "Took", class: "number" }, { name: "Rows written", class: "number" }, { name: "Why", class: "dim" }, { name: "Error", class: "wide error" },
    ];
    return table("Runs", columns, runs.map((run) => ({
      attributes: { "data-run": run.number },
      cells: [
        h("a", { href: `#/runs/${run.number}`, "data-focus": `run-${run.number}` }, `#${run.number}`),
        ...(this.#workflow ? [] : [h("a", { href: `#/workflows/${encodeURIComponent(run.workflow)}` }, run.workflow)]),
        badge(run.status), at(run.started_at ?? run.queued_at), runTime(run),
        run.rows.written > 0 ? count(run.rows.written) : "", why(run),
        run.error ? h("span", { title: run.error.message }, run.error.message) : "",
      ],
    })));
  }
}

function why(run) {
  const repairs = run.repairs > 0 ? `, repaired${run.repairs > 1 ? ` ${run.repairs} times` : ""}` : "";
  return `${causeInWords(run.cause)}${repairs}`;
}

function runTime(run) {
  if (!run.started_at) return "";
  if (!run.ended_at) return run.state ? "" : since(run.started_at);
  return duration(Date.parse(run.ended_at) - Date.parse(run.started_at));
}
