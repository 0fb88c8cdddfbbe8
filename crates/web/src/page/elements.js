// Elements of the page, made by functions. Text is always text: nothing from the server is parsed as HTML.

import { clock, duration, glyph, inWords, relative, tone, utc } from "./words.js";

/** An element with attributes and children. A function is a listener of that event, `null` and `false` leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The state of something: a sign, a word and a colour. */
export function badge(status) {
  return h("span", { class: `badge tone-${tone(status)}`, "data-status": status },
    h("span", { "aria-hidden": "true" }, glyph(status)), ` ${inWords(status)}`);
}

/** A time in the viewer's zone, that in UTC in its title. */
export function at(text) {
  if (!text) return h("span", { class: "quiet" }, "–");
  const time = new Date(text);
  return h("time", { datetime: text, title: utc(time) }, clock(time));
}

/** A time as seen from now; `tick` keeps it true. */
export function fromNow(text) {
  if (!text) return h("span", { class: "quiet" }, "–");
  const time = new Date(text);
  return h("time", { datetime: text, title: `${clock(time)} · ${utc(time)}`, "data-relative": text }, relative(time, new Date()));
}

/** How long something has gone on; `tick` lets it grow. */
export const since = (text) => h("span", { class: "quiet", "data-since": text }, duration(Date.now() - Date.parse(text)));

/** Brings all times that are seen from now up to date. */
export function tick() {
  for (const element of document.querySelectorAll("[data-since]")) element.textContent = duration(Date.now() - Date.parse(element.dataset.since));
  for (const element of document.querySelectorAll("[data-relative]")) {
    const text = relative(new Date(element.dataset.relative), new Date());
    if (element.textContent !== text) element.textContent = text;
  }
}

export function button(label, action, attributes = {}) {
  return h("button", { type: "button", ...attributes, click: action }, label);
}

/** Names and values side by side; pairs without a value are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** A table that becomes a list of cards where there is no room for columns. */
export function table(label, columns, rows) {
  return h("table", { role: "table", "aria-label": label, class: "cards" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      columns.map((column) => h("th", { role: "columnheader", scope: "col", class: column.class }, column.name)))),
    h("tbody", { role: "rowgroup" }, rows.map(({ attributes = {}, cells }) => h("tr", { role: "row", ...attributes },
      cells.map((cell, index) => h("td", { role: "cell", class: columns[index].class, "data-column": columns[index].name }, cell))))));
}

/** A part of the page with a heading. */
export function section(title, ...children) {
  const id = `section-${title.toLowerCase().replace(/\W+/g, "-")}`;
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), children);
}

/** A part of the page that is made anew only when what it shows has changed, and then keeps the focus. */
export class Part {
  constructor(element) {
    this.element = element;
    this.shown = undefined;
  }

  show(what, make) {
    const key = JSON.stringify(what);
    if (key === this.shown) return;
    this.shown = key;
    const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
    const name = focused?.id ? `#${CSS.escape(focused.id)}` : focused?.dataset.focus ? `[data-focus="${CSS.escape(focused.dataset.focus)}"]` : null;
    this.element.replaceChildren(...[make()].flat().filter(Boolean));
    if (name) this.element.querySelector(name)?.focus({ preventScroll: true });
  }
}

/** Tells something for some seconds. */
export function note(text, kind = "told") {
  const element = h("p", { class: `note ${kind}` }, text, button("×", () => element.remove(), { "aria-label": "Dismiss", class: "plain" }));
  document.querySelector("#notes").append(element);
  setTimeout(() => element.remove(), kind === "problem" ? 20000 : 6000);
}
