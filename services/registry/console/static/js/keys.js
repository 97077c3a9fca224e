/** `/keys`: a new key is shown once; revoking one asks first. */

import { call, Problem } from "./api.js";
import { agreed } from "./dialog.js";
import { clear, mark } from "./forms.js";
import { refresh } from "./live.js";
import { announce, say } from "./text.js";

const form = document.getElementById("new-key-form");
const made = document.getElementById("made-key");
const secret = document.getElementById("secret");
const list = document.getElementById("keys");

document.getElementById("new-key").addEventListener("dialog:open", () => {
  form.reset();
  clear(form);
});

form.addEventListener("form:body", (event) => {
  const control = form.elements.expires_at;
  if (!control.value) return;
  const end = Date.parse(`${control.value}T23:59:59`); // of that day in the reader's zone
  if (Number.isNaN(end) || end <= Date.now()) {
    mark(control, say("date-bad"));
    control.focus();
    event.preventDefault();
    return;
  }
  event.detail.body.expires_at = Math.floor(end / 1000);
});

form.addEventListener("form:done", (event) => {
  form.closest("dialog").close("done");
  secret.textContent = event.detail.key;
  made.showModal();
  refresh(list);
});

made.addEventListener("close", () => (secret.textContent = ""));
made.addEventListener("cancel", (event) => event.preventDefault()); // Escape must not lose the key

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-revoke]");
  if (!button) return;
  const { revoke: id, name, prefix, mine } = button.dataset;
  const agrees = await agreed("confirm-revoke", (dialog) => {
    dialog.querySelector("[data-key-name]").textContent = name;
    dialog.querySelector("[data-key-prefix]").textContent = prefix;
    dialog.querySelector("[data-own]").hidden = mine === undefined;
  });
  if (!agrees) return;
  const fault = document.querySelector("[data-fault]");
  fault.textContent = "";
  try {
    await call("DELETE", `/v1/keys/${id}`);
  } catch (error) {
    if (!(error instanceof Problem) && !(error instanceof TypeError)) throw error;
    fault.textContent = error instanceof Problem ? error.message : say("unreachable");
    return;
  }
  if (mine !== undefined) {
    location.assign("/login");
    return;
  }
  announce(say("revoked"));
  refresh(list);
});
