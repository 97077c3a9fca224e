// What clean Markdown gets before it is shown: links that leave safely, code that can be copied,
// and wide blocks that scroll by keyboard.

function scrolling(element, label) {
  element.tabIndex = 0;
  element.setAttribute("role", "region");
  element.setAttribute("aria-label", label);
}

function frameCode(pre) {
  const language = pre.dataset.language || "";
  delete pre.dataset.language;
  scrolling(pre, language ? `Code, ${language}` : "Code");
  const frame = document.createElement("div");
  frame.className = "code-block";
  const head = document.createElement("div");
  head.className = "code-head";
  const name = document.createElement("span");
  name.textContent = language || "code";
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "button small quiet";
  copy.dataset.copyNext = "";
  copy.textContent = "Copy";
  head.append(name, copy);
  pre.replaceWith(frame);
  frame.append(head, pre);
}

function frameTable(table) {
  const frame = document.createElement("div");
  frame.className = "table-frame";
  scrolling(frame, "Table");
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
