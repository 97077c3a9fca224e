// OpenAI's Node package against a running Dragoman: one line of JSON for each case.
// Standard input: {"modules", "package", "url", "key", "model", "losing_url", …}.

const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const asked = JSON.parse(readFileSync(0, "utf8"));
const OpenAI = createRequire(asked.modules + "/")(asked.package);
const client = new OpenAI({ baseURL: `${asked.url}/v1`, apiKey: asked.key });
const chats = client.chat.completions;
const messages = [{ role: "user", content: "Hello" }];
const weather = { type: "function", function: { name: "weather", parameters: {} } };
const model = asked.model;

async function tell(name, work) {
  console.log(JSON.stringify({ case: name, told: await work() }));
}

async function failure(work) {
  try {
    await work();
  } catch (error) {
    const kind = Object.getOwnPropertyNames(OpenAI).find((name) => OpenAI[name] === error.constructor);
    const { status, code, type, param, message } = error;
    const headers = error.headers;
    const retry = headers instanceof Headers ? headers.get("x-should-retry") : null;
    return { kind, status, code, type, param, message, retry, traced: Boolean(error.requestID) };
  }
  return null;
}

async function listed(pages) {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
}

async function ended(id) {
  return chats.retrieve(id, { headers: { Prefer: "wait=10" } });
}

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
const submit = (mark, fields) =>
  chats.create({ model, messages, user: mark, background: true, ...fields });

