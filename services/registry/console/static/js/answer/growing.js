/** Markdown that grows: finished blocks are made once, only the last one is made again. */

import { LONGEST_BLOCK, blocks, render } from "./markdown.js";

const LONGEST_TAIL = 250_000; // characters that are parsed at once, code included

/** Shows a text in `root`, which holds nothing else; `update` with ever longer texts. */
export class GrowingMarkdown {
  #root;
  #text = "";
  #settled = 0; // characters before the block that may still change
  #links = {};
  #tail = null;
  #plain = null; // the text node of a last block that is too long to be parsed again and again

  constructor(root) {
    this.#root = root;
  }

  /** Show this text; what differs from what was shown before its end begins anew. */
  update(text) {
    const clean = text.replace(/\r\n?/g, "\n");
    if (!clean.startsWith(this.#text)) this.#clear();
    const fresh = clean.slice(this.#text.length);
    this.#text = clean;
    if (!fresh) return;
    if (this.#plain) this.#plain.appendData(fresh);
    else this.#grow();
  }

  #clear() {
    this.#root.replaceChildren();
    this.#text = "";
    this.#settled = 0;
    this.#links = {};
    this.#tail = this.#plain = null;
  }

  #grow() {
    const rest = this.#text.slice(this.#settled);
    const found = this.#blocks(rest);
    if (found === null) {
      this.#showPlain(rest);
      return;
    }
    let last = found.length - 1;
    while (last > 0 && found[last].type === "space") last -= 1;
    for (const block of found.slice(0, last)) {
      this.#settled += block.raw.length;
      if (block.type !== "space") this.#show(block, true);
    }
    if (last < 0) return;
    const block = found[last];
    const long = block.type !== "code" && block.raw.length > LONGEST_BLOCK;
    if (long) this.#showPlain(this.#text.slice(this.#settled));
    else if (block.type !== "space") this.#show(block, false);
  }

  /** The blocks, all as one where marked does not account for every character; null: it gives up. */
  #blocks(text) {
    if (text.length > LONGEST_TAIL) return null;
    let found;
    try {
      found = blocks(text, this.#links);
    } catch (fault) {
      if (!(fault instanceof RangeError)) throw fault; // nested deeper than the stack
      return null;
    }
    const told = found.map((block) => block.raw).join("");
    const whole = text.startsWith(told) && text.slice(told.length).trim() === ""; // it trims lists
    return whole ? found : [{ type: "mixed", raw: text }];
  }

  #show(block, settled) {
    if (!this.#tail) {
      this.#tail = document.createElement("div");
      this.#tail.className = "block";
      this.#tail.setAttribute("aria-busy", "true");
      this.#root.append(this.#tail);
    }
    if (!this.#lengthenCode(block)) this.#tail.replaceChildren(render(block, this.#links));
    if (settled) {
      this.#tail.removeAttribute("aria-busy");
      this.#tail = null;
    }
  }

  /** Add to the code that is shown already, so that its place and selection stay. */
  #lengthenCode(block) {
    if (block.type !== "code") return false;
    const shown = this.#tail.querySelector(":scope > .code-frame > pre > code")?.firstChild;
    if (!shown || !block.text.startsWith(shown.data)) return false;
    shown.appendData(block.text.slice(shown.data.length));
    return true;
  }

  #showPlain(text) {
    this.#tail?.remove();
    this.#tail = null;
    const paragraph = document.createElement("p");
    paragraph.className = "plain";
    this.#plain = document.createTextNode(text);
    paragraph.append(this.#plain);
    this.#root.append(paragraph);
  }

  /** The text is whole: nothing is busy any more. */
  finish() {
    this.#tail?.removeAttribute("aria-busy");
    this.#tail = null;
  }
}
