// OpenAI's Node package on streams that are silent for long: one line of JSON for each case.
// Standard input: {"modules", "package", "url", "key", "model", "slow_model", "pause"}.

const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const asked = JSON.parse(readFileSync(0, "utf8"));
const OpenAI = createRequire(asked.modules + "/")(asked.package);
const client = new OpenAI({ baseURL: `${asked.url}/v1`, apiKey: asked.key, maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];
const sim = { words: 6, pause: asked.pause, pause_before: 3 };
const paused = { model: asked.model, messages, stream: true, sim };

async function text(chunks) {
  let said = "";
  for await (const chunk of chunks) said += chunk.choices[0]?.delta.content ?? "";
  return said;
}

const cases = {
  stream: async () => text(await client.chat.completions.create(paused)),
  "resumed stream": async () => {
    const stream = await client.chat.completions.create({ ...paused, background: true });
    let id;
    for await (const chunk of stream) {
      id = chunk.id;
      break;
    }
    const query = { stream: true, starting_after: 0 };
    return text(await client.get(`/chat/completions/${id}`, { query, stream: true }));
  },
  "late stream": async () =>
    text(
      await client.chat.completions.create({ model: asked.slow_model, messages, stream: true }),
    ),
  "late response": async () => {
    const fields = { model: asked.slow_model, input: "Hello" };
    return (await client.responses.stream(fields).finalResponse()).output_text;
  },
};

for (const [name, work] of Object.entries(cases))
  work()
    .catch((error) => `${error.constructor.name}: ${error.message}`)
    .then((told) => console.log(JSON.stringify({ case: name, told })));
