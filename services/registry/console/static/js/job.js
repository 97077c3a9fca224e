/** `/jobs/<id>`: the answer as it is made, and what can be done with the job. */

import { call, open, Problem } from "./api.js";
import { Answer } from "./answer/fold.js";
import { Pace } from "./answer/pace.js";
import { CHATS, follow } from "./answer/stream.js";
import { AnswerView, enhance } from "./answer/view.js";
import { agreed } from "./dialog.js";
import { refresh } from "./live.js";
import { announce, say } from "./text.js";

const root = document.querySelector("[data-job]");
const id = root.dataset.job;
const place = root.querySelector("[data-answers]");
const leaving = new AbortController();

/** A view for each choice; most answers have one. */
class Views {
  #views = [];

  constructor(first) {
    this.#views.push(new AnswerView(first));
  }

  show(choices, done) {
    while (this.#views.length < choices.length) this.#add();
    choices.forEach((choice, at) => this.#views[at].show(choice, done));
  }

  #add() {
    const title = document.createElement("h3");
    title.textContent = say("choice", { n: this.#views.length + 1 });
    const root = document.getElementById("answer").content.firstElementChild.cloneNode(true);
    place.append(title, root);
    this.#views.push(new AnswerView(root));
  }

  fail(message) {
    this.#views[0].fail(message);
  }
}

async function watch() {
  const answer = new Answer();
  const views = new Views(place.querySelector("[data-answer]"));
  const waiting = root.querySelector("[data-waiting]");
  const progress = root.querySelector("[data-progress]");
  const pace = new Pace(() => views.show(answer.choices, false));
  const changed = () => {
    if (!answer.begun) return;
    if (!waiting.hidden) progress.textContent = say("answering");
    waiting.hidden = true;
    pace.wanted();
  };
  try {
    await follow(id, answer, changed, leaving.signal);
    pace.stop();
    views.show(answer.choices, true);
  } catch (fault) {
    if (leaving.signal.aborted) return;
    if (!(fault instanceof Problem)) throw fault;
    pace.stop();
    views.show(answer.choices, false);
    views.fail(fault.message);
  }
  waiting.hidden = true;
  progress.textContent = say("ended");
  refreshFacts();
}

function refreshFacts() {
  refresh(document.getElementById("job-facts"));
}

/** Do `work` while `button` is busy; what goes wrong is told at the page's head. */
async function pressed(button, work) {
  const fault = document.querySelector("[data-fault]");
  fault.textContent = "";
  button.disabled = true;
  button.toggleAttribute("data-busy", true);
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Problem) && !(error instanceof TypeError)) throw error;
    fault.textContent = error instanceof Problem ? error.message : say("unreachable");
  } finally {
    button.disabled = false;
    button.toggleAttribute("data-busy", false);
  }
}

async function cancel() {
  await call("POST", `${CHATS}/${id}/cancel`);
  announce(say("cancelled"));
  refreshFacts();
}

async function remove() {
  await call("DELETE", `${CHATS}/${id}`);
  leaving.abort();
  location.assign("/jobs");
}

/** Submit the same again, and go there; a lost answer must not make two jobs of it. */
async function again() {
  announce(say("submitting"));
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("");
  const headers = { Accept: "application/json", "Idempotency-Key": key };
  const response = await open("POST", `/jobs/${id}/again`, { headers });
  leaving.abort();
  location.assign(response.headers.get("Location"));
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-cancel], [data-delete], [data-again]");
  if (!button) return;
  if ("again" in button.dataset) await pressed(button, again);
  else if ("cancel" in button.dataset) (await agreed("confirm-cancel")) && (await pressed(button, cancel));
  else if (await agreed("confirm-delete")) await pressed(button, remove);
});
addEventListener("pagehide", () => leaving.abort());

if (["queued", "in_progress"].includes(root.dataset.state)) watch();
else for (const answer of place.querySelectorAll("[data-answer]")) enhance(answer);
