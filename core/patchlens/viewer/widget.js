/**
 * The viewer in a notebook, as anywidget wants it: the payload arrives as bytes of the model.
 */
import { mount } from "./player.js";

function render({ model, el: place }) {
  const player = mount(place.appendChild(document.createElement("div")));
  const show = () => {
    const { buffer, byteOffset, byteLength } = model.get("payload");
    if (byteLength) player.show(buffer.slice(byteOffset, byteOffset + byteLength));
  };
  model.on("change:payload", show);
  show();
  return () => player.destroy();
}

export default { render };
