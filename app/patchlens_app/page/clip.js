/**
 * Which clip: the samples as tiles, and a place to drop a video of one's own.
 */
import { el } from "./dom.js";

export class ClipPicker {
  /** chosen(source, name) is called with "sample:NAME" or "upload:PATH"; `upload` sends a File to the server. */
  constructor({ samples, limits }, { upload, chosen }) {
    Object.assign(this, { limits, upload, chosen });
    this.tiles = samples.map((sample) => this.tile(sample));
    const group = el("div.pl-tiles", { role: "radiogroup", "aria-label": "Samples" }, this.tiles);
    this.nodes = [group, this.place()];
  }

  tile({ name, note, thumb }) {
    const radio = el("input", { type: "radio", name: "pl-clip", value: name });
    radio.addEventListener("change", () => this.chosen(`sample:${name}`, name));
    const picture = el("img", { src: thumb, alt: "", width: 72, height: 72 });
    return el("label.pl-tile", { title: note }, radio, picture, el("span", {}, name));
  }

  place() {
    const input = el("input.pl-file", { type: "file", accept: "video/*,.mkv,.avi,.mpg,.gif,.ts,.mov,.webm" });
    this.words = el("span", {}, "Your video: drop it here, or choose a file");
    const place = el("label.pl-drop", { title: this.limits }, input, this.words);
    input.addEventListener("change", () => input.files[0] && this.take(input.files[0]));
    for (const type of ["dragover", "drop"]) place.addEventListener(type, (event) => event.preventDefault());
    place.addEventListener("drop", ({ dataTransfer }) => dataTransfer.files[0] && this.take(dataTransfer.files[0]));
    return place;
  }

  /** Upload a file, then choose it. */
  async take(file) {
    this.words.textContent = `uploading ${file.name} …`;
    try {
      const { path } = await this.upload(file);
      this.words.textContent = file.name;
      for (const tile of this.tiles) tile.firstChild.checked = false;
      this.chosen(`upload:${path}`, file.name);
    } catch {
      this.words.textContent = `${file.name} was not taken. ${this.limits}`;
    }
  }

  /** Choose the first sample. Not by a click: a control that is not on the page yet tells nobody that it changed. */
  first() {
    const radio = this.tiles[0]?.querySelector("input");
    if (!radio) return;
    radio.checked = true;
    this.chosen(`sample:${radio.value}`, radio.value);
  }
}
