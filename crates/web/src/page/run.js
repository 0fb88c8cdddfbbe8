// A run: where it stands, its tasks as a drawing, on a clock and in a table, and what each of them said.

import { forRun, forWorkflow, get, getText, post } from "./api.js";
import { askRepair, confirm } from "./dialogs.js";
import { drawing, recolour } from "./drawing.js";
import { Part, at, badge, button, facts, h, note, section, table } from "./elements.js";
import { Gantt } from "./gantt.js";
import { causeInWords, count, duration } from "./words.js";
import { act } from "./workflows.js";

const IS_GOING = ["RUNNING", "QUEUED"];
// How much of a long log is shown first.
const TAIL = 65536;
const LONGEST_LOG = 4 << 20;

export class RunView {
  nav = "runs";
  element = h("div");
  #head = new Part(h("div"));
  #canvas = h("div", { class: "canvas", tabindex: "0", role: "group", "aria-label": "Tasks and their order" });
  #drawing = new Part(this.#canvas);
  #gantt;
  #tasks = new Part(h("div"));
  #log = null;
  #logPlace = h("div");
  #details = null;
  #ahead = 0;

  constructor(number, task) {
    this.number = number;
    this.title = `Run ${number}`;
    const choose = (key) => { location.hash = `#/runs/${number}/tasks/${encodeURIComponent(key)}`; };
    this.choose = choose;
    this.#gantt = new Gantt(choose);
    this.element.append(this.#head.element, section("Tasks", this.#drawing.element), section("Time", this.#gantt.element),
      section("Results", this.#tasks.element), this.#logPlace);
    this.chosen = task;
  }

  /** The same run with another task chosen. */
  select(task) {
    this.chosen = task;
    this.#log?.close();
    this.#log = null;
    this.#showLog(true);
    this.#mark();
  }

  concerns(name, change) {
    if (name === "task" && change.run === this.number) recolour(this.#canvas, change.task_key, change.status);
    return (name === "run" || name === "task") && change.run === this.number;
  }

  async load() {
    // Both at once, so that all parts of the page show the same moment.
    const [details, text] = await Promise.all([get(forRun(this.number)), getText(forRun(this.number, "/graph.svg"))]);
    this.#details = details;
    this.#ahead = Date.parse(details.now) - Date.now();
    const { run, tasks, attempts } = details;
    this.title = `Run ${run.number} of ${run.workflow}`;
    // A run that goes on has counted nothing yet.
    const sum = (name) => tasks.filter((task) => task.input === undefined).reduce((rows, task) => rows + task.rows[name], 0);
    const rows = run.state === null ? { written: sum("written"), quarantined: sum("quarantined") } : run.rows;
    this.#head.show([run, rows, tasks.length], () => this.#makeHead(run, tasks, rows));
    const looks = tasks.map((task) => [task.task_key, task.status, task.ended_at]);
    if (tasks.length > 0) {
      const { scrollLeft, scrollTop } = this.#canvas;
      this.#drawing.show([looks, text], () => drawing(text, this.choose));
      this.#canvas.scrollTo(scrollLeft, scrollTop);
    } else {
      this.#drawing.show("none", () => h("p", { class: "empty" }, run.status === "QUEUED" ? "It waits for its turn." : "It did not start."));
    }
    const now = Date.now() + this.#ahead;
    this.#gantt.show(tasks, attempts, now, this.isGoing());
    this.#tasks.show([tasks, attempts], () => this.#makeTable(tasks, attempts));
    this.#showLog(false);
    this.#mark();
  }

  /** Called several times a second. */
  tick() {
    if (!this.#details || !IS_GOING.includes(this.#details.run.status)) return;
    const now = Date.now() + this.#ahead;
    this.#gantt.grow(now);
    const time = this.#head.element.querySelector("[data-took]");
    if (time) time.textContent = duration(now - Date.parse(this.#details.run.started_at));
  }

  /** Whether it may change without being told, as runs of other processes do. */
  isGoing() {
    return this.#details === null || IS_GOING.includes(this.#details.run.status);
  }

  close() {
    this.#log?.close();
  }

  #makeHead(run, tasks, rows) {
    const parameters = Object.entries(run.parameters).map(([name, value]) => h("code", {}, `${name}=${value}`));
    const took = run.started_at ? h("span", { "data-took": !run.ended_at && !run.state }, run.ended_at ? duration(Date.parse(run.ended_at) - Date.parse(run.started_at)) : "") : null;
    const isGoing = IS_GOING.includes(run.status);
    // What succeeded, and what is part of another run, is not repaired.
    const isRepairable = run.state !== "SUCCESS" && run.parent === null;
    const repair = isRepairable ? button("Repair", () => this.#repair(tasks), { class: "main", id: "repair" }) : null;
    return [
      h("p", { class: "crumbs" }, h("a", { href: `#/workflows/${encodeURIComponent(run.workflow)}` }, run.workflow)),
      h("div", { class: "heading" }, h("h1", {}, `Run ${run.number} `, badge(run.status)),
        h("div", { class: "buttons" },
          isGoing ? button("Cancel", () => this.#cancel(), { class: "danger", id: "cancel" }) : repair,
          button("Run again", () => this.#again(run), { id: "again" }))),
      run.error ? h("p", { class: "problem", role: "alert" }, h("strong", {}, run.error.kind), " ", run.error.message) : null,
      facts([
        ["Started", at(run.started_at ?? run.queued_at)], ["Ended", run.ended_at ? at(run.ended_at) : null], ["Took", took],
        ["Why", causeInWords(run.cause)], ["Due", run.cause.due_at ? at(run.cause.due_at) : null],
        ["Repairs", run.repairs > 0 ? String(run.repairs) : null],
        ["Part of", run.parent ? h("a", { href: `#/runs/${run.parent}` }, `run ${run.parent}`) : null],
        ["Rows written", count(rows.written)], ["In quarantine", rows.quarantined > 0 ? count(rows.quarantined) : null],
        ["Parameters", parameters.length > 0 ? h("span", { class: "codes" }, parameters) : null],
      ]),
    ];
  }

  #makeTable(tasks, attempts) {
    const columns = [
      { name: "Task", class: "key" }, { name: "State" }, { name: "Attempts", class: "number" }, { name: "Took", class: "number" },
      { name: "Rows", class: "number" }, { name: "Error or values", class: "wide error" },
    ];
    return table("Tasks", columns, tasks.map((task) => {
      const own = attempts.filter((attempt) => attempt.task_key === task.task_key);
      const took = task.started_at && task.ended_at ? duration(Date.parse(task.ended_at) - Date.parse(task.started_at)) : "";
      const quarantined = task.rows.quarantined > 0 ? h("span", { class: "quiet" }, ` +${count(task.rows.quarantined)} in quarantine`) : null;
      const rows = task.rows.written > 0 || task.rows.read > 0 || quarantined ? h("span", {}, count(task.rows.written), quarantined) : "";
      return {
        attributes: { "data-task": task.task_key, "data-status": task.status },
        cells: [
          h("a", { class: task.input === undefined ? "mono" : "mono item", href: `#/runs/${this.number}/tasks/${encodeURIComponent(task.task_key)}`, "data-focus": `task-${task.task_key}` }, task.task_key),
          badge(task.status), own.length > 0 ? String(own.length) : "", took,
          rows, outcome(task),
        ],
      };
    }));
  }

  /** Marks the task that is chosen wherever it is shown. */
  #mark() {
    for (const element of this.element.querySelectorAll("[data-task]")) element.classList.toggle("chosen", element.dataset.task === this.chosen);
  }

  #showLog(isNew) {
    if (!this.chosen) {
      this.#logPlace.replaceChildren();
      return;
    }
    const isThere = this.#details?.tasks.some((task) => task.task_key === this.chosen);
    if (this.#details && !isThere) {
      this.#logPlace.replaceChildren(h("p", { class: "empty" }, `This run has no task ${this.chosen}.`));
      return;
    }
    if (!this.#log && isThere) {
      this.#log = new Log(this.number, this.chosen, () => this.isGoing());
      this.#logPlace.replaceChildren(this.#log.element);
      if (isNew) this.#log.element.scrollIntoView({ block: "nearest" });
    } else this.#log?.read();
  }

  async #cancel() {
    if (!(await confirm(`Cancel run ${this.number}`, "Running tasks are stopped; what is not committed is dropped and done again by a repair.", "Cancel the run"))) return;
    await act(async () => {
      if (await post(forRun(this.number, "/cancel"))) note(`run ${this.number} is asked to end`);
    });
  }

  async #repair(tasks) {
    const wanted = await askRepair(this.number, tasks.filter((task) => task.input === undefined));
    if (!wanted) return;
    await act(async () => {
      if (await post(forRun(this.number, "/repair"), wanted)) note(`run ${this.number} is repaired`);
      await this.load();
    });
  }

  async #again(run) {
    await act(async () => {
      const { parameters } = await get(forWorkflow(run.workflow));
      const known = Object.entries(run.parameters).filter(([name, value]) => name in parameters && parameters[name] !== value);
      const started = await post(forWorkflow(run.workflow, "/run"), { parameters: Object.fromEntries(known) });
      if (started) location.hash = `#/runs/${started.run}`;
    });
  }
}

function outcome(task) {
  if (task.error) return h("span", { class: "failure" }, h("strong", {}, task.error.kind), ` ${task.error.message}`);
  const values = Object.entries(task.output.values).map(([name, value]) =>
    h("code", {}, `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`));
  const input = task.input === undefined ? null : h("code", {}, `input=${JSON.stringify(task.input)}`);
  return h("span", { class: "codes" }, input, values);
}

/** What a task said; goes on to read while the run does. */
class Log {
  #text = h("pre", { tabindex: "0", role: "log", "aria-label": "Log of the task" });
  #problem = h("p", { class: "problem", role: "alert", hidden: true });
  #earlier = button("Show from the beginning", () => this.#fromBeginning(), { hidden: true });
  #run;
  #task;
  #next = -TAIL;
  #isGoing;
  #timer;
  #isReading = false;
  #isClosed = false;

  constructor(run, task, isGoing) {
    this.#run = run;
    this.#task = task;
    this.#isGoing = isGoing;
    const close = h("a", { href: `#/runs/${run}`, class: "button" }, "Close");
    this.element = h("section", { class: "log", "aria-label": `Log of ${task}` },
      h("div", { class: "heading" }, h("h2", {}, "Log of ", h("span", { class: "mono" }, task)), h("div", { class: "buttons" }, this.#earlier, close)), this.#problem, this.#text);
    this.#text.textContent = "…";
    this.read();
    this.#timer = setInterval(() => { if (this.#isGoing()) this.read(); }, 1000);
  }

  close() {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async read() {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      await this.#readOn();
      this.#problem.hidden = true;
    } catch (error) {
      // What was read stays, and is gone on with at the next look.
      if (this.#problem.textContent !== error.message) this.#problem.textContent = error.message;
      this.#problem.hidden = false;
    } finally {
      this.#isReading = false;
    }
  }

  async #readOn() {
    for (;;) {
      const isFirst = this.#next < 0 || this.#text.textContent === "…";
      const part = await get(forRun(this.#run, `/log?task=${encodeURIComponent(this.#task)}&from=${this.#next}`));
      if (this.#isClosed) return;
      if (isFirst) {
        this.#text.replaceChildren();
        this.#earlier.hidden = part.from === 0;
      }
      this.#next = part.next;
      this.#append(part.text);
      if (part.text === "") break;
    }
    if (this.#text.textContent === "") this.#text.replaceChildren(h("span", { class: "quiet" }, this.#isGoing() ? "Nothing said yet." : "It said nothing."));
  }

  /** Adds text, and stays at the end if that is where it was. */
  #append(text) {
    if (text === "") return;
    this.#text.querySelector(".quiet")?.remove();
    const isAtEnd = this.#text.scrollTop + this.#text.clientHeight >= this.#text.scrollHeight - 24;
    this.#text.append(text);
    while (this.#text.textContent.length > LONGEST_LOG && this.#text.firstChild !== this.#text.lastChild) {
      this.#text.firstChild.remove();
      this.#earlier.hidden = false;
    }
    if (isAtEnd) this.#text.scrollTop = this.#text.scrollHeight;
  }

  #fromBeginning() {
    this.#next = 0;
    this.#text.textContent = "…";
    this.read();
  }
}
