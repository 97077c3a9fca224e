/**
 * Regions that keep themselves up to date:
 * `<section id="…" data-live="URL" data-every="SECONDS">` (an empty URL is the page's own).
 *
 * The URL gives a whole page; the region takes the content of the element with its id there.
 * Nothing is asked for while the page is hidden, nor replaced while somebody uses the region.
 */

import { signInAgain } from "./sign_in_again.js";
import { say } from "./text.js";
import { clock, localise } from "./time.js";

const SLOWEST = 8; // times the usual pause, after failures in a row

const sources = new Map(); // URL → Source

class Source {
  constructor(url, every) {
    this.url = url;
    this.every = every;
    this.regions = new Set();
    this.seen = new Map(); // region → the HTML it was last given
    this.etag = null;
    this.failures = 0;
    this.signedOut = false;
    this.freshAt = Date.now();
    this.timer = null;
    this.asking = null;
  }

  plan(seconds = this.every * Math.min(2 ** this.failures, SLOWEST)) {
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.look(), seconds * 1000);
  }

  look() {
    this.asking ??= this.ask().finally(() => {
      this.asking = null;
      this.plan();
    });
    return this.asking;
  }

  async ask() {
    for (const region of this.regions) if (!region.isConnected) this.regions.delete(region);
    if (this.regions.size === 0 || document.hidden) return;
    const headers = { "X-Fragment": [...this.regions].map((region) => region.id).join(",") };
    if (this.etag) headers["If-None-Match"] = this.etag;
    try {
      const response = await fetch(this.url || location.href, {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "manual",
      });
      this.signedOut = response.status === 401;
      if (response.status !== 304) {
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const all = [...this.regions].map((region) => this.update(region, page));
        this.every = Math.min(...[...this.regions].map((region) => Number(region.dataset.every)));
        this.etag = all.every(Boolean) ? response.headers.get("ETag") : null;
      }
      this.failures = 0;
      this.freshAt = Date.now();
    } catch (fault) {
      if (document.hidden) return; // browsers end requests of pages that nobody sees
      this.failures += 1;
      console.info(`${this.url || location.pathname} was not updated.`, fault.message);
    }
    note();
  }

  /** Whether the region shows what `page` says now. */
  update(region, page) {
    const next = page.getElementById(region.id);
    if (!next) throw new Error(`No #${region.id} in the answer`);
    region.dataset.every = next.dataset.every ?? region.dataset.every; // faster while work is under way
    const html = next.innerHTML;
    if (this.seen.get(region) === html) return true;
    if (inUse(region)) return false;
    replace(region, next);
    this.seen.set(region, html);
    return true;
  }
}

/** Whether replacing the region would take something away from whoever is using it. */
function inUse(region) {
  const focused = document.activeElement;
  if (region.contains(focused) && focused.matches("input, textarea, select")) return true;
  if (region.querySelector("dialog[open], [data-busy]")) return true;
  const selection = getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.containsNode(region, true));
}

function replace(region, next) {
  const focused = region.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  const unfolded = [...region.querySelectorAll("details[id]")].map((one) => [one.id, one.open]);
  region.replaceChildren(...document.importNode(next, true).childNodes);
  for (const [id, open] of unfolded) {
    const details = document.getElementById(id);
    if (details) details.open = open;
  }
  localise(region);
  if (focused) region.querySelector(focused)?.focus({ preventScroll: true });
  region.dispatchEvent(new CustomEvent("live:updated", { bubbles: true }));
}

function keyOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  if (element.href) return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
  if (element.dataset.copy) return `[data-copy="${CSS.escape(element.dataset.copy)}"]`;
  return null;
}

function note() {
  const line = document.getElementById("live-note");
  const all = [...sources.values()];
  const stale = all.filter((source) => source.failures > 0);
  const signedOut = all.some((source) => source.signedOut);
  const since = Math.min(...stale.map((source) => source.freshAt));
  const told = stale.length ? say(signedOut ? "signed-out" : "not-updated-since", { time: clock(since) }) : "";
  const text = line.querySelector("[data-told]");
  if (text.textContent !== told) text.textContent = told;
  line.querySelector("[data-sign-in]").hidden = !signedOut;
}

/** Bring `region` up to date now, after whatever is being asked already; resolves when it is. */
export async function refresh(region) {
  const source = sources.get(region.dataset.live);
  await source?.asking;
  await source?.look();
}

/** Sign in again from the note, then catch up. */
async function signIn() {
  if (await signInAgain()) for (const source of sources.values()) source.look();
}

/** Keep every region below `root` up to date. */
export function start(root = document) {
  for (const region of root.querySelectorAll("[data-live]")) {
    const { live, every } = region.dataset;
    if (!sources.has(live)) sources.set(live, new Source(live, Number(every)));
    const source = sources.get(live);
    source.every = Math.min(source.every, Number(every));
    source.regions.add(region);
    source.seen.set(region, region.innerHTML);
    source.plan();
  }
}

document.querySelector("#live-note [data-sign-in]")?.addEventListener("click", signIn);
document.addEventListener("visibilitychange", () => {
  for (const source of sources.values()) {
    if (document.hidden) clearTimeout(source.timer);
    else source.look();
  }
});
