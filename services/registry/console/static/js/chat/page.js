/** `/chat`: the conversation of this tab. */

import { Problem } from "../api.js";
import { clear, mark } from "../forms.js";
import { announce, say } from "../text.js";
import { Conversation, emptyAnswer } from "./conversation.js";
import { conversationOf } from "./jobs.js";
import { Run } from "./runs.js";
import { Settings } from "./settings.js";
import { curl, python } from "./snippets.js";
import { AnswerTurn, messageTurn } from "./turns.js";

const KEEP_MS = 1_000; // between two writes of what is being said
const NEAR = 120; // pixels from the page's end that still count as its end

class ChatPage {
  #runs = new Map(); // turn → Run
  #foreground = null;
  #kept = 0;

  constructor(root) {
    this.log = root.querySelector("[data-log]");
    this.nothing = root.querySelector("[data-nothing]");
    this.status = root.querySelector("[data-status]");
    this.composer = root.querySelector("[data-composer]");
    this.message = this.composer.elements.message;
    this.stopButton = root.querySelector("[data-stop]");
    this.sendButton = root.querySelector("[data-send]");
    this.settings = new Settings(root.querySelector("#settings"), root.dataset.owner);
    this.conversation = new Conversation(root.dataset.owner, sessionStorage);
    this.#wire(root);
  }

