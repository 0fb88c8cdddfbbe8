// Drawings of tasks, as the server makes them: SVG whose boxes are links and take colour from the state of their task.

import { inWords } from "./words.js";

/** The drawing in that text. `choose(task)` is called when a box is chosen. */
export function drawing(text, choose) {
  // The page has the same style as a file, and its policy allows none inside the markup.
  const bare = text.replace(/<style>[^<]*<\/style>/, "");
  const svg = document.importNode(new DOMParser().parseFromString(bare, "image/svg+xml").documentElement, true);
  // The style lets it shrink to fit, as far as it can still be read; then its place scrolls.
  svg.style.setProperty("--width", `${svg.getAttribute("width")}px`);
  for (const box of svg.querySelectorAll("g[data-task]")) {
    if (!choose) continue;
    box.setAttribute("tabindex", "0");
    box.setAttribute("role", "link");
    box.setAttribute("aria-label", box.querySelector("title")?.textContent.replaceAll("\n", ", ") ?? box.dataset.task);
    box.addEventListener("click", () => choose(box.dataset.task));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(box.dataset.task);
    });
  }
  return svg;
}

/** Gives the box of a task the look of a state at once, before the drawing is made anew. */
export function recolour(element, task, status) {
  const box = element.querySelector(`g[data-task="${CSS.escape(task)}"]`);
  if (!box) return;
  for (const name of [...box.classList].filter((name) => name.startsWith("state-"))) box.classList.remove(name);
  box.classList.add(`state-${status}`);
  const word = box.querySelector(".state");
  if (word) word.textContent = status;
  box.setAttribute("aria-label", `${task}, ${inWords(status)}`);
}
