/** The provider form: presets, "will call …", the key, who may see it, and the test. */

import { call, Problem } from "../api.js";
import { mark, show, unmark } from "../forms.js";
import { say } from "../text.js";
import { bodyOf } from "../values.js";
import { Test } from "./test.js";

const PAUSE = 250; // ms without a key before the endpoint is resolved

const form = document.getElementById("provider-form");
const endpoint = document.getElementById("endpoint");
const name = document.getElementById("name");
const key = document.getElementById("api_key");
const owners = document.getElementById("owners");

const chosen = (group) => form.elements.namedItem(group)?.value;

/** What the form says, as the API takes it. */
function body() {
  const said = bodyOf(form);
  if (said.visibility === "owners") said.visibility = owners.value.split(/[\s,]+/u).filter(Boolean);
  const action = chosen("key_action");
  if (action === "keep") delete said.api_key;
  if (action === "remove") said.api_key = null;
  return said;
}

form.addEventListener("form:body", (event) => (event.detail.body = body()));
form.addEventListener("change", () => {
  owners.hidden = chosen("visibility") !== "owners";
  const fresh = form.querySelector("[data-new-key]");
  if (fresh) fresh.hidden = chosen("key_action") !== "replace";
});
form.addEventListener("form:refused", (event) => {
  const { fault } = event.detail;
  if (fault instanceof Problem && fault.param === "api_key" && chosen("key_action") === "keep") {
    form.querySelector('[name="key_action"][value="replace"]').click();
  }
  if (fault instanceof Problem && fault.code === "stale_revision") fault.message = say("stale");
});

// Presets

const presets = [...form.querySelectorAll("[data-preset]")];

for (const preset of presets) {
  preset.addEventListener("click", () => {
    for (const one of presets) one.setAttribute("aria-pressed", String(one === preset));
    const { preset: address, presetName } = preset.dataset;
    const untouched = (field, values) => !field.value.trim() || values.includes(field.value);
    if (untouched(endpoint, presets.map((one) => one.dataset.preset))) endpoint.value = address;
    if (untouched(name, presets.map((one) => one.dataset.presetName))) name.value = presetName;
    endpoint.dispatchEvent(new Event("input", { bubbles: true }));
    endpoint.focus();
  });
}

// "Will call …"

const willCall = document.getElementById("will-call");
let timer = null;
let asking = null;

function tell(found) {
  willCall.toggleAttribute("data-unknown", !found);
  willCall.querySelector("[data-chat-url]").textContent = found?.chat_url ?? "–";
  willCall.querySelector("[data-models-url]").textContent = found?.models_url ?? "–";
}

async function resolve() {
  asking?.abort();
  asking = new AbortController();
  const typed = endpoint.value.trim();
  if (!typed) {
    tell(null);
    return;
  }
  try {
    const found = await call("POST", "/v1/providers/resolve", { body: { endpoint: typed }, signal: asking.signal });
    unmark(endpoint);
    tell(found);
  } catch (fault) {
    if (fault.name === "AbortError") return;
    tell(null);
    if (fault instanceof Problem && fault.param === "endpoint") mark(endpoint, fault.message);
    else if (!(fault instanceof TypeError)) show(form, fault);
  }
}

endpoint.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(resolve, PAUSE);
});
if (endpoint.value) resolve();

// The key

for (const button of form.querySelectorAll("[data-reveal]")) {
  button.addEventListener("click", () => {
    const shown = key.type === "password";
    key.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
}

// The test

const wantsChat = document.getElementById("test-chat");
const test = new Test(form, {
  body() {
    const said = { ...body(), chat: wantsChat.checked };
    const model = document.getElementById("test-model").value.trim();
    if (wantsChat.checked && model) said.model = model;
    if (form.dataset.provider) said.provider = form.dataset.provider;
    return said;
  },
  use(address) {
    endpoint.value = address;
    form.setAttribute("data-changed", "");
    resolve();
    endpoint.focus();
  },
});
wantsChat.addEventListener("change", () => (form.querySelector("[data-test-model]").hidden = !wantsChat.checked));
document.getElementById("test").addEventListener("click", () => test.run());