  #wire(root) {
    this.composer.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(false);
    });
    this.message.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send(false);
    });
    this.message.addEventListener("input", () => this.#grow());
    root.querySelector("[data-background]").addEventListener("click", () => this.#send(true));
    this.stopButton.addEventListener("click", () => this.#foreground?.stop());
    document.querySelector("[data-new]").addEventListener("click", () => this.#begin());
    document.querySelector("[data-code]").addEventListener("click", () => this.#showCode());
    addEventListener("pagehide", () => this.#keep(true));
  }

  async start() {
    const asked = new URLSearchParams(location.search);
    this.settings.restore(asked);
    this.conversation.restore();
    this.message.value = this.conversation.draft;
    if (asked.get("job")) await this.#load(asked.get("job"));
    this.#show();
    this.#grow();
    this.settings.picker.load();
    if (this.conversation.turns.length) scrollTo({ top: document.body.scrollHeight });
  }

  /** Draw all turns, and follow the jobs among them. */
  #show() {
    this.log.replaceChildren();
    for (const turn of this.conversation.turns) {
      const run = this.#add(turn);
      if (run && turn.state === "background" && (turn.job || turn.retry)) this.#started(run, run.background());
    }
    this.#look();
  }

  /** Add the turn to the page; the run of an answer. */
  #add(turn) {
    let run = null;
    if (turn.kind === "message") this.log.append(messageTurn(turn));
    else {
      const view = new AnswerTurn(turn, {
        onAgain: (again) => this.#again(again),
        onCancel: () => run.stop(),
        onDrawn: () => this.#drawn(),
      });
      this.log.append(view.element);
      run = new Run(view, () => this.#keep(true));
    }
    return run;
  }

  /** Follow a run to its end. */
  async #started(run, ended, foreground = false) {
    this.#runs.set(run.turn, run);
    if (foreground) this.#foreground = run;
    this.#look();
    this.status.textContent = say("answering");
    await ended;
    this.#runs.delete(run.turn);
    if (foreground) this.#foreground = null;
    this.#look();
    const { state, error } = run.turn;
    this.status.textContent =
      state === "failed" ? say("failed", { message: error.message }) : say(state === "done" ? "answered" : "stopped");
  }

  #send(background) {
    if (this.#foreground) return;
    const text = this.message.value.trim();
    clear(this.composer);
    if (!text) {
      mark(this.message, say("message-missing"));
      this.message.focus();
      return;
    }
    const question = { kind: "message", message: { role: "user", content: text } };
    const turns = this.conversation.turns;
    turns.push(question);
    if (!this.#ask(background)) {
      turns.pop();
      return;
    }
    this.message.value = "";
    this.#grow();
    this.#keep(true);
    this.message.focus();
  }

  /** Ask for an answer to the last message; false when the settings are wrong. */
  #ask(background, before = this.log.children.length) {
    const body = this.settings.request(this.conversation.messages(this.settings.system));
    if (!body) return false;
    const turns = this.conversation.turns;
    while (before < turns.length) this.#add(turns[before++]);
    const turn = emptyAnswer(body.model, background ? "background" : "sending");
    turns.push(turn);
    const run = this.#add(turn);
    this.#started(run, background ? run.background(body) : run.foreground(body), !background);
    scrollTo({ top: document.body.scrollHeight });
    return true;
  }

  /** Ask the same again: what came after is forgotten. */
  #again(turn) {
    if (this.#foreground) return;
    const turns = this.conversation.turns;
    const at = turns.indexOf(turn);
    const forgotten = turns.splice(at);
    if (!this.#ask(false, at)) {
      turns.push(...forgotten);
      return;
    }
    for (const later of forgotten) this.#runs.get(later)?.stop();
    const elements = [...this.log.children].slice(at, at + forgotten.length);
    for (const element of elements) element.remove();
  }

  #begin() {
    for (const run of this.#runs.values()) run.leave();
    this.conversation.clear();
    this.log.replaceChildren();
    this.message.value = "";
    if (location.search) history.replaceState(null, "", location.pathname);
    this.#look();
    this.#keep(true);
    this.message.focus();
  }

  /** Take over the conversation of a job. */
  async #load(id) {
    try {
      const { system, turns, model } = await conversationOf(id);
      this.settings.system = system;
      this.settings.picker.value = model;
      this.conversation.turns = turns;
      history.replaceState(null, "", location.pathname);
      announce(say("loaded-job"));
      this.#keep(true);
    } catch (fault) {
      if (!(fault instanceof Problem) && !(fault instanceof TypeError)) throw fault;
      announce(say("no-job", { reason: fault instanceof Problem ? fault.message : say("unreachable") }));
    }
  }

  /** The request as a program: what is being typed, else what was asked last. */
  #showCode() {
    const draft = this.message.value.trim();
    const { system } = this.settings;
    const messages = draft ? this.conversation.messages(system) : this.conversation.messagesOfLast(system);
    if (draft) messages.push({ role: "user", content: draft });
    if (!messages.some((one) => one.role === "user")) messages.push({ role: "user", content: say("hello") });
    const body = this.settings.request(messages, { draft: true });
    document.getElementById("curl").textContent = curl(location.origin, body);
    document.getElementById("python").textContent = python(location.origin, body);
    document.getElementById("code").showModal();
  }

  #look() {
    this.nothing.hidden = this.conversation.turns.length > 0;
    this.stopButton.hidden = !this.#foreground;
    this.sendButton.hidden = Boolean(this.#foreground);
  }

  /** After each drawing: stay at the end of the page, where the reader is there. */
  #drawn() {
    const end = document.documentElement.scrollHeight;
    const grown = end - (this.end ?? end);
    this.end = end;
    if (grown > 0 && end - grown - scrollY - innerHeight < NEAR) scrollTo({ top: end });
    this.#keep();
  }

  #keep(now = false) {
    if (!now && Date.now() - this.#kept < KEEP_MS) return;
    this.#kept = Date.now();
    this.conversation.draft = this.message.value;
    if (!this.conversation.keep() && !this.full) {
      this.full = true;
      announce(say("storage-full"));
    }
  }

  #grow() {
    this.message.rows = Math.min(10, Math.max(2, this.message.value.split("\n").length));
  }
}

const root = document.querySelector("[data-chat]");
if (root) new ChatPage(root).start();
for (const details of document.querySelectorAll("[data-open-wide]")) {
  details.open = matchMedia("(min-width: 64rem)").matches;
}
