/** The page of one provider: check it now, and what a delete would touch. */

import { call, open, Problem } from "../api.js";
import { refresh } from "../live.js";
import { announce, say } from "../text.js";
import { ago } from "../time.js";

const WAIT = "wait=15"; // seconds; a check ends within 10

for (const button of document.querySelectorAll("[data-refresh]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.toggleAttribute("data-busy", true);
    try {
      const answer = await open("POST", button.dataset.refresh, { headers: { Prefer: WAIT } });
      announce(say(answer.status === 202 ? "check-goes-on" : "checked"));
      await refresh(document.getElementById("state"));
    } catch (fault) {
      announce(told(fault));
    } finally {
      button.disabled = false;
      button.removeAttribute("data-busy");
      button.focus();
    }
  });
}

const told = (fault) => {
  if (fault instanceof Problem) return fault.message;
  if (fault instanceof TypeError) return say("unreachable");
  throw fault;
};

const dialog = document.getElementById("delete");

dialog?.addEventListener("dialog:open", async () => {
  const form = dialog.querySelector("form");
  const loading = form.querySelector("[data-impact-loading]");
  const shown = form.querySelector("[data-impact-shown]");
  try {
    const impact = await call("GET", form.dataset.impact);
    shown.querySelector("[data-queued]").textContent = impact.queued;
    shown.querySelector("[data-running]").textContent = impact.running;
    if (impact.last_used_at !== null) {
      shown.querySelector("[data-last-used]").textContent = ago(impact.last_used_at * 1000);
    }
    loading.hidden = true;
    shown.hidden = false;
  } catch (fault) {
    loading.textContent = say("impact-unknown", { why: told(fault) });
  }
});
