/** The turns of a conversation on the page. */

import { reasoningOf, textOf } from "../answer/fold.js";
import { AnswerView, tokensOf } from "../answer/view.js";
import { Pace } from "../answer/pace.js";
import { copy } from "../copy.js";
import { announce, say } from "../text.js";
import { said } from "./conversation.js";
import { remedies } from "./remedies.js";

const seconds = (ms) => (ms / 1000).toFixed(ms < 10_000 ? 2 : 1);
const passed = (since) => Math.max(0, Math.round((Date.now() - since) / 1000)); // whole seconds

function fromTemplate(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** What a message shows: its text, and a word for each part that is none. */
function textOfMessage(message) {
  if (!Array.isArray(message.content)) return textOf(message.content) || reasoningOf(message);
  return message.content
    .map((part) => (typeof part?.text === "string" ? part.text : say("part", { type: String(part?.type ?? "?") })))
    .join("\n");
}

/** The element of a message that was sent. */
export function messageTurn(turn) {
  const element = fromTemplate("message-turn");
  const role = String(turn.message.role ?? "");
  element.querySelector("[data-who]").textContent = role === "user" ? say("you") : say("role", { role });
  element.classList.toggle("mine", role === "user");
  element.querySelector("[data-text-of]").textContent = textOfMessage(turn.message);
  return element;
}

/** An answer on the page, drawn from its turn as often as it is told `changed`. */
export class AnswerTurn {
  #pace = new Pace(() => this.#draw());
  #timer = null;

  constructor(turn, { onAgain, onCancel, onDrawn }) {
    this.turn = turn;
    this.element = fromTemplate("answer-turn");
    this.view = new AnswerView(this.element.querySelector("[data-answer]"));
    this.seen = null; // its job, as the API showed it last
    this.onDrawn = onDrawn;
    this.#part("who").textContent = turn.model;
    this.#part("again").addEventListener("click", () => onAgain(turn));
    this.#part("cancel").addEventListener("click", onCancel);
    this.#part("copy-answer").addEventListener("click", async () => {
      await copy(said(turn));
      announce(say("copied"));
    });
    this.changed(true);
  }

  #part(name) {
    return this.element.querySelector(`[data-${name}]`);
  }

  get live() {
    return ["sending", "streaming", "background"].includes(this.turn.state);
  }

  /** Draw soon, or `now`. */
  changed(now = false) {
    if (now) this.#pace.now();
    else this.#pace.wanted();
    if (this.live && this.#timer === null) this.#timer = setInterval(() => this.#showWaiting(), 1000);
    if (this.live) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #draw() {
    const { turn } = this;
    if (turn.choice) this.view.show(turn.choice, !this.live);
    this.element.toggleAttribute("data-live", this.live);
    this.#showWaiting();
    if (turn.error) this.#showError(turn.error);
    else this.view.clear();
    const job = this.#part("job");
    job.hidden = !turn.job;
    if (turn.job) job.href = `/jobs/${encodeURIComponent(turn.job)}`;
    this.#part("cancel").hidden = turn.state !== "background";
    this.#part("copy-answer").hidden = this.live || !said(turn);
    this.#part("again").hidden = this.live;
    this.#part("figures").textContent = this.live ? "" : this.#figures().join(" · ");
    this.onDrawn();
  }

  #showWaiting() {
    const begun = this.turn.choice !== null;
    this.#part("waiting").hidden = !this.live || begun;
    if (!this.live || begun) return;
    this.#part("waiting-text").textContent = this.#waitingText();
  }

  /**
   * How the answer stands; of a job only what the API said of it. It names a streamed job at its
   * first chunk, or after 10 s without one: until then nothing is known but that we wait.
   */
  #waitingText() {
    const { turn, seen } = this;
    const sent = turn.times.sent ?? Date.now();
    const seconds = passed(sent);
    if (seconds < 1) return say("sending");
    if (seen?.status === "in_progress") {
      // The server's clock may be another: of it only the difference is taken.
      return say("running", { seconds: passed(sent + (seen.started_at - seen.created) * 1000) });
    }
    if (seen?.status !== "queued") return say("waiting", { seconds });
    const waiting = seen.waiting_for;
    return waiting ? say("queued-because", { reason: say(`because-${waiting.reason}`) }) : say("queued", { seconds });
  }

  #showError(error) {
    const details = remedies(error, this.turn.model);
    this.view.fail(error.message, details);
  }

  #figures() {
    const { times, usage, state } = this.turn;
    const told = [];
    if (state === "stopped") told.push(say("state-stopped"));
    if (usage) told.push(tokensOf(usage));
    else if (state === "done") told.push(tokensOf(null));
    if (times.first) told.push(say("first", { seconds: seconds(times.first - times.sent) }));
    if (times.end) told.push(say("total", { seconds: seconds(times.end - times.sent) }));
    const writing = (times.end - times.first) / 1000;
    if (usage?.completion_tokens > 1 && writing > 0.05) {
      told.push(say("speed", { rate: (usage.completion_tokens / writing).toFixed(1) }));
    }
    return told;
  }
}
