/**
 * The drawing library, fetched when it is first needed and from where the host keeps it: never from elsewhere.
 */
import { fromBase64 } from "./payload.js";

/** Plotly, or null where neither the page nor the host (`host.plotly()`, which runs its script) has it. */
export async function plotlyOf(host) {
  if (!window.Plotly) await host.plotly?.().catch(() => null);
  return window.Plotly ?? null;
}

/** Run a script that the page carries as base64 of its gzip. */
export async function runPacked(text) {
  run(await unzipped(fromBase64(text)));
}

/** Run a script that came as gzip into a page of somebody else's, which may load its own scripts by AMD: not this one. */
export async function runGuest(bytes) {
  run(`((define, module, exports) => {\n${await unzipped(bytes)}\n}).call(window);`);
}

function unzipped(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function run(text) {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
}

/** Run a script from the host's own server. */
export function runFrom(address) {
  const script = document.createElement("script");
  script.src = address;
  return new Promise((resolve, reject) => {
    script.addEventListener("load", resolve, { once: true });
    script.addEventListener("error", () => reject(new Error(`${address} could not be loaded`)), { once: true });
    document.head.append(script);
  });
}
