/**
 * The viewer in a notebook, as anywidget wants it: the payloads arrive as bytes of the model, one for each lane.
 */
import { mount } from "./player.js";

function render({ model, el: place }) {
  const player = mount(place.appendChild(document.createElement("div")));
  const show = async () => {
    for (const [lane, { buffer, byteOffset, byteLength }] of model.get("payloads").entries())
      await player.show(buffer.slice(byteOffset, byteOffset + byteLength), { lane });
    player.choose(0);
  };
  model.on("change:payloads", show);
  show();
  return () => player.destroy();
}

export default { render };
