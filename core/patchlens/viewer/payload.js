/**
 * Reading what Python sent: a JSON manifest, then binary arrays and pictures, in one buffer.
 *
 * Layout: uint32 length of the manifest, the manifest in UTF-8, and after it the blobs that it lists as
 * name -> [offset, length] (offsets from the end of the manifest, multiples of 4).
 */

/** Split a buffer into {manifest, floats(name), bytes(name), ints(name)}. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const manifest = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length;
  const view = (Kind, name) => {
    const [offset, size] = manifest.blobs[name];
    return new Kind(buffer, start + offset, size / Kind.BYTES_PER_ELEMENT);
  };
  return {
    manifest,
    floats: (name) => view(Float32Array, name),
    ints: (name) => view(Int32Array, name),
    bytes: (name) => view(Uint8Array, name),
  };
}

/** Decode base64 text (the HTML report carries its payload so). */
export function fromBase64(text) {
  const raw = atob(text.trim());
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes.buffer;
}

/** Decode the sampled pictures; resolves to ImageBitmaps in order. */
export function pictures(pack) {
  const names = pack.manifest.pictures.map((_, i) => `picture${i}`);
  return Promise.all(names.map((name) => createImageBitmap(new Blob([pack.bytes(name)], { type: "image/jpeg" }))));
}

/** A muted <video> of the span for smooth playing, or null where there is none or the browser cannot play it. */
export function proxy(pack) {
  if (!pack.manifest.blobs.proxy) return Promise.resolve(null);
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.preload = "auto";
  video.src = URL.createObjectURL(new Blob([pack.bytes("proxy")], { type: "video/mp4" }));
  return new Promise((resolve) => {
    video.addEventListener("loadeddata", () => resolve(video), { once: true });
    video.addEventListener("error", () => resolve(null), { once: true });
  });
}
