// HTTP as a client speaks it, and the steps of a story that somebody else goes on between.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

export class Caller {
  constructor(url) {
    this.url = url;
    this.token = null;
  }

  /** The JSON of the answer, whose status must be this. */
  async call(method, path, body, status = 200) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    if (body !== undefined && !(body instanceof FormData)) {
      headers["Content-Type"] = "application/json";
      body = JSON.stringify(body);
    }
    const answer = await fetch(this.url + path, { method, headers, body });
    const text = await answer.text();
    assert.equal(answer.status, status, `${method} ${path} was answered ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** The error that a request is answered with. */
  async refused(method, path, body, status) {
    return (await this.call(method, path, body, status)).error;
  }
}

/**
 * Tell a story step by step: each step's name and what it returns go out as a line, and what comes
 * back as a line is what the next step is given.
 */
export async function tell(steps, given, prepare) {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  for (const step of steps) {
    let said;
    try {
      said = await step(given);
    } catch (error) {
      console.log(`FAILED ${step.name} ${JSON.stringify(`${error.stack} ${error.cause ?? ""}`)}`);
      process.exit(1);
    }
    const goOn = prepare();
    console.log(`ok ${step.name} ${JSON.stringify(said ?? {})}`);
    given = JSON.parse((await lines.next()).value);
    await goOn(given);
  }
  process.exit(0);
}
