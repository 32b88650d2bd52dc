/**
 * The camera: a few seconds recorded in the browser, handed on as a file like any other.
 */
import { el, fill } from "./dom.js";

const LONGEST = 20; // seconds
const KINDS = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];

export class Webcam {
  /** taken(file) gets what was recorded. */
  constructor(taken) {
    this.taken = taken;
    this.button = el("button.pl-button", { type: "button", onclick: () => this.turn() }, "Record with the camera");
    this.picture = el("video.pl-camera", { muted: true, playsinline: true, hidden: true });
    this.picture.muted = true;
    this.said = el("p.pl-note", { role: "status" });
    this.node = el("div.pl-webcam", {}, this.button, this.picture, this.said);
  }

  turn() {
    if (this.recorder?.state === "recording") this.recorder.stop();
    else this.start().catch((error) => this.refuse(error));
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) throw new Error("none");
    this.said.textContent = "asking for the camera …";
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
    const type = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    const recorder = (this.recorder = new MediaRecorder(stream, { mimeType: type }));
    const parts = [];
    recorder.ondataavailable = ({ data }) => data.size && parts.push(data);
    recorder.onstop = () => this.finish(stream, parts, type);
    this.picture.srcObject = stream;
    this.picture.hidden = false;
    await this.picture.play();
    recorder.start(250);
    fill(this.button, "Stop and use it");
    this.said.textContent = `recording, at most ${LONGEST} s`;
    this.timer = setTimeout(() => recorder.state === "recording" && recorder.stop(), 1000 * LONGEST);
  }

  finish(stream, parts, type) {
    clearTimeout(this.timer);
    stream.getTracks().forEach((track) => track.stop());
    this.picture.hidden = true;
    this.picture.srcObject = null;
    this.said.textContent = "";
    fill(this.button, "Record with the camera");
    const end = type.startsWith("video/mp4") ? "mp4" : "webm";
    this.taken(new File(parts, `camera.${end}`, { type: type.split(";")[0] }));
  }

  refuse(error) {
    const denied = error.name === "NotAllowedError";
    this.said.textContent = denied
      ? "The browser does not allow the camera here; allow it in the address bar, or choose a file."
      : "There is no camera that this browser can use; choose a file instead.";
  }
}
