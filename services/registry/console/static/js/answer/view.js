/** One answer on the page: reasoning folded, text as Markdown, tool calls, error, and its figures. */

import { say } from "../text.js";
import { shown } from "./fold.js";
import { GrowingMarkdown } from "./growing.js";

/** An `[data-answer]` element of `answer_parts.html`. */
export class AnswerView {
  constructor(root) {
    this.root = root;
    this.#reasoning = this.#markdown("reasoning-text");
    this.#content = this.#markdown("content");
  }

  #markdown(name) {
    const place = this.part(name);
    place.replaceChildren();
    place.classList.remove("plain");
    return new GrowingMarkdown(place);
  }

  #reasoning;
  #content;

  /** The element `[data-part=name]`. */
  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  /** Show a choice as far as it came; `done` says that nothing more will come. */
  show(choice, done) {
    const { reasoning, content, calls, finishReason } = shown(choice);
    const thought = this.part("reasoning");
    thought.hidden = !reasoning.trim();
    this.#reasoning.update(reasoning);
    this.part("reasoning-state").textContent = content || done ? "" : say("thinking");
    this.#content.update(content);
    this.#showCalls(calls, done);
    if (!done) return;
    this.#reasoning.finish();
    this.#content.finish();
    const nothing = !content && !calls.length;
    this.tell("nothing", nothing && finishReason !== null);
    this.tell("cut", finishReason === "length");
    this.tell("filtered", finishReason === "content_filter");
  }

  /** Show or hide the sentence `name`. */
  tell(name, is) {
    this.part(name).hidden = !is;
  }

  #showCalls(calls, done) {
    const list = this.part("calls");
    list.hidden = calls.length === 0;
    calls.forEach((call, at) => {
      const item = list.children[at] ?? list.appendChild(document.createElement("li"));
      const told = `${call.name}(${done ? tidy(call.arguments) : call.arguments})`;
      if (item.textContent !== told) {
        const code = document.createElement("pre");
        code.className = "code-block wrap";
        code.textContent = told;
        item.replaceChildren(code);
      }
    });
  }

  /** Show why there is no answer; `details` are further elements, remedies for one. */
  fail(message, details = []) {
    const box = this.part("error");
    box.hidden = false;
    box.querySelector("[data-message]").textContent = message;
    box.querySelector("[data-details]").replaceChildren(...details);
  }

  /** Take the error away. */
  clear() {
    this.part("error").hidden = true;
  }
}

/** JSON with its lines, where it is JSON. */
function tidy(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch (fault) {
    if (fault instanceof SyntaxError) return text; // a model's JSON is often none
    throw fault;
  }
}

/** Make Markdown of an answer that came with the page as plain text. */
export function enhance(root) {
  const text = (name) => root.querySelector(`[data-part="${name}"]`).textContent;
  const choice = { text: text("content"), reasoning: text("reasoning-text"), refusal: "" };
  const told = [...root.querySelectorAll('[data-part="calls"] pre')].map((pre) => pre.textContent);
  const calls = told.map((call) => {
    const open = call.indexOf("(");
    return { name: call.slice(0, open), arguments: call.slice(open + 1, -1) };
  });
  new AnswerView(root).show({ ...choice, calls, finishReason: root.dataset.finishReason || null }, true);
}

/** What is known of tokens, as one sentence. */
export function tokensOf(usage) {
  const count = (name) => (Number.isFinite(usage?.[name]) ? usage[name].toLocaleString("en") : null);
  const [sent, got] = [count("prompt_tokens"), count("completion_tokens")];
  return sent === null && got === null ? say("tokens-unknown") : say("tokens", { sent: sent ?? "?", got: got ?? "?" });
}
