/** `<input data-providers list>`: offers the providers that fit what is typed, by slug. */

import { call, Problem } from "./api.js";

const PAUSE = 200; // ms without a key before the server is asked
const MOST = 20;

export function start(input) {
  let timer = null;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => offer(input), PAUSE);
  });
}

async function offer(input) {
  const typed = input.value.trim();
  if (!typed) return;
  try {
    const { data } = await call("GET", `/v1/providers?${new URLSearchParams({ q: typed, limit: MOST })}`);
    if (input.value.trim() === typed) {
      input.list.replaceChildren(...data.map((one) => new Option(one.name, one.slug)));
    }
  } catch (fault) {
    // Any slug may be typed without being offered.
    if (!(fault instanceof Problem) && !(fault instanceof TypeError)) throw fault;
  }
}
