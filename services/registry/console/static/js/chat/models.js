/** The model picker: a text field that suggests, and takes any id. */

import { call, Problem } from "../api.js";
import { say } from "../text.js";

const MOST_SUGGESTED = 100; // a datalist of thousands makes browsers slow
const PAUSE = 200; // ms without a key before the server is asked

/** The fields `provider` and `model` of the settings. */
export class ModelPicker {
  #all = [];

  constructor(form) {
    this.provider = form.elements.provider;
    this.model = form.elements.model;
    this.list = this.model.list;
    this.help = form.querySelector("[data-model-help]");
    this.provider.addEventListener("change", () => this.#moved());
    this.model.addEventListener("input", () => (this.#many ? this.#lookSoon() : this.suggest()));
  }

  /** Whether there are too many providers to load all their models. */
  get #many() {
    return "veryMany" in this.provider.dataset;
  }

  #lookSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), PAUSE);
  }

  /** Ask for the models; what is typed meanwhile stays. */
  async load() {
    if (!this.#many) this.help.textContent = say("models-loading");
    const address = this.#address;
    try {
      const { data } = await call("GET", address);
      if (address !== this.#address) return; // more was typed, and is looked up next
      this.#all = data.map((model) => model.id);
    } catch (fault) {
      if (!(fault instanceof Problem) && !(fault instanceof TypeError)) throw fault;
      const reason = fault instanceof Problem ? fault.message : say("unreachable");
      this.help.textContent = say("models-failed", { reason });
      return;
    }
    if (!this.model.value && !this.#many) this.#pickOnly();
    this.suggest();
  }

  /** All models; of very many those that begin as what is typed: lists are in the order of ids. */
  get #address() {
    if (!this.#many) return "/v1/models";
    const typed = this.model.value.trim();
    return `/v1/models?${new URLSearchParams({ limit: MOST_SUGGESTED, ...(typed && { after: typed }) })}`;
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
    if (this.#many) this.help.textContent = say("models-many");
    else if (!fitting.length) this.help.textContent = say("models-none");
    else this.help.textContent = say("models-found", { count: fitting.length.toLocaleString("en") });
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
