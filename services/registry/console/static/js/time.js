/** Times in the reader's zone: `<time datetime data-relative>` and `<time datetime data-absolute>`. */

const STEPS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });
const absolute = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const hour = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** "3 min. ago", "in 2 hr."; below a minute "just now" or "in a moment". */
export function ago(at, now = Date.now()) {
  const seconds = (at - now) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  if (Math.abs(seconds) < 10) return seconds > 0 ? "in a moment" : "just now";
  return relative.format(Math.trunc(seconds), "second");
}

/** The date and the time of day in the reader's zone. */
export const full = (at) => absolute.format(at);

/** The time of day in the reader's zone. */
export const clock = (at) => hour.format(at);

/** Rewrite the times below `root`. */
export function localise(root = document) {
  for (const time of root.querySelectorAll("time[data-relative], time[data-absolute]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const shown = time.hasAttribute("data-relative") ? ago(at) : full(at);
    if (time.textContent !== shown) time.textContent = shown;
    time.title = full(at);
  }
}

/** Keep the page's times true while somebody looks at them. */
export function keep() {
  localise();
  setInterval(() => document.hidden || localise(), 10_000);
  document.addEventListener("visibilitychange", () => document.hidden || localise());
}
