/**
 * Which clip: the samples as tiles, a place to drop a video of one's own, the camera, and which part of it to read.
 */
import { el } from "./dom.js";
import { SpanBar } from "./span.js";
import { Webcam } from "./webcam.js";

export class ClipPicker {
  /** `chosen(clip)` is called with {source, name, sha256, span}; `send(file, tell)` brings a file to the server. */
  constructor({ samples, limits }, { send, chosen }) {
    Object.assign(this, { limits, send, chosen, samples, clip: null, wanted: null });
    this.tiles = samples.map((sample) => this.tile(sample));
    const group = el("div.pl-tiles", { role: "radiogroup", "aria-label": "Samples" }, this.tiles);
    this.spanBar = new SpanBar((span) => this.take({ ...this.clip, span }));
    this.webcam = new Webcam((file) => this.bring(file));
    this.nodes = [group, this.place(), this.webcam.node, this.spanBar.node];
  }

  tile({ name, note, thumb }) {
    const radio = el("input", { type: "radio", name: "pl-clip", value: name });
    radio.addEventListener("change", () => this.choose(name));
    const picture = el("img", { src: thumb, alt: "", width: 72, height: 72 });
    return el("label.pl-tile", { title: note }, radio, picture, el("span", {}, name));
  }

  place() {
    const input = el("input.pl-file", { type: "file", accept: "video/*,.mkv,.avi,.mpg,.gif,.ts,.mov,.webm" });
    this.words = el("span", {}, "Your video: drop it here, or choose a file");
    const place = el("label.pl-drop", { title: this.limits }, input, this.words);
    input.addEventListener("change", () => {
      if (input.files[0]) this.bring(input.files[0]);
      input.value = ""; // the same file may be chosen again
    });
    for (const type of ["dragover", "drop"]) place.addEventListener(type, (event) => event.preventDefault());
    place.addEventListener("drop", ({ dataTransfer }) => dataTransfer.files[0] && this.bring(dataTransfer.files[0]));
    return place;
  }

  /** Upload a file, look it over, then choose it. */
  async bring(file) {
    this.words.textContent = `uploading ${file.name} …`;
    const { wanted } = this;
    try {
      const { source, glance } = await this.send(file);
      const same = wanted?.sha256 === glance.sha256;
      this.words.textContent = wanted && !same ? `${file.name}: not the file of the link, but here it is` : file.name;
      this.wanted = null;
      this.spanBar.open(glance, same ? wanted.span : null);
      this.mark(null);
      this.take({ source, name: file.name, sha256: glance.sha256, span: this.spanBar.span }, same);
    } catch {
      this.words.textContent = `${file.name} was not taken. ${this.limits}`; // why is said above the picture
    }
  }

  /** Choose a sample; `restored`: under the view that a link or a room asks for. */
  choose(name, restored = false) {
    if (!this.samples.some((sample) => sample.name === name)) return false;
    this.mark(name);
    this.wanted = null;
    this.spanBar.close();
    this.words.textContent = "Your video: drop it here, or choose a file";
    this.take({ source: `sample:${name}`, name, sha256: null, span: null }, restored);
    return true;
  }

  /** A link speaks of a file that only a person can bring: {name, sha256, span}. */
  expect(wanted) {
    this.wanted = wanted;
    const called = wanted.name ? `“${wanted.name}”` : "a video";
    this.words.textContent = `The link shows ${called} (sha256 ${wanted.sha256.slice(0, 12)}…). Choose that file here to see it.`;
  }

  take(clip, restored = false) {
    this.clip = clip;
    this.chosen(clip, restored);
  }

  /** Mark a tile as the chosen one, or none. */
  mark(name) {
    for (const tile of this.tiles) tile.firstChild.checked = tile.firstChild.value === name;
  }
}
