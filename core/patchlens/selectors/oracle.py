"""The Grad-CAM oracle: what each token was worth to the answer, known only after the full run.

It needs the full run, so it is no saving but a yardstick: with the true label it even leaks the answer (LITE's own table:
78.5 % with the true label at half the tokens, 70.0 % with the predicted one, 70.5 % with all tokens).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from patchlens.keep import Rule, best
from patchlens.knobs import choice, knob, text
from patchlens.registry import Context, register
from patchlens.types import Scores, Tokens


class Watched(NamedTuple):
    """What an oracle looks at, every "auto" resolved: block numbers, one of `gradcam.GRADIENTS`, one of `gradcam.SIGNS`."""

    blocks: tuple[int, ...]
    gradient: str
    sign: str


@register("oracle")
@dataclass(frozen=True)
class Oracle:
    """Grad-CAM of a class logit at the MLP outputs of one block or several, min-max to 0..1 per clip (LITE eqs. 1-2).

    label     "auto": the label given with the clip, else the predicted one; or "predicted"; or a class name or number; for
              CLIP any text: its cosine to the clip is explained
    gradient  "mean": averaged over tokens, as LITE has it; "own": each token's own (our departure, see `gradcam.py`)
    sign      "positive": what speaks for the answer (LITE's ReLU); "either": what speaks for or against it, by magnitude
              (our departure: without a token that speaks against it the answer changes too)
    block     a number, negative from the end; or "mean", the mean of all blocks' maps, "mean3" that of the last three
    clean     "edges" (halved on the border), "peaks" (isolated ones removed), "sharpen" or "rank": see `cleaning.py`

    "auto" of the three stands for what the encoder's card found best on validation clips (`evaluation/oracles.py`). Without
    a card: LITE's definition at the last block (for class-token pooling at the one before: in the last block no patch has a
    gradient there).
    """

    keep: float = knob(0.5, 0.01, 1.0, step=0.01, unit="share of tokens", help="keep ratio K/N")
    label: str = text("auto", help="auto, predicted, a class name, or for CLIP any text")
    block: str = text("auto", help="auto, a block number (negative from the end), mean, or mean3 (the last three)")
    gradient: str = choice("auto", ("auto", "mean", "own"), stage="score", help="mean over tokens (LITE), or each's own")
    sign: str = choice(
        "auto", ("auto", "positive", "either"), stage="score", help="what speaks for the answer (LITE), or also against it"
    )  # fmt: skip
    clean: str = choice(
        "none", ("none", "edges", "peaks", "sharpen", "rank"), stage="score",
        help="the paper's ways of cleaning the map (sec. 4.4), or its ranks",
    )  # fmt: skip
    per: str = choice("clip", ("clip", "frame"), help="choose over the whole clip, or the same share of every frame")
    requires = frozenset({"logits", "gradients"})
    monotone = True

    def score(self, tokens: Tokens, context: Context) -> Scores:
        """The token-value map; ties of the ReLU are broken by the value before it."""
        from patchlens.cleaning import clean
        from patchlens.gradcam import counted, token_values, token_values_gmacs, unit_range, whole_segments

        encoder = context.encoder
        blocks, gradient, sign = self.watched(encoder)
        wanted, name, given = wanted_of(encoder, self.label, context.label)
        (value,) = token_values(encoder, [tokens], [wanted], blocks, check=context.check, gradient=gradient)
        block = blocks[0] if len(blocks) == 1 else list(blocks)
        label = name or encoder.classes[value.label]
        facts: dict[str, Any] = {
            "block": block,
            "gradient": gradient,
            "sign": sign,
            "label": label,
            "label_from": "given" if given else "predicted",
        }
        signed = counted(value.signed, sign)
        if not bool((signed > 0).any()):
            facts["note"] = self._why_empty(encoder, blocks)
        gmacs = token_values_gmacs(encoder, whole_segments(encoder, tokens.grid), blocks)
        values = clean(unit_range(signed), tokens.grid, self.clean, signed)
        return Scores(values, unit_of(block, gradient, sign, label), signed, gmacs, facts)

    def rule(self) -> Rule:
        """Top K."""
        return best(self.keep, self.per)

    def watched(self, encoder: Any) -> Watched:
        """What it looks at on an encoder: what the encoder's card names in place of "auto"."""
        from patchlens.gradcam import block_numbers

        card = encoder.loaded.facts.get("oracle", {})
        gradient = card.get("gradient", "mean") if self.gradient == "auto" else self.gradient
        sign = card.get("signs", {}).get(gradient, "positive") if self.sign == "auto" else self.sign
        last = "-2" if encoder.config.pool == "cls" else "-1"
        block = card.get("blocks", {}).get(f"{gradient} {sign}", last) if self.block == "auto" else self.block
        return Watched(block_numbers(encoder, block), gradient, sign)

    @staticmethod
    def _why_empty(encoder: Any, blocks: tuple[int, ...]) -> str:
        if encoder.config.pool == "cls" and blocks == (encoder.config.depth - 1,):
            return (
                "The token-value map is empty: this encoder answers from its class token, so in the last block no patch "
                "reaches the answer; choose an earlier block."
            )
        return "The token-value map is zero everywhere: at this block no patch speaks for the class."


def unit_of(block: int | list[int], gradient: str, sign: str, label: str) -> str:
    """What a map's values are, in words; `block` is a number or a list of those averaged."""
    way = {"mean": "grad-cam", "own": "gradient x activation"}[gradient]
    where = f"block {block}" if isinstance(block, int) else f"blocks {block[0]} to {block[-1]}, their mean"
    return f"{f'|{way}|' if sign == 'either' else way} of '{label}' at {where}, 0..1"


def wanted_of(encoder: Any, knob: str, given: str | int | None) -> tuple[Any, str | None, bool]:
    """What to explain: (class number, text feature, or None for the predicted class; its name; whether it was given).

    Raises ValueError for an unknown class, and for an encoder of texts without one to compare with.
    """
    label = given if knob == "auto" else knob
    if encoder.classes:
        if label in (None, "", "predicted"):
            return None, None, False
        number = class_number(encoder.classes, label)
        return number, encoder.classes[number], True
    if label in (None, "", "predicted"):
        raise ValueError(f"{encoder.name} names no classes: give a text to compare with as the label, as in "
                         "oracle:label=a red ball.")  # fmt: skip
    return encoder.loaded.text.encode_text([str(label)])[0], str(label), True


def class_number(classes: tuple[str, ...], label: str | int) -> int:
    """The number of a class given by name (upper or lower case) or number.

    Raises ValueError naming some of the classes.
    """
    if isinstance(label, int) and 0 <= label < len(classes):
        return label
    lowered = [c.lower() for c in classes]
    if str(label).lower() in lowered:
        return lowered.index(str(label).lower())
    if str(label).isdecimal() and int(label) < len(classes):
        return int(label)
    raise ValueError(f"The encoder knows no class {label!r}; it knows {len(classes)}: {', '.join(classes[:16])}"
                     f"{', ...' if len(classes) > 16 else '.'}")  # fmt: skip
