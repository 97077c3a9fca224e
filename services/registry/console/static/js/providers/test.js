/** The test of what is filled in, shown step by step while a discovery worker does it. */

import { call, open, Problem } from "../api.js";
import { clear, show } from "../forms.js";
import { say } from "../text.js";

const POLL = 400; // ms
const MOST_SHOWN = 12; // models

const pause = (ms) => new Promise((settle) => setTimeout(settle, ms));

export class Test {
  /** `body()` is what to test; `use(endpoint)` takes the endpoint that answered better. */
  constructor(form, { body, use }) {
    this.form = form;
    this.body = body;
    this.button = document.getElementById("test");
    this.steps = [...document.querySelectorAll("#steps [data-step]")];
    this.better = document.getElementById("better");
    this.better.querySelector("[data-use]").addEventListener("click", () => {
      this.better.hidden = true;
      use(this.better.querySelector("[data-endpoint]").textContent);
    });
  }

  /** Test once; the verdicts appear as they come. */
  async run() {
    clear(this.form);
    this.reset();
    this.busy(true);
    const body = this.body();
    try {
      const answer = await open("POST", "/v1/providers/test", {
        body,
        headers: { Prefer: "respond-async" },
      });
      const place = answer.headers.get("Location");
      let check = await answer.json();
      for (;;) {
        this.show(check);
        if (check.status === "done") break;
        await pause(POLL);
        check = await call("GET", place ?? `/v1/providers/checks/${check.id}`);
      }
      this.conclude(check, body);
    } catch (fault) {
      this.reset();
      if (fault instanceof Problem && fault.param) show(this.form, fault);
      else if (fault instanceof Problem) this.problem(fault.message);
      else if (fault instanceof TypeError) this.problem(say("unreachable"));
      else throw fault;
    } finally {
      this.busy(false);
    }
  }

  problem(message) {
    document.getElementById("test-problem").textContent = message;
  }

  reset() {
    this.problem("");
    this.better.hidden = true;
    document.getElementById("found").hidden = true;
    for (const step of this.steps) {
      delete step.dataset.verdict;
      for (const place of step.querySelectorAll(".ms, .said, .remedy, [data-verdict-word]")) place.textContent = "";
    }
  }

  busy(is) {
    this.button.disabled = is;
    this.button.toggleAttribute("data-busy", is);
  }

  show(check) {
    const known = new Map(check.steps.map((step) => [step.name, step]));
    let reached = false;
    for (const place of this.steps) {
      const step = known.get(place.dataset.step);
      if (step) this.fill(place, step);
      else if (!reached && check.status !== "done") {
        reached = true;
        this.fill(place, { verdict: "running", ms: null, message: "", remedy: null });
      }
    }
  }

  fill(place, step) {
    if (place.dataset.verdict === step.verdict && step.verdict === "running") return;
    place.dataset.verdict = step.verdict;
    place.querySelector("[data-verdict-word]").textContent = say(`verdict-${step.verdict}`);
    place.querySelector(".ms").textContent = step.ms === null ? "" : say("milliseconds", { ms: step.ms });
    place.querySelector(".said").textContent = step.message;
    place.querySelector(".remedy").textContent = step.remedy ?? "";
  }

  conclude(check, body) {
    const { endpoint, models } = check;
    if (endpoint && endpoint !== body.endpoint) {
      this.better.querySelector("[data-endpoint]").textContent = endpoint;
      this.better.hidden = false;
    }
    const found = document.getElementById("found");
    found.hidden = models.length === 0;
    found.querySelector("[data-count]").textContent =
      models.length === 1 ? say("found-one") : say("found", { count: models.length });
    const entries = models.slice(0, MOST_SHOWN).map((model) => entry("code", model.id));
    if (models.length > MOST_SHOWN) entries.push(entry("span", say("more", { count: models.length - MOST_SHOWN })));
    found.querySelector("[data-list]").replaceChildren(...entries);
  }
}

function entry(tag, text) {
  const inner = Object.assign(document.createElement(tag), { textContent: text, className: "mark" });
  const item = document.createElement("li");
  item.append(inner);
  return item;
}
