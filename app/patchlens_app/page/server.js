/**
 * Talking to the server: one POST, answered by lines of JSON that tell how far it is, then the result and its bytes.
 */

/** Where gradio is mounted. */
export function root() {
  return (window.gradio_config?.root ?? location.origin + location.pathname).replace(/\/+$/, "");
}

/** Ask for something; tell(message) hears every step. Resolves to the last message, `raw` its bytes (ArrayBuffer). */
export async function post(door, data, { tell = () => {}, signal } = {}) {
  const body = JSON.stringify(data);
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${root()}/patchlens/${door}`, { method: "POST", headers, body, signal });
  if (!answer.ok) throw new Error(`The server did not answer (${answer.status}); try again.`);
  const result = await heard(answer.body.getReader(), tell);
  if (result.kind === "error") throw new Error(result.sentence);
  if (result.kind === "cancelled") throw new DOMException("Cancelled.", "AbortError");
  return result;
}

/** Read lines until the one that says how many bytes follow it, then those. */
async function heard(reader, tell) {
  let text = new Uint8Array();
  for (;;) {
    const end = text.indexOf(10);
    if (end < 0) {
      const { value, done } = await reader.read();
      if (done) throw new Error("The server stopped in the middle of its answer; try again.");
      text = joined(text, value);
      continue;
    }
    const message = JSON.parse(new TextDecoder().decode(text.subarray(0, end)));
    text = text.slice(end + 1);
    if (message.bytes === undefined) tell(message);
    else return { ...message, raw: await filled(reader, text, message.bytes) };
  }
}

async function filled(reader, first, size) {
  const all = new Uint8Array(size);
  let at = first.length;
  all.set(first);
  while (at < size) {
    const { value, done } = await reader.read();
    if (done) throw new Error("The server stopped in the middle of its answer; try again.");
    all.set(value, at);
    at += value.length;
  }
  return all.buffer;
}

function joined(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
