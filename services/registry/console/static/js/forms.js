/**
 * `<form data-call="POST /v1/…">` sends its controls as JSON (see `values.js`).
 *
 * Then it goes to `data-next`, whose `{places}` come from the answer, or dispatches `form:done` with
 * the answer. A refusal stands at the field that `param` names, else in the form's summary. Before
 * sending, `form:body` lets the page change `event.detail.body`, or prevent the call; `form:refused`
 * tells it of the fault before that is shown.
 */

import { call, Problem } from "./api.js";
import { say } from "./text.js";
import { bodyOf } from "./values.js";

/** Send `form` once; resolves to the answer, or to undefined when it was refused. */
export async function send(form) {
  const [method, path] = form.dataset.call.split(" ");
  const detail = { body: form.dataset.empty === undefined ? bodyOf(form) : undefined };
  if (!form.dispatchEvent(new CustomEvent("form:body", { cancelable: true, bubbles: true, detail }))) return;
  clear(form);
  const headers = form.dataset.revision ? { "If-Match": `W/"${form.dataset.revision}"` } : {};
  busy(form, true);
  try {
    const answer = await call(method, path, { body: detail.body, headers });
    form.dispatchEvent(new CustomEvent("form:done", { bubbles: true, detail: answer }));
    if (form.dataset.next) {
      form.dataset.sent = "";
      location.assign(filled(form.dataset.next, answer));
    }
    return answer;
  } catch (fault) {
    form.dispatchEvent(new CustomEvent("form:refused", { bubbles: true, detail: { fault } }));
    show(form, fault);
  } finally {
    busy(form, false);
  }
}

/** Show `fault` where it belongs, and take the reader to the first field of it. */
export function show(form, fault) {
  if (!(fault instanceof Problem) && !(fault instanceof TypeError)) throw fault;
  const told = fault instanceof Problem ? fault.message : say("unreachable");
  const control = fault.param ? controlFor(form, fault.param) : null;
  if (control) {
    tell(form, control, told);
    const first = [...form.elements].find((each) => each.getAttribute("aria-invalid") === "true");
    for (let at = first.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    first.focus();
    return;
  }
  const summary = form.querySelector("[data-summary]") ?? document.getElementById("page-problem");
  summary.querySelector("[data-message]").textContent = told;
  const id = summary.querySelector("[data-request]");
  if (id) id.textContent = fault.requestId ? say("request-id", { id: fault.requestId }) : "";
  summary.hidden = false;
  summary.focus();
}

/** Take away what earlier refusals said. */
export function clear(form) {
  for (const control of form.querySelectorAll('[aria-invalid="true"]')) unmark(control);
  for (const summary of [form.querySelector("[data-summary]"), document.getElementById("page-problem")]) {
    if (summary) summary.hidden = true;
  }
}

/** The control for a JSON path, or for the longest part of it that has one. */
function controlFor(form, param) {
  for (let path = param; path; path = path.replace(/(\.|\[)[^.[]*$|^[^.[]+$/, "")) {
    const found = form.elements.namedItem(path);
    if (found) return found instanceof RadioNodeList ? found[0] : found;
  }
  return null;
}

/** One message may tell of several fields: `name: Expected … Also endpoint: Expected …`. */
function tell(form, first, message) {
  let said = "";
  for (const part of message.split(/ Also (?=[\w.[\]]+: )/)) {
    const [, path, text] = /^([\w.[\]]+): (.*)$/s.exec(part) ?? [null, "", part];
    const control = path ? controlFor(form, path) : null;
    if (control && control !== first) mark(control, text);
    else said += ` ${control ? text : part}`;
  }
  mark(first, said.trim());
}

/** Say `message` at `control`, until it changes. */
export function mark(control, message) {
  const place = faultOf(control);
  place.textContent = message;
  control.setAttribute("aria-invalid", "true");
  const described = new Set((control.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean));
  control.setAttribute("aria-describedby", [...described.add(place.id)].join(" "));
  control.addEventListener("input", () => unmark(control), { once: true });
}

/** Take away what `mark` said. */
export function unmark(control) {
  faultOf(control).textContent = "";
  control.removeAttribute("aria-invalid");
}

function faultOf(control) {
  const id = `${control.id}-fault`;
  let place = document.getElementById(id);
  if (!place) {
    place = Object.assign(document.createElement("p"), { id, className: "fault" });
    (control.closest(".field") ?? control.parentElement).append(place);
  }
  return place;
}

function busy(form, is) {
  form.setAttribute("aria-busy", String(is));
  for (const button of form.querySelectorAll('button[type="submit"]')) {
    button.toggleAttribute("data-busy", is);
    button.disabled = is;
  }
}

const filled = (next, answer) => next.replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(answer[key]));

/** Make every such form of the page send itself, and warn of what would be lost on leaving. */
export function start() {
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-call]")) return;
    event.preventDefault();
    if (event.target.getAttribute("aria-busy") !== "true") send(event.target);
  });
  document.addEventListener("input", (event) => {
    event.target.closest("form[data-guard]")?.setAttribute("data-changed", "");
  });
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-guard][data-changed]:not([data-sent])")) event.preventDefault();
  });
}
