/** Work that is wanted often: done ten times a second at most, and a fifth of the time at most. */

const LEAST_MS = 100;
const SHARE = 4; // rest this many times as long as the last turn took

/** Does `work` soon after it was last `wanted`; `now` does what is left at once. */
export class Pace {
  #work;
  #timer = null;
  #rest = LEAST_MS;
  #doneAt = -Infinity;

  constructor(work) {
    this.#work = work;
  }

  wanted() {
    if (this.#timer !== null) return;
    const wait = Math.max(0, this.#doneAt + this.#rest - performance.now());
    this.#timer = setTimeout(() => this.now(), wait);
  }

  now() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const begun = performance.now();
    this.#work();
    this.#doneAt = performance.now();
    this.#rest = Math.max(LEAST_MS, SHARE * (this.#doneAt - begun));
  }
  /** Forget what was wanted. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }
}
