// Times, durations, numbers and states as people read them.

const WORDS = {
  SUCCESS: ["✓", "succeeded", "succeeded"],
  SUCCESS_WITH_FAILURES: ["!", "succeeded with failures", "retrying"],
  FAILED: ["✗", "failed", "failed"],
  TIMEDOUT: ["✗", "timed out", "failed"],
  INTERRUPTED: ["✗", "interrupted", "failed"],
  CANCELED: ["⊘", "cancelled", "stopped"],
  UPSTREAM_FAILED: ["⊘", "upstream failed", "stopped"],
  UPSTREAM_CANCELED: ["⊘", "upstream cancelled", "stopped"],
  MAXIMUM_CONCURRENT_RUNS_REACHED: ["–", "skipped, too many runs", "waiting"],
  MISSED: ["–", "missed", "waiting"],
  EXCLUDED: ["–", "excluded", "waiting"],
  DISABLED: ["–", "disabled", "waiting"],
  RUNNING: ["●", "running", "running"],
  WAITING_FOR_RETRY: ["↻", "waiting for retry", "retrying"],
  QUEUED: ["◌", "queued", "waiting"],
  PENDING: ["◌", "pending", "waiting"],
  BLOCKED: ["◌", "blocked", "waiting"],
};

/** States in which runs end, for choosing among them. */
export const RUN_STATES = [
  "RUNNING", "QUEUED", "SUCCESS", "SUCCESS_WITH_FAILURES", "FAILED", "TIMEDOUT", "CANCELED", "INTERRUPTED",
  "MAXIMUM_CONCURRENT_RUNS_REACHED", "MISSED",
];

export const glyph = (status) => (WORDS[status] ?? ["?"])[0];
export const inWords = (status) => (WORDS[status] ?? ["", status.toLowerCase()])[1];
/** The name of the colour of a state. */
export const tone = (status) => (WORDS[status] ?? ["", "", "waiting"])[2];

const CAUSES = {
  manual: "started by hand", schedule: "by schedule", periodic: "by interval", file_arrival: "files arrived",
  table_update: "tables were updated", continuous: "continuous", run_job: "by another workflow",
};

export const causeInWords = (cause) => CAUSES[cause.type] ?? cause.type;

/** Milliseconds as `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  const whole = Math.round(seconds);
  if (whole < 10) return `${seconds.toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A time as seen from another: `in 5 min`, `3 h ago`. */
export function relative(time, now) {
  const seconds = Math.round((time - now) / 1000);
  const distance = Math.abs(seconds);
  const [amount, unit] =
    distance < 60 ? [distance, "s"] : distance < 3600 ? [Math.round(distance / 60), "min"]
    : distance < 86400 ? [Math.round(distance / 3600), "h"] : [Math.round(distance / 86400), "d"];
  if (distance < 1) return "now";
  return seconds > 0 ? `in ${amount} ${unit}` : `${amount} ${unit} ago`;
}

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** A time in the zone of whoever looks, with the day unless it is today. */
export function clock(time, now = new Date()) {
  const isToday = time.toDateString() === now.toDateString();
  return isToday ? CLOCK.format(time) : `${DAY.format(time)} ${CLOCK.format(time)}`;
}

/** A time in UTC, in full. */
export const utc = (time) => `${time.toISOString().replace("T", " ").replace("Z", "")} UTC`;

/** `1 234 567`. */
export const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

export const plural = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;
