/** The model picker: a text field that suggests, and takes any id. */

import { call, Problem } from "../api.js";
import { say } from "../text.js";

const MOST_SUGGESTED = 100; // a datalist of thousands makes browsers slow

/** The fields `provider` and `model` of the settings. */
export class ModelPicker {
  #all = [];

  constructor(form) {
    this.provider = form.elements.provider;
    this.model = form.elements.model;
    this.list = this.model.list;
    this.help = form.querySelector("[data-model-help]");
    this.provider.addEventListener("change", () => this.#moved());
    this.model.addEventListener("input", () => this.suggest());
  }

  /** Ask for the models; what is typed meanwhile stays. */
  async load() {
    this.help.textContent = say("models-loading");
    try {
      this.#all = (await call("GET", "/v1/models")).data.map((model) => model.id);
    } catch (fault) {
      if (!(fault instanceof Problem) && !(fault instanceof TypeError)) throw fault;
      const reason = fault instanceof Problem ? fault.message : say("unreachable");
      this.help.textContent = say("models-failed", { reason });
      return;
    }
    if (!this.model.value) this.#pickOnly();
    this.suggest();
  }

  /** The ids that fit the chosen provider, as the field takes them. */
  get #fitting() {
    const head = this.provider.value ? `${this.provider.value}/` : "";
    return this.#all.filter((id) => id.startsWith(head)).map((id) => id.slice(head.length));
  }

  #moved() {
    const fitting = this.#fitting;
    if (!fitting.includes(this.model.value)) this.model.value = "";
    this.#pickOnly();
    this.suggest();
    this.model.dispatchEvent(new Event("change", { bubbles: true }));
  }

  #pickOnly() {
    const fitting = this.#fitting;
    if (fitting.length === 1 || (fitting.length && this.provider.value)) this.model.value = fitting[0];
  }

  /** Offer what fits what is typed. */
  suggest() {
    const fitting = this.#fitting;
    const typed = this.model.value.toLowerCase();
    const found = fitting.filter((id) => id.toLowerCase().includes(typed));
    const offered = found.length === 1 && found[0] === this.model.value ? fitting : found;
    this.list.replaceChildren(...offered.slice(0, MOST_SUGGESTED).map((id) => new Option("", id)));
    this.help.textContent = fitting.length
      ? say("models-found", { count: fitting.length.toLocaleString("en") })
      : say("models-none");
  }

  /** The model's id as the API takes it; "" when there is none. */
  get value() {
    const typed = this.model.value.trim();
    const head = this.provider.value ? `${this.provider.value}/` : "";
    return !typed || (typed.startsWith(head) && this.#all.includes(typed)) ? typed : head + typed;
  }

  /** Show this id. */
  set value(id) {
    const slug = id.split("/", 1)[0];
    const known = [...this.provider.options].some((option) => option.value === slug && !option.disabled);
    this.provider.value = known && id.includes("/") ? slug : "";
    this.model.value = this.provider.value ? id.slice(slug.length + 1) : id;
    this.suggest();
  }
}
