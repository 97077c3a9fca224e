/** Answers under way: in the foreground, where leaving ends them, or in the background, as jobs. */

import { call, open, Problem } from "../api.js";
import { Answer } from "../answer/fold.js";
import { CHATS, follow, read } from "../answer/stream.js";
import { say } from "../text.js";

const LOOK_MS = 2_000; // between two looks at a job, as on its own page
const TRIES = 4; // of a submission whose connection was lost; its key makes it one job

function errorOf(fault) {
  if (fault instanceof Problem) {
    const billed = fault.document.may_have_been_billed === true;
    return { message: fault.message, code: fault.code, requestId: fault.requestId, billed };
  }
  if (!(fault instanceof TypeError)) throw fault;
  console.info("The answer was lost.", fault);
  return { message: say("unreachable-now"), code: null, requestId: null, billed: false };
}

/** 128 random bits; `crypto.randomUUID` is missing where the page came over plain http. */
function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const idOf = (response) => response.headers.get("Location")?.split("/").pop() ?? null;

/** One answer on its way into `view.turn`; `kept` is called when something should be stored. */
export class Run {
  #stop = new AbortController();
  #stopWanted = false;

  constructor(view, kept) {
    this.view = view;
    this.turn = view.turn;
    this.kept = kept;
  }

  /** Resolves when the answer is over, however it ended. */
  async #drive(work) {
    const { turn, view } = this;
    const answer = new Answer();
    const changed = () => {
      if (answer.begun && !turn.choice) {
        turn.choice = answer.choices[0];
        turn.times.first = Date.now();
      }
      view.changed();
    };
    turn.times.sent ??= Date.now();
    view.changed(true);
    try {
      await work(answer, changed);
      turn.state = "done";
      turn.choice = answer.choices[0];
    } catch (fault) {
      const stopped = this.#stop.signal.aborted || fault.code === "cancelled";
      turn.state = stopped ? "stopped" : "failed";
      if (turn.state === "failed") turn.error = errorOf(fault);
    }
    turn.usage = answer.usage;
    turn.times.end = Date.now();
    view.changed(true);
    this.kept();
  }

  /** Send `body` and stream the answer; the provider's call ends when this is stopped. */
  foreground(body) {
    return this.#drive(async (answer, changed) => {
      const response = await open("POST", CHATS, { body, signal: this.#stop.signal });
      this.turn.state = "streaming";
      this.turn.job = idOf(response);
      if (!(await read(response, answer, changed))) throw new TypeError("The stream ended early.");
    });
  }

  /** Send `body` as a job, or go on with the one that the turn has, and follow it. */
  background(body = null) {
    const { turn } = this;
    if (body) turn.retry = { key: freshKey(), body: { ...body, background: true } };
    this.kept();
    return this.#drive(async (answer, changed) => {
      const looking = setInterval(() => this.#look(answer), LOOK_MS);
      if (turn.job) this.#look(answer);
      try {
        if (!turn.job && (await this.#submit(answer, changed))) return;
        await follow(turn.job, answer, changed, this.#stop.signal);
      } finally {
        clearInterval(looking);
        this.view.seen = null;
      }
    });
  }

  /** Submit the job; whether its stream came to its end at once. */
  async #submit(answer, changed) {
    const { key, body } = this.turn.retry;
    const signal = this.#stop.signal;
    for (let tries = 1; ; tries += 1) {
      try {
        const response = await open("POST", CHATS, { body, headers: { "Idempotency-Key": key }, signal });
        this.turn.job = idOf(response);
        this.turn.retry = null;
        this.kept();
        this.view.changed();
        this.#look(answer);
        if (this.#stopWanted) await this.stop();
        return await read(response, answer, changed);
      } catch (fault) {
        if (fault instanceof Problem || signal.aborted || (!this.turn.job && tries === TRIES)) throw fault;
        if (this.turn.job) return false;
        await new Promise((settle) => setTimeout(settle, 1000 * tries));
      }
    }
  }

  /** Find out how the job stands: its stream is silent until the first words. */
  async #look(answer) {
    if (answer.begun || !this.turn.job || document.hidden) return;
    try {
      this.view.seen = await call("GET", `${CHATS}/${this.turn.job}`, { signal: this.#stop.signal });
      this.view.changed();
    } catch (fault) {
      if (!(fault instanceof Problem) && !(fault instanceof TypeError) && fault.name !== "AbortError") throw fault;
      console.info("The job could not be looked at.", fault.message);
    }
  }

  /** Look no further: the answer is forgotten here, and a job goes on. */
  leave() {
    this.kept = () => undefined;
    this.#stop.abort();
  }

  /** End the answer; a job is cancelled, as soon as it has an id. */
  async stop() {
    if (this.turn.state === "background") {
      this.#stopWanted = true;
      if (!this.turn.job) return;
      try {
        await call("POST", `${CHATS}/${this.turn.job}/cancel`);
      } catch (fault) {
        this.turn.error = errorOf(fault); // it may run on: say so
      }
    }
    this.#stop.abort();
  }
}
