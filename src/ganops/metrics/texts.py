"""Figures of texts that need no extractor: how alike generated texts are, and what of them stands in train.

Texts are numbers of words, uint16 [N, L]; `ends` says that a 0 ends a text, and that all behind it is padding.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Texts = NDArray[np.uint16]
Words = tuple[int, ...]

ORDER = 4
"""Words of the longest run: of BLEU-4, and of a copy."""
MOST = 500
"""Texts of a self-BLEU at most: with more of them each finds more of itself in the others."""
SMOOTHING = 0.1
"""Matches in the place of none, for runs of any length (method 1 of Chen & Cherry 2014, with their epsilon)."""
PROTOCOL: dict[str, Any] = {
    "self_bleu": f"BLEU-{ORDER}, each of at most {MOST} texts against the others; no match counts as {SMOOTHING}",
    "copied_ngrams": ORDER,
}
"""Words of what was computed."""


def self_bleu(texts: Texts, ends: bool) -> float:
    """The mean BLEU-4 of each of the first 500 texts against all others (Zhu et al. 2018, "Texygen", section 3.2).

    BLEU is that of Papineni et al. 2002: the geometric mean of the precisions of runs of one to four words, uniform
    weights, matches clipped by the most that one other text has, times the brevity penalty by the nearest length. A
    precision without a match is smoothed by `SMOOTHING`; lengths of run that a text is too short for are left out. 1
    where all texts are the same; 0 where there are no others.
    """
    lines = spoken(texts[:MOST], ends)
    if len(lines) < 2:
        return 0.0
    orders = [_clipped(lines, n) for n in range(1, ORDER + 1)]
    lengths = Counter(map(len, lines))
    return float(np.mean([_bleu(len(line), [found[i] for found in orders], lengths) for i, line in enumerate(lines)]))


def _clipped(lines: Sequence[Words], n: int) -> list[tuple[float, int]]:
    """Return the matches of the runs of n words of each text in the others, clipped, and their number."""
    counts = [Counter(runs(line, n)) for line in lines]
    most: dict[Words, tuple[int, int]] = {}
    for count in counts:
        for run, times in count.items():
            first, second = most.get(run, (0, 0))
            most[run] = (times, first) if times > first else (first, max(second, times))
    found = []
    for count in counts:
        # the most that another text has: the second largest where this one has the largest
        others = {run: most[run][1] if times == most[run][0] else most[run][0] for run, times in count.items()}
        found.append((float(sum(min(times, others[run]) for run, times in count.items())), count.total()))
    return found


def _bleu(length: int, matches: Sequence[tuple[float, int]], lengths: Counter[int]) -> float:
    """BLEU of a text of so many words, from its matches of each length of run and the lengths of all texts."""
    known = [(found or SMOOTHING) / total for found, total in matches if total]
    if not known:
        return 0.0
    others = [other for other, times in lengths.items() if times > (other == length)]
    nearest = min(others, key=lambda other: (abs(other - length), other))
    brevity = min(0.0, 1 - nearest / length)
    return math.exp(brevity + sum(map(math.log, known)) / len(known))


def exact_copies(texts: Texts, train: Texts, ends: bool) -> float:
    """Share of texts that stand in the training texts, word for word."""
    known = set(spoken(train, ends))
    return float(np.mean([line in known for line in spoken(texts, ends)]))


def copied_ngrams(texts: Texts, train: Texts, ends: bool) -> float:
    """Share of the runs of four words that occur in the training texts; 0 where no text has four words."""
    known = {run for line in spoken(train, ends) for run in runs(line, ORDER)}
    found = [run in known for line in spoken(texts, ends) for run in runs(line, ORDER)]
    return float(np.mean(found)) if found else 0.0


def spoken(texts: Texts, ends: bool) -> list[Words]:
    """Return the words of each text, without its end."""
    lines = [tuple(line) for line in texts.tolist()]
    return [line[: line.index(0)] if ends and 0 in line else line for line in lines]


def runs(line: Words, n: int) -> list[Words]:
    """Return all runs of n words of a text."""
    return [line[i : i + n] for i in range(len(line) - n + 1)]
