/** Conversations of stored jobs. */

import { call } from "../api.js";
import { choiceOf } from "../answer/fold.js";
import { CHATS } from "../answer/stream.js";
import { emptyAnswer, turnsOf } from "./conversation.js";

const PAGE = 100; // messages

/** What the job `id` was asked, and what it answered: `{system, turns, model}`; throws as `call` does. */
export async function conversationOf(id) {
  const path = `${CHATS}/${encodeURIComponent(id)}`;
  const job = await call("GET", path);
  const messages = [];
  for (let more = true; more; ) {
    const after = messages.length ? `&after=${encodeURIComponent(messages.at(-1).id)}` : "";
    const page = await call("GET", `${path}/messages?limit=${PAGE}${after}`);
    messages.push(...page.data);
    more = page.has_more;
  }
  const { system, turns } = turnsOf(messages);
  const [choice] = Array.isArray(job.choices) ? job.choices : [];
  if (choice) {
    const said = choiceOf(choice.message ?? {}, choice.finish_reason);
    turns.push({ ...emptyAnswer(job.model, "done"), choice: said, job: id, usage: job.usage });
  }
  return { system, turns, model: job.model };
}
