/** A request as a program of somebody else's: for curl, and for OpenAI's Python package. */

const KEY = "DRAGOMAN_API_KEY";
// What `chat.completions.create` of openai-python takes by name; the rest goes into `extra_body`.
const NAMED = new Set([
  ..."model messages stream stream_options temperature top_p max_tokens max_completion_tokens".split(" "),
  ..."seed stop n presence_penalty frequency_penalty logprobs top_logprobs logit_bias user".split(" "),
  ..."response_format tools tool_choice parallel_tool_calls reasoning_effort metadata store".split(" "),
  "service_tier",
]);

/** `text` as one word of a POSIX shell. */
export function shellWord(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A JSON value as Python, its lines indented by `depth` levels. */
export function pythonOf(value, depth = 0) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const list = Array.isArray(value);
  const members = list
    ? value.map((one) => pythonOf(one, depth + 1))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonOf(one, depth + 1)}`);
  if (members.length === 0) return list ? "[]" : "{}";
  const pad = "    ".repeat(depth + 1);
  return `${list ? "[" : "{"}\n${members.map((one) => `${pad}${one},\n`).join("")}${"    ".repeat(depth)}${list ? "]" : "}"}`;
}

/** A command line that sends `body` to the Dragoman at `origin`. */
export function curl(origin, body) {
  return [
    `curl -N ${shellWord(`${origin}/v1/chat/completions`)}`,
    `  -H "Authorization: Bearer $${KEY}"`,
    `  -H 'Content-Type: application/json'`,
    `  -d ${shellWord(JSON.stringify(body, null, 2))}`,
  ].join(" \\\n");
}

/** A Python program that sends `body` and prints the answer as it comes. */
export function python(origin, body) {
  const named = [];
  const extra = {};
  for (const [name, value] of Object.entries(body)) {
    if (NAMED.has(name)) named.push(`    ${name}=${pythonOf(value, 1)},\n`);
    else extra[name] = value;
  }
  if (Object.keys(extra).length) named.push(`    extra_body=${pythonOf(extra, 1)},\n`);
  return `import os

from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key=os.environ["${KEY}"])
stream = client.chat.completions.create(
${named.join("")})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
`;
}
