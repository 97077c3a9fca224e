/** What can be done about an error, beside what its message says. */

import { say } from "../text.js";

const OF_PROVIDER = /^(upstream_(?!refused)|provider_|outbound_)/;
const OF_MODEL = new Set(["model_not_found", "model_ambiguous", "provider_not_found"]);

function link(href, text) {
  return Object.assign(document.createElement("a"), { href, textContent: text, className: "button small" });
}

function note(text) {
  return Object.assign(document.createElement("span"), { textContent: text, className: "small muted" });
}

/** The elements to show below the message of `error`. */
export function remedies(error, model) {
  const found = [];
  const slug = model.includes("/") ? model.split("/", 1)[0] : null;
  if (slug && OF_PROVIDER.test(error.code ?? "")) found.push(link(`/providers/${slug}`, say("see-provider")));
  if (OF_MODEL.has(error.code)) found.push(link("/models", say("see-models")));
  if (error.billed) found.push(note(say("billed")));
  if (error.requestId) found.push(note(say("request", { id: error.requestId })));
  return found;
}
