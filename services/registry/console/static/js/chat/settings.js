/** The settings of a chat: kept in the tab for their owner, and turned into a request. */

import { mark, unmark } from "../forms.js";
import { say } from "../text.js";
import { bodyOf } from "../values.js";
import { ModelPicker } from "./models.js";

const PLACE = "dragoman.chat.settings.1"; // the number is that of what is kept
const EXAMPLE = '{"reasoning_effort": "low"}';

export class Settings {
  constructor(form, owner) {
    this.form = form;
    this.owner = owner;
    this.picker = new ModelPicker(form);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.#keep());
    form.addEventListener("reset", () => setTimeout(() => this.#afterReset()));
  }

  #keep() {
    const fields = ["provider", "model", "system", "temperature", "top_p", "max_tokens", "seed", "extra"];
    const values = Object.fromEntries(fields.map((id) => [id, this.form.querySelector(`#${id}`).value]));
    sessionStorage.setItem(PLACE, JSON.stringify({ owner: this.owner, values }));
  }

  #afterReset() {
    for (const control of this.form.querySelectorAll('[aria-invalid="true"]')) unmark(control);
    this.picker.suggest();
    this.#keep();
  }

  /** Fill in what was kept, then what the page's address names. */
  restore(asked) {
    const kept = JSON.parse(sessionStorage.getItem(PLACE) ?? "{}");
    const values = kept.owner === this.owner ? kept.values : {};
    for (const [id, value] of Object.entries(values)) {
      const control = this.form.querySelector(`#${CSS.escape(id)}`);
      if (control && typeof value === "string") control.value = value;
    }
    if (this.picker.provider.selectedIndex < 0) this.picker.provider.value = "";
    if (asked.get("provider")) {
      this.picker.provider.value = asked.get("provider");
      this.picker.model.value = "";
      if (this.picker.provider.selectedIndex < 0) {
        this.picker.provider.value = "";
        this.picker.model.value = `${asked.get("provider")}/`;
      }
    }
    if (asked.get("model")) this.picker.value = asked.get("model");
  }

  get system() {
    return this.form.elements.system.value.trim();
  }

  set system(text) {
    this.form.elements.system.value = text;
    this.#keep();
  }

  /**
   * The request for these messages, or null when a field is wrong, which it then says.
   *
   * A `draft` is made of what is there, without a word about what is missing.
   */
  request(messages, { draft = false } = {}) {
    const { provider: _, model: __, system: ___, ...parameters } = bodyOf(this.form);
    const model = this.picker.value;
    const extra = this.#extra();
    if (!draft && (!model || extra === null || this.#badNumber())) {
      if (!model) this.#refuse(this.picker.model, say("model-missing"));
      return null;
    }
    const stream = { stream: true, stream_options: { include_usage: true } };
    return { model: model || say("some-model"), messages, ...parameters, ...stream, ...extra };
  }

  #refuse(control, message) {
    mark(control, message);
    for (let at = control.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    control.focus();
  }

  #badNumber() {
    for (const control of this.form.querySelectorAll('[data-kind="number"]')) {
      if (control.validity.valid) continue;
      this.#refuse(control, control.validity.badInput ? say("number-bad") : control.validationMessage);
      return true;
    }
    return false;
  }

  #extra() {
    const control = this.form.querySelector("#extra");
    if (!control.value.trim()) return {};
    let reason = "";
    try {
      const value = JSON.parse(control.value);
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
    } catch (fault) {
      if (!(fault instanceof SyntaxError)) throw fault;
      reason = fault.message;
    }
    this.#refuse(control, say("extra-bad", { example: EXAMPLE, reason }));
    return null;
  }
}
