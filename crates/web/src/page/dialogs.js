// Questions to whoever looks at the page. Each resolves to the answer, or to null when there is none.

import { badge, button, h } from "./elements.js";

function open(title, content, submit, answer, className = "") {
  return new Promise((resolve) => {
    let result = null;
    const form = h("form", {
      submit: (event) => {
        event.preventDefault();
        result = answer(form);
        dialog.close();
      },
    }, h("h2", { id: "dialog-title" }, title), content,
      h("div", { class: "buttons" }, button("Close", () => dialog.close()), h("button", { type: "submit", class: `main ${className}` }, submit)));
    const dialog = h("dialog", { "aria-labelledby": "dialog-title", close: () => { dialog.remove(); resolve(result); } }, form);
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("input, button.main")?.focus();
  });
}

export function askToken(hint) {
  const content = [
    hint ? h("p", { class: "problem", role: "alert" }, hint) : null,
    h("p", {}, "This needs the token. It stands in ", h("code", {}, ".medallion/token"),
      " in the folder of the project, or is what ", h("code", {}, "MEDALLION_TOKEN"), " says."),
    h("label", {}, "Token", h("input", { type: "password", name: "token", id: "token", required: true, autocomplete: "off", spellcheck: "false" })),
    h("p", { class: "quiet" }, "It is kept until this tab is closed."),
  ];
  return open("Token", content, "Use it", (form) => form.elements.token.value.trim());
}

/** The parameters of a new run: those that differ from their defaults. */
export function askParameters(workflow, parameters) {
  const names = Object.keys(parameters);
  const fields = names.map((name, index) =>
    h("label", {}, name, h("input", { name: `p${index}`, value: parameters[name], autocomplete: "off", spellcheck: "false" })));
  const content = names.length > 0 ? fields : h("p", {}, "It has no parameters.");
  return open(`Run ${workflow}`, content, "Run", (form) => {
    const given = names.map((name, index) => [name, form.elements[`p${index}`].value]);
    return Object.fromEntries(given.filter(([name, value]) => value !== parameters[name]));
  });
}

/** What of a run is done again, as the body of a repair. */
export function askRepair(number, tasks) {
  const chosen = h("fieldset", { class: "choices", disabled: true }, h("legend", {}, "Tasks"),
    tasks.map((task, index) => h("label", { class: "choice" },
      h("input", { type: "checkbox", name: `t${index}`, checked: ["FAILED", "TIMEDOUT", "CANCELED", "INTERRUPTED"].includes(task.status) }), h("span", { class: "mono" }, task.task_key), badge(task.status))),
    h("label", { class: "choice after" }, h("input", { type: "checkbox", name: "dependents", checked: true }), "and everything after them"));
  const choose = (event) => { chosen.disabled = event.target.value !== "chosen"; };
  const content = [
    h("label", { class: "choice" }, h("input", { type: "radio", name: "which", value: "failed", checked: true, change: choose }), "What did not succeed"),
    h("label", { class: "choice" }, h("input", { type: "radio", name: "which", value: "chosen", id: "repair-chosen", change: choose }), "These tasks:"),
    chosen,
  ];
  return open(`Repair run ${number}`, content, "Repair", (form) => {
    if (form.elements.which.value === "failed") return { tasks: [], dependents: false };
    const named = tasks.filter((_, index) => form.elements[`t${index}`].checked).map((task) => task.task_key);
    return named.length > 0 ? { tasks: named, dependents: form.elements.dependents.checked } : null;
  });
}

export function confirm(title, text, label) {
  return open(title, h("p", {}, text), label, () => true, "danger");
}
