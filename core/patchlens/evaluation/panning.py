"""Does undoing camera motion pay on panning clips? Tokens that RLT keeps with and without it, at equal fidelity.

Clips are the procedural motions, filmed by a panning camera. Plain RLT runs at one tau; compensated RLT at many, and its
mean keep ratio is read off where its mean fidelity equals plain RLT's. Intervals are 95 %, from clips drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from patchlens.data.samples import Footage, SampleSet, Wanted
from patchlens.encoders.encoder import Encoder
from patchlens.evaluation.budgets import contender
from patchlens.evaluation.sweep import measure_set

TAUS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2)
DRAWS = 2000


def panning_set(seed: int = 3, limit: int = 128) -> SampleSet:
    """Procedural motions 0..limit of a stream, each filmed by a panning camera."""
    from patchlens.data.datasets import motion_set

    plain = motion_set(seed, limit)
    samples = tuple(replace(s, name=f"panning {seed}/{i}", make=_maker(i, seed)) for i, s in enumerate(plain))
    return SampleSet(f"panning motions, stream {seed}", samples)


def _maker(index: int, seed: int) -> Any:
    def make(wanted: Wanted) -> Footage:
        from patchlens.clip import Clip
        from patchlens.data.motions import DRAWN_BY, motion_clip

        made = motion_clip(index, seed, size=wanted.size_hw, frames=wanted.frames, fps=wanted.frames / 2, scene="pan")
        clip = Clip.from_frames(made.frames, wanted.frames / 2, f"panning {seed}/{index}", DRAWN_BY)
        return Footage(clip, None, {"difficulty": made.difficulty, "camera": "pan"})

    return make


def camera_study(
    encoder: Encoder, samples: SampleSet, tau: float = 0.1, taus: Sequence[float] = TAUS, seed: int = 0, **options: Any
) -> dict[str, Any]:
    """Plain RLT at `tau` against compensated RLT at `taus`: kept shares, fidelity, and their ratio at equal fidelity.

    share and interval: compensated tokens / plain tokens where the mean cosine is equal (None where no tau reaches it);
    same_tau and same_tau_cosine: the share and the difference in cosine with both at `tau`. options are `measure_set`'s.
    """
    taus = sorted({*taus, tau})
    plans = [f"rlt:tau={tau!r}", *[f"rlt:tau={x!r},compensate=on" for x in taus]]
    table = measure_set(encoder, samples, plans, budgets=[0.5], seeds=1, **options)
    runs = {v.contender.name: measured for v, measured in table.runs.items()}
    plain, *undone = (runs[contender(p).name] for p in plans)
    ratios, fidelity = (np.stack([r[name] for r in undone]) for name in ("ratio", "cosine"))  # (taus, clips)
    draw = np.random.default_rng(seed).integers(0, len(plain), (DRAWS, len(plain)))
    drawn = [_share(plain[d], ratios[:, d], fidelity[:, d]) for d in draw]
    known = [x for x in drawn if x is not None]
    share, same = _share(plain, ratios, fidelity), taus.index(tau)
    held = share is not None and len(known) > 0.95 * DRAWS
    return {
        "tau": tau, "n": len(plain), "plain_kept": float(plain["ratio"].mean()),
        "plain_cosine": float(plain["cosine"].mean()), "share": share,
        "interval": np.quantile(known, [0.025, 0.975]).tolist() if held else None,
        "same_tau": float(ratios[same].mean() / plain["ratio"].mean()),
        "same_tau_cosine": float((fidelity[same] - plain["cosine"]).mean()),
        "curve": [{"tau": t, "kept": float(r.mean()), "cosine": float(c.mean())}
                  for t, r, c in zip(taus, ratios, fidelity, strict=True)],
    }  # fmt: skip


def _share(plain: np.ndarray, ratios: np.ndarray, fidelity: np.ndarray) -> float | None:
    """Compensated over plain tokens at plain RLT's mean fidelity, between the taus on either side of it."""
    wanted, means, kept = plain["cosine"].mean(), fidelity.mean(1), ratios.mean(1)
    above = np.flatnonzero(means >= wanted)
    if not len(above):
        return None
    i = int(above[-1])  # the largest tau that is still as faithful
    if i + 1 == len(means):
        return float(kept[i] / plain["ratio"].mean())
    part = (means[i] - wanted) / max(means[i] - means[i + 1], 1e-12)
    return float((kept[i] + part * (kept[i + 1] - kept[i])) / plain["ratio"].mean())


def text(found: dict[str, Any]) -> str:
    """The study in a few lines, with its curve as Markdown."""
    lines = ["| tau, compensated | kept | cosine |", "|---|---|---|"]
    lines += [f"| {r['tau']:g} | {r['kept']:.3f} | {r['cosine']:.4f} |" for r in found["curve"]]
    lines.append(
        f"plain RLT at tau {found['tau']:g} keeps {found['plain_kept']:.3f}, cosine {found['plain_cosine']:.4f}; "
        f"{found['n']} panning clips"
    )
    if found["share"] is None:
        lines.append("compensated RLT is nowhere as faithful: no share at equal fidelity")
    else:
        ends = "" if found["interval"] is None else " [{:.2f}, {:.2f}]".format(*found["interval"])
        lines.append(f"at equal fidelity compensation keeps {found['share']:.2f}{ends} of the tokens that plain RLT keeps")
    lines.append(f"at equal tau it keeps {found['same_tau']:.2f} of them, cosine {found['same_tau_cosine']:+.4f}")
    return "\n".join(lines)
