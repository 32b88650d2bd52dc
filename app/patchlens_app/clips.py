"""The sample clips side by side: how each one's answer holds as tokens are dropped. Made once and shipped.

`python -m patchlens_app.clips` makes the file anew; a test says when that is due.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from patchlens_app.traces import ENCODER, FOLDER

PATH = FOLDER / "clips.json"
ORDERS = ("lite", "rlt-topk", "attention", "motion", "saliency", "uniform", "center")  # beside the oracle's
DRAWS = 16


def clips() -> dict[str, Any]:
    """{encoder, clips: one `evaluation.holding` for each sample}; no clips where the file is about other weights."""
    from patchlens.encoders.catalog import BUNDLED
    from patchlens.encoders.weights import digest

    file, found = BUNDLED / f"{ENCODER}.safetensors", _read()
    ours = file.exists() and digest(file) == found["sha256"]
    return {"encoder": ENCODER, "clips": found["clips"] if ours else []}


@cache
def _read() -> dict[str, Any]:
    return json.loads(PATH.read_text("utf-8"))


def make(name: str) -> dict[str, Any]:
    """A sample's curves, measured now."""
    import patchlens as pl
    from patchlens.evaluation.holding import holding
    from patchlens.specs import parse_plan

    from patchlens_app.samples import samples

    sample, encoder = samples()[name], pl.load_encoder(ENCODER)
    trace = pl.run(sample.path(), encoder=encoder, selector="oracle", name=name, motion=True, cache=False)
    others = [parse_plan(order).selectors[0] for order in ORDERS]
    return holding(trace, encoder, others, sample.label, draws=DRAWS)


def main() -> None:
    """Make all of them."""
    from patchlens.cache import write_whole
    from patchlens.encoders.catalog import BUNDLED
    from patchlens.encoders.weights import digest

    from patchlens_app.samples import procedural

    lines = ",\n".join(json.dumps(make(name), allow_nan=False) for name in procedural())
    sha256 = digest(BUNDLED / f"{ENCODER}.safetensors")
    write_whole(PATH, f'{{"sha256": "{sha256}",\n"clips": [\n{lines}\n]}}\n'.encode())
    print(f"{PATH.name}: {PATH.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
