// Server-sent events. Read with `fetch`, because an EventSource cannot send the token.

import { ask } from "./api.js";

const LONGEST_DELAY = 15000;
// The server says something every 10 seconds; silence longer than this is a connection that is gone.
const LONGEST_SILENCE = 40000;

/**
 * Calls `told(name, data)` for each event, for ever, and `state(word)` when the connection comes or goes. After each new
 * connection `resync` is told, because events may have been missed. A page that nobody sees has no connection: there are only
 * so many for all pages together.
 */
export async function listen(told, state) {
  let delay = 500;
  for (let isFirst = true; ; isFirst = false) {
    await isSeen();
    try {
      await read((name, data) => {
        if (name === "hello") {
          delay = 500;
          state("live");
          if (!isFirst) told("resync", {});
        } else told(name, data);
      });
    } catch {
      // Whatever it was, the next connection may do better.
    }
    state("reconnecting");
    if (document.hidden) continue;
    await new Promise((done) => setTimeout(done, delay * (0.75 + Math.random() / 2)));
    delay = Math.min(LONGEST_DELAY, delay * 2);
  }
}

/** Resolves as soon as the page is seen. */
function isSeen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

async function read(told) {
  const cut = new AbortController();
  const hide = () => { if (document.hidden) cut.abort(); };
  document.addEventListener("visibilitychange", hide);
  let silence = setTimeout(() => cut.abort(), LONGEST_SILENCE);
  try {
    const response = await ask("/api/events", { signal: cut.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => cut.abort(), LONGEST_SILENCE);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) tell(block, told);
    }
  } finally {
    document.removeEventListener("visibilitychange", hide);
    clearTimeout(silence);
  }
}

function tell(block, told) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trim());
  }
  if (data.length > 0) told(name, JSON.parse(data.join("\n")));
}
