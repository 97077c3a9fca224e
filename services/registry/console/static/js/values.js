/**
 * A form's controls as JSON. The name is a path (`options.max_concurrency`), and `data-kind` says
 * what the text means: `number`, `words` (split at commas and spaces), `lines`, `flag`.
 *
 * An empty control is left out, unless `data-empty` is `null`, `text` ("") or `list` ([]).
 * A control with `data-skip` is none of the body.
 */

const EMPTY = { null: () => null, text: () => "", list: () => [] };

/** The body that `form` describes. */
export function bodyOf(form) {
  const body = {};
  for (const control of form.elements) {
    if (!control.name || control.disabled || control.dataset.skip !== undefined) continue;
    if (control.type === "radio" && !control.checked) continue;
    if (["submit", "button"].includes(control.type) || control.name === "csrf_token") continue;
    const value = valueOf(control);
    if (value !== undefined) put(body, control.name.split("."), value);
  }
  return body;
}

/** What `control` says: undefined when it says nothing. */
export function valueOf(control) {
  if (control.type === "checkbox") return control.checked;
  const { kind, empty } = control.dataset;
  const text = kind === "lines" || control.dataset.exact !== undefined ? control.value : control.value.trim();
  if (text.trim() === "") return empty in EMPTY ? EMPTY[empty]() : undefined;
  if (kind === "number") return control.validity.badInput ? text : Number(text);
  if (kind === "flag") return text === "true";
  if (kind === "words") return text.split(/[\s,]+/u).filter(Boolean);
  if (kind === "lines") return text.split(/\r?\n/u).map((line) => line.trim()).filter(Boolean);
  return text;
}

function put(body, path, value) {
  const last = path.pop();
  let place = body;
  for (const key of path) place = place[key] ??= {};
  place[last] = value;
}
