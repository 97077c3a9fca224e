/** Server-sent events (WHATWG HTML, section 9.2.6) from the body of a fetch. */

/** What `text` holds of whole events, and the rest; each event is `{id, data}`. */
export class EventParser {
  #pending = "";
  #afterCr = false;
  #data = [];
  #id = null;

  /** The events that end within what came so far. */
  take(text) {
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    if (text) this.#afterCr = text.endsWith("\r");
    const lines = (this.#pending + text).split(/\r\n|\r|\n/);
    this.#pending = lines.pop();
    const found = [];
    for (const line of lines) this.#line(line, found);
    return found;
  }

  #line(line, found) {
    if (line === "") {
      if (this.#data.length) found.push({ id: this.#id, data: this.#data.join("\n") });
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "id") this.#id = value;
  }
}

/** The events of a response's body, as they come; leaving the loop closes the connection. */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.take(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => undefined); // it may have failed, and was told then
  }
}
