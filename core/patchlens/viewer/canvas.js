/**
 * Drawing without making the page lay itself out, which costs more than the drawing: a canvas's size is asked for once, and
 * words on the page change when all is drawn, for text on a canvas asks for the page's styles.
 */

let sizes = new WeakMap(); // canvas -> [width, height, ratio] in device pixels
let observer = null;

/** Forget all sizes: something on the page changed its own. */
export function remeasure() {
  sizes = new WeakMap();
}

/** Size a canvas to its box in device pixels and return how many go into a CSS pixel; null while it has no box. */
export function fitCanvas(canvas) {
  const [width, height, ratio] = sizes.get(canvas) ?? measured(canvas);
  if (!width || !height) return null;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return ratio;
}

function measured(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const size = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio), ratio];
  if (size[0] && size[1]) sizes.set(canvas, size); // what is hidden may be shown within this frame
  observer ??= new ResizeObserver((entries) => entries.forEach(({ target }) => sizes.delete(target)));
  observer.observe(canvas);
  return size;
}

/** Change the page's words once the drawing under way is done. */
export function afterDrawing(write) {
  queueMicrotask(write);
}
