/**
 * Markdown of a model as DOM. The text is hostile: raw HTML stays text, images become links, and
 * what marked makes of the rest passes DOMPurify with a short list of tags.
 */

import DOMPurify from "../../vendor/purify.es.mjs";
import { Lexer, Marked } from "../../vendor/marked.esm.js";
import { say } from "../text.js";
import { decorate } from "./decorate.js";

const WEB = /^(?:https?:\/\/|mailto:)/i;
// Characters of a block that is no code. Some inline syntax costs quadratic time: 60,000 characters of
// `_a` took 4 s, this many 0.3 s. Longer blocks are shown as they are written.
export const LONGEST_BLOCK = 16_000;
const TAGS = [
  ..."p br hr strong em del code pre blockquote ul ol li h3 h4 h5 h6 a span".split(" "),
  ..."table thead tbody tr th td".split(" "),
];
const ATTRIBUTES = ["href", "title", "start", "align", "data-language"];

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escape(text) {
  return String(text).replace(/[&<>"']/g, (found) => ENTITIES[found]);
}

function anchor(href, inner) {
  return `<a href="${escape(href)}" title="${escape(href)}">${inner}</a>`;
}

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escape(text),
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2); // the page has its own h1 and h2
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    link({ href, tokens }) {
      const inner = this.parser.parseInline(tokens);
      return WEB.test(href) ? anchor(href, inner) : inner;
    },
    image({ href, text }) {
      const told = escape(say("image", { text }));
      return WEB.test(href) ? anchor(href, told) : told;
    },
    code: ({ text, lang }) =>
      `<pre data-language="${escape((lang || "").split(/\s/)[0].slice(0, 30))}">` +
      `<code>${escape(text)}</code></pre>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

/**
 * The top-level blocks of a text as `{type, raw, text}`, whose inline syntax is not looked at yet.
 *
 * Definitions of links are added to `links`. Raises RangeError for what is nested too deep.
 */
export function blocks(text, links) {
  const lexer = new Lexer(marked.defaults);
  lexer.tokens.links = links;
  return lexer.blockTokens(text);
}

function plain(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "plain";
  paragraph.textContent = text;
  return paragraph;
}

/** The DOM of one block; plain text where it is too much for the parser. */
export function render(block, links) {
  if (block.type !== "code" && block.raw.length > LONGEST_BLOCK) return plain(block.raw);
  let html;
  try {
    const lexer = new Lexer(marked.defaults);
    lexer.tokens.links = links;
    html = marked.parser(lexer.lex(block.raw));
  } catch (fault) {
    if (!(fault instanceof RangeError)) throw fault; // nested deeper than the stack
    return plain(block.raw);
  }
  const clean = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: WEB,
    ADD_URI_SAFE_ATTR: ["align", "data-language", "start"], // all others must be URLs of the web
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  decorate(clean);
  return clean;
}