async function main() {
  await tell("plain", () => chats.create({ model, messages, user: "node" }));
  await tell("tools", () => chats.create({ model, messages, user: "node", tools: [weather] }));

  await tell("stream", async () => {
    const stream_options = { include_usage: true };
    const fields = { model, messages, stream: true, stream_options, sim: { words: 7 } };
    const chunks = await listed(await chats.create(fields));
    const numbers = chunks.map((chunk) => chunk.sequence_number);
    return { text: text(chunks), numbers, last: chunks.at(-1) };
  });
  await tell("accumulated stream", () =>
    chats.stream({ model, messages, user: "node", tools: [weather] }).finalChatCompletion(),
  );
  await tell("failing stream", async () => {
    const sim = { words: 7, ending: "cut", end_after: 3 };
    const chunks = [];
    const error = await failure(async () => {
      for await (const chunk of await chats.create({ model, messages, stream: true, sim }))
        chunks.push(chunk.sequence_number);
    });
    return { chunks, error };
  });
  await tell("silent stream", async () => {
    const headers = { "Content-Type": "text/event-stream" };
    const fetch = async () => new Response(asked.silent_stream, { headers });
    const silent = new OpenAI({ baseURL: `${asked.url}/v1`, apiKey: asked.key, fetch });
    return text(await listed(await silent.chat.completions.create({ model, messages, stream: true })));
  });
  await tell("left stream", async () => {
    const fields = { user: "left", sim: { words: 7, every: 0.03 }, stream: true };
    const heard = [];
    for await (const chunk of await submit("left", fields)) {
      heard.push(chunk);
      if (heard.length === 3) break;
    }
    const { id, sequence_number } = heard.at(-1);
    const query = { stream: true, starting_after: sequence_number };
    heard.push(...(await listed(await client.get(`/chat/completions/${id}`, { query, stream: true }))));
    const numbers = heard.map((chunk) => chunk.sequence_number);
    const job = await ended(id);
    return { text: text(heard), numbers, content: job.choices[0].message.content };
  });

  await tell("job", async () => {
    const made = await submit("job", { metadata: { run: "node" } });
    return { made, done: await ended(made.id) };
  });
  await tell("cancelled job", async () => {
    const made = await submit("cancelled", { sim: { latency: 30 } });
    return client.post(`/chat/completions/${made.id}/cancel`);
  });
  await tell("list", async () => {
    const metadata = { batch: "node" };
    const made = [];
    for (let n = 0; n < 5; n += 1) made.push((await submit(`n${n}`, { metadata })).id);
    const found = await listed(chats.list({ model, metadata, limit: 2 }));
    return { made, found: found.map((job) => job.id) };
  });
  await tell("changed job", async () => {
    const made = await submit("changed", { metadata: { run: "1" } });
    const updated = await chats.update(made.id, { metadata: { run: "2" } });
    const input = await listed(chats.messages.list(made.id));
    const deleted = await chats.delete(made.id);
    const gone = await failure(() => chats.retrieve(made.id));
    return { id: made.id, metadata: updated.metadata, input, deleted, gone };
  });

  await tell("models", async () => {
    const found = await listed(client.models.list());
    const one = await client.models.retrieve(asked.odd_model);
    const answer = await chats.create({ model: one.id, messages, user: "odd" });
    return { ids: found.map((entry) => entry.id), one, content: answer.choices[0].message.content };
  });

  await tell("response", () => client.responses.create({ model, input: "Hello", user: "node" }));
  await tell("response job", async () => {
    const made = await client.responses.create({ model, input: "Hello", user: "rj", background: true });
    const job = await ended(made.id.replace("resp_", "chatcmpl-"));
    const done = await client.responses.retrieve(made.id);
    await client.responses.delete(made.id);
    const gone = await failure(() => client.responses.retrieve(made.id));
    return { made: made.status, job: job.status, text: done.output_text, gone: gone.kind };
  });
  await tell("cancelled response", async () => {
    const fields = { model: asked.slow_model, input: "Hello", background: true };
    const { id } = await client.responses.create(fields);
    return (await client.responses.cancel(id)).status;
  });
  await tell("response stream", async () => {
    const fields = { model: asked.paced_model, input: "Hello", background: true, stream: true };
    const heard = [];
    for await (const event of await client.responses.create(fields)) {
      heard.push(event);
      if (heard.length === 5) break;
    }
    const { id } = heard[0].response;
    const query = { stream: true, starting_after: heard.at(-1).sequence_number };
    heard.push(...(await listed(await client.responses.retrieve(id, query))));
    const helper = client.responses.stream({ response_id: id, starting_after: 3 });
    const again = await listed(helper);
    const deltas = heard.filter((event) => event.type === "response.output_text.delta");
    return {
      text: deltas.map((event) => event.delta).join(""),
      numbers: heard.map((event) => event.sequence_number),
      last: heard.at(-1).type,
      again: again.map((event) => event.sequence_number),
      final: (await helper.finalResponse()).output_text,
      content: (await client.responses.retrieve(id)).output_text,
    };
  });

  await tell("webhook", async () => {
    const { body, headers, secret } = asked.webhook;
    const event = await client.webhooks.unwrap(body, headers, secret);
    const forged = await failure(() => client.webhooks.unwrap(body + " ", headers, secret));
    return { event, forged: forged.kind, job: (await chats.retrieve(event.data.id)).status };
  });

  const create = (fields, options) => () => chats.create({ model, messages, ...fields }, options);
  const stranger = new OpenAI({ baseURL: `${asked.url}/v1`, apiKey: "dgm_wrong" });
  const busy = new OpenAI({ baseURL: `${asked.busy_url}/v1`, apiKey: asked.key, maxRetries: 0 });
  const key = { headers: { "Idempotency-Key": `node-${asked.package}` } };
  const failures = {
    401: () => stranger.models.list(),
    404: () => chats.retrieve("chatcmpl-01J00000000000000000000000"),
    "404 model": create({ model: "nobody-lists-this" }),
    400: create({ background_options: { on_interrupt: "maybe" } }),
    409: create({ model: asked.disabled_model }),
    422: async () => {
      await create({}, key)();
      await create({ user: "other" }, key)();
    },
    "429 queue": () => busy.chat.completions.create({ model, messages, background: true }),
    "429 upstream": create({ sim: { status: 429 } }),
    502: create({ user: "once", sim: { status: 500 } }),
    504: create({ background_options: { timeout: 0.3 }, sim: { latency: 20 } }),
    stream: create({ stream: true, sim: { status: 500 } }),
  };
  await tell("failures", async () => {
    const found = Object.entries(failures).map(async ([name, work]) => [name, await failure(work)]);
    return Object.fromEntries(await Promise.all(found));
  });

  await tell("repeated call", async () => {
    const way = new OpenAI({ baseURL: `${asked.losing_url}/v1`, apiKey: asked.key });
    const options = { headers: { "Idempotency-Key": `node-lost-${asked.package}` } };
    const made = way.chat.completions.create({ model, messages, user: "lost" }, options);
    const { data, response } = await made.withResponse();
    const replayed = response.headers.get("idempotent-replayed");
    return { content: data.choices[0].message.content, replayed };
  });
}

main();
