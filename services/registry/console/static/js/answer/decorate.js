/** What clean Markdown gets: links that leave safely, copy buttons, wide blocks that scroll by keyboard. */

import { say } from "../text.js";

let codes = 0; // for ids that are unique in the page

function scrolling(element, label) {
  element.tabIndex = 0;
  element.setAttribute("role", "region");
  element.setAttribute("aria-label", label);
}

function frameCode(pre) {
  const language = pre.dataset.language || "";
  delete pre.dataset.language;
  pre.id = `code-${(codes += 1)}`;
  scrolling(pre, say("code-in", { language }));
  const frame = document.createElement("div");
  frame.className = "code-frame";
  const head = document.createElement("div");
  head.className = "code-head";
  const name = document.createElement("span");
  name.textContent = language || say("code");
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "button small quiet";
  copy.dataset.copyFrom = `#${pre.id}`;
  copy.textContent = say("copy");
  head.append(name, copy);
  pre.replaceWith(frame);
  frame.append(head, pre);
}

function frameTable(table) {
  const frame = document.createElement("div");
  frame.className = "table-frame";
  scrolling(frame, say("table"));
  table.replaceWith(frame);
  frame.append(table);
}

/** Complete the sanitised fragment in place. */
export function decorate(fragment) {
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  fragment.querySelectorAll("pre").forEach(frameCode);
  fragment.querySelectorAll("table").forEach(frameTable);
}
