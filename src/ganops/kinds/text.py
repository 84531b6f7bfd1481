"""Kind text: sentences of a vocabulary, stored as the numbers of their words, shown as strings.

`facts["words"]` is the vocabulary: a word's number is its place. Where the first one is the empty string, it ends a
text: all behind it is padding. A language without such a word, such as that of an oracle, has texts of one length.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNIT = "text"
STORED = "uint16"
LAST = False
END = ""
"""The word that ends a text; where there is one, its number is 0."""
UNKNOWN = "<unk>"
"""The word for all that are not in the vocabulary."""
DIFFERING = 0.005
"""Share of texts in which two runtimes may differ: where a random number lies at the border of two words, the rounding
of a sum decides, and all that follows is another text."""
BETWEEN = {"words": " ", "characters": ""}
"""Separator of the words of a text, by `facts["by"]`."""
WIDTH, SIZE, LEADING, MARGIN = 256, 14, 18, 4
"""Width of a still, height of its letters, from line to line and margin, in pixels."""
LINE = {"words": 5, "characters": 30}
"""Words, or characters, that a line of a still has room for."""


def inputs(shape: tuple[int, ...], facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of a text as networks see it: [L] -> [L, V]."""
    return (*shape, len(facts["words"]))


def floats(stored: "Tensor", facts: Mapping[str, Any], dtype: "torch.dtype") -> "Tensor":
    """Return one-hot words: numbers [N, L] -> 0 or 1, [N, L, V]."""
    import torch

    found: Tensor = torch.nn.functional.one_hot(stored.long(), len(facts["words"])).to(dtype)
    return found


def stored(x: "Tensor", facts: Mapping[str, Any]) -> "Tensor":
    """Return the numbers of the likeliest words: [N, L, V] -> uint16 [N, L]; behind the end of a text are only ends."""
    import torch

    numbers = x.argmax(-1)
    if facts["words"][0] == END:
        ended = (numbers == 0).to(torch.int64).cumsum(-1) > 0
        numbers = numbers.masked_fill(ended, 0)
    return numbers.to(torch.uint16)


def shown(stored: Any, facts: Mapping[str, Any]) -> Any:
    """Return texts as strings: uint16 [N, L] -> str [N], in a dtype that every text of the vocabulary fits into."""
    words, between = facts["words"], BETWEEN[facts["by"]]
    longest = stored.shape[1] * (max(map(len, words)) + len(between))
    texts = [between.join(filter(None, (words[number] for number in text))) for text in stored]
    return np.array(texts, f"U{max(1, longest)}")


def look(stored: Any, facts: Mapping[str, Any]) -> Any:
    """Return set texts as grey stills, black on white: uint16 [N, L] -> uint8 [N, 1, H, 256], H by L alone."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(SIZE)
    count = 1 + math.ceil(stored.shape[1] / LINE[facts["by"]])
    stills = np.full((len(stored), 1, (count * LEADING) + LEADING // 2, WIDTH), 255, np.uint8)
    for still, text in zip(stills, shown(stored, facts).tolist(), strict=True):
        lines = _lines(text, font)
        lines = lines if len(lines) <= count else [*lines[: count - 1], f"{lines[count - 1][:-1]}…"]
        page = Image.fromarray(still[0])
        draw = ImageDraw.Draw(page)
        for i, line in enumerate(lines):
            draw.text((MARGIN, MARGIN + i * LEADING), line, fill=0, font=font)
        still[0] = np.asarray(page)
    return stills


def _lines(text: str, font: Any) -> list[str]:
    """Break a text where a line of a still is full; a word that fits into no line is broken as well."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= WIDTH - 2 * MARGIN:
            lines[-1] = joined
            continue
        lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > WIDTH - 2 * MARGIN:
                lines.append("")
            lines[-1] += letter
    return [each for each in lines if each]


def file(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """Return one text as a file of one line, in UTF-8."""
    return ".txt", "text/plain; charset=utf-8", f"{shown}\n".encode()


def joined(shown: Any, facts: Mapping[str, Any]) -> tuple[str, str, bytes] | None:
    """Return texts as one file, a line each."""
    return ".txt", "text/plain; charset=utf-8", "".join(f"{text}\n" for text in shown.tolist()).encode()


def words(shape: tuple[int, ...], facts: Mapping[str, Any]) -> str:
    """Return texts of a shape in words: texts of up to 20 words, of a vocabulary of 5,000."""
    upto = "up to " if facts["words"][0] == END else ""
    return f"texts of {upto}{shape[0]} {facts['by']}, of a vocabulary of {len(facts['words']):,}"


def agree(one: Any, other: Any) -> str | None:
    """Return the share of texts that differ where it is more than `DIFFERING`, one text at least, or None."""
    different = int((one != other).any(axis=1).sum())
    if different <= math.ceil(DIFFERING * len(one)):
        return None
    return f"{different} of {len(one)} texts, more than the {DIFFERING:.1%} of rounding"
