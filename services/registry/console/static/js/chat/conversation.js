/**
 * The conversation of this tab, kept in its session storage: leaving the page loses nothing.
 *
 * A turn is `{kind: "message", message}`, as it is sent, or `{kind: "answer", state, model, choice,
 * usage, job, error, times, retry}`. States: `sending`, `streaming`, `background`, `done`, `stopped`,
 * `failed`; a `background` one without `job` was not accepted yet, and `retry` holds its request.
 */

import { shown, textOf } from "../answer/fold.js";

const PLACE = "dragoman.chat.1"; // the number is that of the shape below

/** An answer that has not begun. */
export function emptyAnswer(model, state) {
  return { kind: "answer", state, model, choice: null, usage: null, job: null, error: null, times: {}, retry: null };
}

/** The turns of `owner` (nobody else's in this tab), and what was being typed. */
export class Conversation {
  turns = [];
  draft = "";

  constructor(owner, storage) {
    this.owner = owner;
    this.storage = storage;
  }

  /** Read what was kept; an answer that came while the page was left has stopped. */
  restore() {
    const kept = JSON.parse(this.storage.getItem(PLACE) ?? "null");
    if (kept?.owner !== this.owner) return;
    this.turns = kept.turns;
    this.draft = kept.draft;
    for (const turn of this.turns) {
      if (turn.state === "sending" || turn.state === "streaming") turn.state = "stopped";
    }
  }

  /** Whether it could be kept: a tab's storage holds some 5 MB. */
  keep() {
    try {
      this.storage.setItem(PLACE, JSON.stringify({ owner: this.owner, turns: this.turns, draft: this.draft }));
      return true;
    } catch (fault) {
      if (fault.name !== "QuotaExceededError") throw fault;
      return false;
    }
  }

  clear() {
    this.turns = [];
    this.storage.removeItem(PLACE);
  }

  /** What is sent for the next answer. */
  messages(system) {
    return messagesOf(this.turns, system);
  }

  /** What is sent to ask the last question again: all before its answer. */
  messagesOfLast(system) {
    const answered = this.turns.at(-1)?.kind === "answer";
    return messagesOf(answered ? this.turns.slice(0, -1) : this.turns, system);
  }
}

/**
 * The messages of these turns: questions without an answer, and failures, are left out, because
 * many models refuse two messages of one role in a row.
 */
function messagesOf(turns, system) {
  const sent = [];
  turns.forEach((turn, at) => {
    if (turn.kind === "message") {
      const next = turns[at + 1];
      const unanswered = next?.kind === "answer" && said(next) === "";
      if (!unanswered || at + 2 >= turns.length) sent.push(turn.message);
    } else if (said(turn)) {
      sent.push({ role: "assistant", content: said(turn) });
    }
  });
  return system ? [{ role: "system", content: system }, ...sent] : sent;
}

/** The text of an answer, without its reasoning. */
export function said(turn) {
  return turn.choice ? shown(turn.choice).content : "";
}

/** Stored messages as turns, and the system prompt that came first. */
export function turnsOf(messages) {
  const turns = [];
  let system = "";
  for (const { id: _, content_parts: parts, ...message } of messages) {
    if (parts) message.content = parts;
    if (message.role === "system" && turns.length === 0 && !system) system = textOf(message.content);
    else turns.push({ kind: "message", message });
  }
  return { system, turns };
}
