// The attempts of a run as bars on a clock. A repair may come days later, so each has a clock of its own, side by side.

import { h } from "./elements.js";
import { clock, duration, inWords, tone } from "./words.js";

// A part this short of the whole would not be seen.
const LEAST_SHARE = 0.16;
const LEAST_WIDTH = 0.6;

/**
 * The rounds of a run: how it began and its repairs, with the place of each on the clock. Times are in milliseconds. The last
 * one of a run that goes on lasts until now, also while its tasks wait.
 */
export function rounds(attempts, now, isGoing) {
  const found = new Map();
  for (const attempt of attempts) {
    const begin = Date.parse(attempt.started_at);
    const end = attempt.ended_at ? Date.parse(attempt.ended_at) : attempt.state ? begin : now;
    const round = found.get(attempt.repair) ?? { repair: attempt.repair, begin, end };
    found.set(attempt.repair, { ...round, begin: Math.min(round.begin, begin), end: Math.max(round.end, end, begin + 1) });
  }
  const list = [...found.values()].sort((one, other) => one.repair - other.repair);
  const last = list.at(-1);
  if (isGoing && last) last.end = Math.max(last.end, now);
  const total = list.reduce((sum, round) => sum + (round.end - round.begin), 0) || 1;
  const shares = list.map((round) => Math.max(LEAST_SHARE, (round.end - round.begin) / total));
  const all = shares.reduce((sum, share) => sum + share, 0) || 1;
  let left = 0;
  return list.map((round, index) => {
    const width = (shares[index] / all) * 100;
    left += width;
    return { ...round, left: left - width, width };
  });
}

const place = (round, time) => round.left + ((time - round.begin) / (round.end - round.begin)) * round.width;

/** The chart; `grow(now)` moves what goes on, by the server's clock. */
export class Gantt {
  constructor(choose) {
    this.choose = choose;
    this.bars = [];
    this.element = h("div", { class: "gantt" });
  }

  show(tasks, attempts, now, isGoing) {
    this.attempts = attempts;
    this.isGoing = isGoing;
    const inOrder = tasks.filter((task) => attempts.some((attempt) => attempt.task_key === task.task_key));
    const list = rounds(attempts, now, isGoing);
    this.bars = [];
    this.marks = list.map((round) => ({ repair: round.repair, element: this.#mark(round) }));
    const rows = inOrder.map((task) => h("li", {},
      h("button", { type: "button", class: "plain label", "data-focus": `gantt-${task.task_key}`, title: task.task_key, click: () => this.choose(task.task_key) },
        h("span", { class: task.input === undefined ? "mono" : "mono item" }, task.task_key)),
      h("div", { class: "track" }, this.#track(attempts.filter((attempt) => attempt.task_key === task.task_key)))));
    this.element.replaceChildren(
      h("div", { class: "axis" }, h("span"), h("div", { class: "track", "aria-hidden": "true" }, this.marks.map((mark) => mark.element))),
      h("ol", {}, rows));
    this.grow(now);
  }

  #mark(round) {
    const name = round.repair === 0 ? "" : `repair ${round.repair} · `;
    return h("span", { class: "mark" }, h("span", {}, `${name}${clock(new Date(round.begin))}`), h("span", { class: "span" }));
  }

  /** The bars of a task, and what it waited between two attempts. */
  #track(attempts) {
    return attempts.flatMap((attempt, index) => {
      const status = attempt.state ?? "RUNNING";
      const number = attempt.attempt_number > 0 ? `, attempt ${attempt.attempt_number + 1}` : "";
      const repair = attempt.repair > 0 ? `, repair ${attempt.repair}` : "";
      const why = attempt.error ? `: ${attempt.error.message}` : "";
      const label = `${attempt.task_key}${repair}${number} ${inWords(status)}`;
      const bar = h("span", { class: `bar tone-${tone(status)}${attempt.state ? "" : " going"}`, role: "img", "aria-label": label },
        attempt.attempt_number > 0 ? h("span", { class: "number", "aria-hidden": "true" }, `${attempt.attempt_number + 1}`) : null);
      this.bars.push({ element: bar, attempt, label: `${label}${why}` });
      const next = attempts[index + 1];
      if (next?.repair !== attempt.repair || !attempt.ended_at) return [bar];
      const wait = h("span", { class: "wait", title: `waited ${duration(Date.parse(next.started_at) - Date.parse(attempt.ended_at))} for the next attempt` });
      this.bars.push({ element: wait, attempt: { ...attempt, started_at: attempt.ended_at, ended_at: next.started_at } });
      return [bar, wait];
    });
  }

  grow(now) {
    if (!this.attempts) return;
    const list = rounds(this.attempts, now, this.isGoing);
    const byRepair = new Map(list.map((round) => [round.repair, round]));
    for (const { element, attempt, label } of this.bars) {
      const round = byRepair.get(attempt.repair);
      const begin = Date.parse(attempt.started_at);
      const end = attempt.ended_at ? Date.parse(attempt.ended_at) : attempt.state ? begin : now;
      const left = place(round, begin);
      element.style.left = `${left}%`;
      element.style.width = `${Math.max(label ? LEAST_WIDTH : 0, place(round, end) - left)}%`;
      if (label) element.title = `${label}\n${clock(new Date(begin))}, ${duration(end - begin)}`;
    }
    for (const { repair, element } of this.marks) {
      const round = byRepair.get(repair);
      element.style.left = `${round.left}%`;
      element.style.width = `${round.width}%`;
      element.querySelector(".span").textContent = duration(round.end - round.begin);
    }
  }
}
