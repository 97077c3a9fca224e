/** `<button data-copy="text">` and `<button data-copy-from="#id">`. */

import { announce, say } from "./text.js";

/** Put `text` on the clipboard, also where the page came over plain http. */
export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "sr-only";
  const dialog = document.querySelector("dialog[open]");
  (dialog ?? document.body).append(field);
  const before = document.activeElement;
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  before?.focus();
  if (!copied) throw new Error(say("copy-refused"));
}

async function press(button) {
  const from = button.dataset.copyFrom;
  const text = from ? document.querySelector(from).textContent : button.dataset.copy;
  try {
    await copy(text);
  } catch (refused) {
    announce(say("copy-refused"));
    console.info("The clipboard refused.", refused.name);
    return;
  }
  announce(say("copied"));
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, 2000);
}

/** Make every copy button work, those that come later included. */
export function start() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (button) press(button);
  });
}
