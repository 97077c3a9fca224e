/**
 * The fold of a stream's chunks into messages. Chunks are a provider's words: nothing about their
 * types is taken for granted.
 */

const REASONING = ["reasoning_content", "reasoning", "thinking"];
const OPENING = "<think>";
const CLOSING = "</think>";

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text of a `content`: a string, or a list of parts of which only text is text. */
export function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((part) => (isObject(part) && typeof part.text === "string" ? part.text : ""))
    .join("");
}

/** The reasoning that a message or delta holds under any of its usual names. */
export function reasoningOf(message) {
  for (const name of REASONING) {
    if (typeof message[name] === "string" && message[name]) return message[name];
  }
  return "";
}

/**
 * A text that begins with `<think>…</think>` as `{reasoning, content}`.
 *
 * Several servers send reasoning that way. What may still become the tag is neither yet.
 */
export function split(text) {
  const begun = text.trimStart();
  if (!begun.startsWith(OPENING)) {
    return { reasoning: "", content: OPENING.startsWith(begun) ? "" : text };
  }
  const end = begun.indexOf(CLOSING);
  if (end < 0) return { reasoning: withoutStart(begun.slice(OPENING.length), CLOSING), content: "" };
  return {
    reasoning: begun.slice(OPENING.length, end),
    content: begun.slice(end + CLOSING.length).trimStart(),
  };
}

/** `text` without what at its end may become `tag`. */
function withoutStart(text, tag) {
  for (let length = tag.length - 1; length > 0; length -= 1) {
    if (text.endsWith(tag.slice(0, length))) return text.slice(0, -length);
  }
  return text;
}

function emptyChoice() {
  return { text: "", reasoning: "", refusal: "", calls: [], finishReason: null };
}

function addCall(calls, delta, position) {
  const index = Number.isInteger(delta.index) ? delta.index : position;
  if (index < 0 || index > 999) return;
  while (calls.length <= index) calls.push({ name: "", arguments: "" });
  const told = isObject(delta.function) ? delta.function : {};
  if (typeof told.name === "string") calls[index].name += told.name;
  if (typeof told.arguments === "string") calls[index].arguments += told.arguments;
}

/** One answer as far as it came: `choices`, `usage`, and the `id` of its job. */
export class Answer {
  id = null;
  usage = null;
  last = -1; // sequence_number of the last chunk, behind which a resume begins
  choices = [emptyChoice()];

  /** Take one chunk in. */
  add(chunk) {
    if (!isObject(chunk)) return;
    if (typeof chunk.id === "string") this.id = chunk.id;
    if (Number.isInteger(chunk.sequence_number)) this.last = chunk.sequence_number;
    if (isObject(chunk.usage)) this.usage = chunk.usage;
    if (!Array.isArray(chunk.choices)) return;
    for (const choice of chunk.choices) if (isObject(choice)) this.#addChoice(choice);
  }

  #addChoice(choice) {
    const index = Number.isInteger(choice.index) ? choice.index : 0;
    if (index < 0 || index > 127) return;
    while (this.choices.length <= index) this.choices.push(emptyChoice());
    const kept = this.choices[index];
    const delta = isObject(choice.delta) ? choice.delta : {};
    kept.text += textOf(delta.content);
    kept.reasoning += reasoningOf(delta);
    if (typeof delta.refusal === "string") kept.refusal += delta.refusal;
    if (Array.isArray(delta.tool_calls)) {
      delta.tool_calls.forEach((call, position) => {
        if (isObject(call)) addCall(kept.calls, call, position);
      });
    }
    if (typeof choice.finish_reason === "string") kept.finishReason = choice.finish_reason;
  }

  /** Whether anything was said yet. */
  get begun() {
    return this.choices.some((c) => c.text || c.reasoning || c.refusal || c.calls.length);
  }
}

/** What a choice shows: `{reasoning, content, calls, finishReason}`. */
export function shown(choice) {
  const { reasoning, content } = split(choice.text);
  return {
    reasoning: choice.reasoning + reasoning,
    content: content || choice.refusal,
    calls: choice.calls,
    finishReason: choice.finishReason,
  };
}

/** The choice of a stored message, in the form of a folded one. */
export function choiceOf(message, finishReason = null) {
  const choice = emptyChoice();
  choice.text = textOf(message.content);
  choice.reasoning = reasoningOf(message);
  if (typeof message.refusal === "string") choice.refusal = message.refusal;
  if (Array.isArray(message.tool_calls)) {
    message.tool_calls.forEach((call, at) => {
      if (isObject(call)) addCall(choice.calls, { ...call, index: at }, at);
    });
  }
  choice.finishReason = finishReason;
  return choice;
}
