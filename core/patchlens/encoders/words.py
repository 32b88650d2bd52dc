"""The tokenizer of `tiny-clip`: one number per word of a closed vocabulary.

It has open_clip's tokenizer signature (list of texts to int64 (n, context)) and knows no model. 0 pads, the last
two numbers start and end a text: open_clip pools at the largest number.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

FILE = Path(__file__).resolve().parents[1] / "reference" / "tiny-clip-words.json"


class Words:
    """Texts to numbers.

    words is the vocabulary, context_length the most numbers a text may take, start and end included.

        Words.bundled()(["a red star"])  # int64 (1, 32)
    """

    def __init__(self, words: tuple[str, ...], context_length: int) -> None:
        self.words, self.context_length = words, context_length
        self.number = {word: i for i, word in enumerate(words, 1)}
        self.start, self.end = len(words) + 1, len(words) + 2

    @classmethod
    @lru_cache(maxsize=1)
    def bundled(cls) -> Words:
        """The vocabulary that `tiny-clip` was trained with."""
        about = json.loads(FILE.read_text(encoding="utf-8"))
        return cls(tuple(about["words"]), about["context_length"])

    @property
    def vocab_size(self) -> int:
        """Numbers that can occur."""
        return len(self.words) + 3

    def split(self, text: str) -> list[str]:
        """The words of a text, in lower case; punctuation and digits only part them."""
        return re.findall(r"[^\W\d_]+", text.lower())

    def unknown(self, text: str) -> list[str]:
        """The words of a text that are not in the vocabulary, each once, in order."""
        return [word for word in dict.fromkeys(self.split(text)) if word not in self.number]

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> Tensor:
        """Numbers int64 (n, context), padded with 0.

        Raises ValueError, naming them, for unknown words; for a text without words; for one that is too long.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        length = context_length or self.context_length
        out = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in zip(out, texts, strict=True):
            words = self.split(text)
            self._check(text, words, length - 2)
            numbers = [self.start, *(self.number[word] for word in words), self.end]
            row[: len(numbers)] = torch.tensor(numbers)
        return out

    def _check(self, text: str, words: list[str], most: int) -> None:
        if unknown := self.unknown(text):
            named = ", ".join(repr(word) for word in unknown)
            near = [n for word in unknown for n in get_close_matches(word, self.words, 2, 0.75)]
            hint = f"did you mean {', '.join(dict.fromkeys(near))}" if near else "try 'a red striped star on the left'"
            raise ValueError(f"tiny-clip does not know the word{'s' * (len(unknown) > 1)} {named}; {hint}? It knows "
                             f"{len(self.words)} words: colours, shapes, patterns, sizes, places and motions.")  # fmt: skip
        if not words:
            raise ValueError(f"The text {text!r} holds no word; say what to look for, such as 'a red star'.")
        if len(words) > most:
            raise ValueError(f"The text has {len(words)} words; tiny-clip reads at most {most}: shorten it.")
