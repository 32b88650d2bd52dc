"""Several plans on one clip, and several plans over a set of clips: what a notebook asks for in one line.

`compare` runs every plan (the cache decodes once); `sweep` measures accuracy against GMACs as the command of that name
does. Both give objects that show themselves as a table and as a pandas frame.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchlens.notebook import write
from patchlens.types import Clip, Trace

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from patchlens.widget import Player


@dataclass(frozen=True, eq=False)
class Comparison:
    """Traces of one clip under several plans, in the order asked for."""

    traces: tuple[Trace, ...]

    def __len__(self) -> int:
        return len(self.traces)

    def __iter__(self) -> Iterator[Trace]:
        return iter(self.traces)

    def __getitem__(self, number: int) -> Trace:
        return self.traces[number]

    def to_frame(self) -> DataFrame:
        """One row per plan: tokens kept, GMACs with the selector's own, share saved, cosine, KL, same answer."""
        import pandas

        return pandas.DataFrame([_row(trace) for trace in self.traces])

    def widget(self) -> Player:
        """The player with a lane for each plan."""
        first, *rest = self.traces
        return first.widget(*rest)

    def save_html(self, path: str | Path) -> Path:
        """Write the one-file offline report with a lane for each plan."""
        first, *rest = self.traces
        return write(first, "html", path, rest)

    def _repr_html_(self) -> str:
        return _table(f"{self.traces[0].clip.source.name}: {len(self)} plans", self.to_frame())


def compare(video: str | Path | Clip, plans: Sequence[Any], **options: Any) -> Comparison:
    """Run every plan on one clip; the options are those of `patchlens.run`.

    duel = patchlens.compare("clip.mp4", ["rlt:tau=0.1", "random:keep=0.5"], encoder="tiny-video")
    duel.to_frame(), duel.widget()

    Raises ValueError for no plan, and as `run` does.
    """
    from patchlens import pipeline

    if not plans:
        raise ValueError("There is nothing to compare; give one or more plans, such as rlt:tau=0.1.")
    return Comparison(tuple(pipeline.run(video, selector=plan, **options) for plan in plans))


def _row(trace: Trace) -> dict[str, Any]:
    r = trace.report
    return {
        "plan": trace.request.plan, "kept": r.tokens_kept, "keep_ratio": r.keep_ratio,
        "gmacs": r.reduced.total + r.selector_gmacs, "saved": r.saved, "cosine": r.cosine, "kl": r.kl,
        "same_answer": r.top1_same,
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sweep:
    """Accuracy (fidelity where there are no labels) against GMACs, as `patchlens sweep --json` writes it."""

    result: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per plan and budget, the full run first; see `evaluation.rows`."""
        return self.result["rows"]

    def to_frame(self) -> DataFrame:
        """The rows as a table, without the groups."""
        import pandas

        return pandas.DataFrame([{k: v for k, v in row.items() if k != "groups"} for row in self.rows])

    def plot(self) -> Figure:
        """Accuracy against GMACs, a line with intervals for each selector."""
        from patchlens.views.figures import frontier_figure
        from patchlens.views.frontier import trim

        return frontier_figure(trim(self.result))

    def _repr_html_(self) -> str:
        shown = self.to_frame()[["selector", "budget", "reached", "top1", "agreement", "cosine", "gmacs", "saved"]]
        return _table(f"{self.result['encoder']['name']} on {self.result['data']}", shown)


def sweep(
    where: Any = "motions",
    plans: Sequence[Any] = ("rlt", "motion"),
    *,
    encoder: Any = "tiny-video",
    budgets: Sequence[float] = (0.15, 0.3, 0.5, 0.7),
    limit: int = 64,
    seed: int = 3,
    **options: Any,
) -> Sweep:
    """Measure plans at several budgets over a set, with `random` beside them on the same clips.

    where    "motions", "scenes", a folder or a list, or a SampleSet
    plans    the grammar or selector objects; one that names no budget is run at each of `budgets`
    options  those of `evaluation.sweep.measure_set`
    Raises ValueError or KeyError in one sentence.
    """
    from patchlens.data.datasets import open_set
    from patchlens.data.samples import SampleSet
    from patchlens.encoders.resident import load_encoder
    from patchlens.evaluation.provenance import provenance
    from patchlens.evaluation.rows import swept
    from patchlens.evaluation.shipped import record
    from patchlens.evaluation.sweep import SEEDS, measure_set

    model = load_encoder(encoder) if isinstance(encoder, str) else encoder
    samples = where if isinstance(where, SampleSet) else open_set(where, seed, limit)
    options = {"seeds": SEEDS, **options}
    table = measure_set(model, samples, plans, budgets=budgets, seed=seed, **options)
    asked = {
        "command": f"patchlens.sweep({where!r}, {list(map(str, plans))}, limit={limit}, seed={seed})",
        "seed": seed, "seeds": options["seeds"], "provenance": provenance(),
    }  # fmt: skip
    return Sweep(record(swept(table), model, samples.name, asked))


def _table(title: str, frame: DataFrame) -> str:
    """A frame as a small table with a caption; all text is escaped."""
    body = frame.to_html(index=False, border=0, float_format=lambda x: f"{x:.4g}", na_rep="")
    return body.replace("<thead>", f"<caption>{html.escape(title)}</caption><thead>", 1)
