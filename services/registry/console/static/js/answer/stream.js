/** Reading streams of chat completions into an `Answer`. */

import { open, Problem } from "../api.js";
import { events } from "./sse.js";

export const CHATS = "/v1/chat/completions";

const FIRST_PAUSE = 500; // ms, doubled after each connection that brought nothing
const LONGEST_PAUSE = 10_000;

/**
 * Add the chunks of `response` to `answer`, calling `changed` after each; whether it came to its end.
 *
 * Throws `Problem` for a stream that ends with an error.
 */
export async function read(response, answer, changed) {
  let done = false;
  for await (const { data } of events(response.body)) {
    if (data === "[DONE]") {
      done = true; // what follows is the connection's end: left to it, the browser keeps it
      continue;
    }
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Problem(response.status, chunk.error, response.headers.get("x-request-id"));
    answer.add(chunk);
    changed();
  }
  return done;
}

/**
 * Follow the job `id` behind the chunks that `answer` holds, until its end, over lost connections.
 *
 * Throws `Problem`, and AbortError through `signal`.
 */
export async function follow(id, answer, changed, signal) {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    const before = answer.last;
    try {
      const response = await open("GET", `${CHATS}/${id}?stream=true&starting_after=${before}`, { signal });
      if (await read(response, answer, changed)) return;
    } catch (fault) {
      if (fault instanceof Problem || signal.aborted) throw fault;
      console.info("The stream was cut and will be resumed.", fault.message);
    }
    if (answer.last > before) pause = FIRST_PAUSE;
    await rest(pause, signal);
  }
}

function rest(ms, signal) {
  return new Promise((settle, fail) => {
    const timer = setTimeout(settle, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        fail(signal.reason);
      },
      { once: true },
    );
  });
}
