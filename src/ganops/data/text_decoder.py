"""One text, whatever its form, to the UTF-8 bytes of its words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import ConfigError, DataError
from ganops.data.sources.item import ItemError, Wanted
from ganops.data.sources.lines import LINE_LIMIT, TEXTS, Language
from ganops.kinds.text import BETWEEN, END, UNKNOWN

LONGEST_WORD = 100
"""Characters of a word, at most."""
MOST_UNKNOWN = 0.5
"""Share of the words of a new text that may be expected to be unknown, at most."""

MARKS = 30
"""Marks on one character, at most (Stream-Safe Text Format, UAX #15 of Unicode): to sort them takes their square."""

EMPTY = "empty: passed over"
"""Conversion of a text without a word."""

_SPECIALS = (END, UNKNOWN)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")  # those that are no white space
# marks that nobody sees: of hyphenation and of direction, joiners of words, byte order; U+200B is a space
_UNSEEN = dict.fromkeys([0xAD, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF], None)
_UNSEEN_AND_SPACE: dict[int, str | None] = {**_UNSEEN, 0x200B: " "}


class _Classes(dict[int, str]):
    """Code point -> one letter: (w)ord, (a)postrophe or hyphen, (m)ark, (j)oiner, (s)pace, (p)unctuation and others."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        kind = unicodedata.category(character)
        if point in (0x200C, 0x200D):
            found = "j"
        elif 0x1F3FB <= point <= 0x1F3FF or kind[0] == "M" or kind == "Cf":
            found = "m"
        elif character in "'’-‐":
            found = "a"
        else:
            found = "s" if character.isspace() else "w" if kind[0] in "LN" or kind == "Pc" else "p"
        self[point] = found
        return found


_CLASSES = _Classes()
_WORD = re.compile("w[wmj]*(?:aw[wmj]*)*|[^s]m*(?:j[^s]m*)*")


def words(text: str) -> list[str]:
    """Return the words of a text, and its punctuation marks and other symbols, one each.

    A word is letters, digits and underscores of any script with their marks; apostrophes and hyphens within it are its
    own (don't, well-known). Symbols that are joined, as a family of emoji is, are one.
    """
    return [text[slice(*found.span())] for found in _WORD.finditer(text.translate(_CLASSES))]


@dataclass(frozen=True)
class TextDecoder:
    """A decoder that makes the bytes of a text's words of a text.

    Characters are composed (NFC), white space of any kind and length is one space, marks that are not seen are left
    out. A raw sample is the UTF-8 of the first `length` words (see `words`), single spaces between them, or of the
    first `length` characters, code points of Unicode. Nothing else of the set decides it.

    `by`: words or characters. `length`: of a text, in these. `words`: in the vocabulary, at most. `lower`: letters are
    made small. `oracle`: the language of a source whose texts are those of an oracle.

    Raises:
        ConfigError: a value that is not possible.
    """

    kind: ClassVar[str] = "text"
    wanted: ClassVar[Wanted] = TEXTS
    mirror: ClassVar[bool] = False

    by: Literal["words", "characters"] = "words"
    length: int = 20
    words: int = 5000
    lower: bool = False
    oracle: Language | None = None

    def __post_init__(self) -> None:
        if self.by not in BETWEEN:
            raise ConfigError(f"data.by: expected {' or '.join(BETWEEN)}, got {self.by!r}")
        for key, least, most in (("length", 1, 1024), ("words", 2 + len(_SPECIALS), 2**16)):
            if not least <= (value := getattr(self, key)) <= most:
                raise ConfigError(f"data.{key}: expected from {least} to {most:,}, got {value}")
        if self.oracle:
            self._check_oracle(self.oracle)

    def _check_oracle(self, oracle: Language) -> None:
        for key, got, expected in (
            ("by", self.by, "words"), ("length", self.length, oracle.length), ("lower", self.lower, False),
        ):  # fmt: skip
            if got != expected:
                raise ConfigError(f"data.{key}: expected {expected} for the texts of this oracle, got {got}")
        if self.words < len(oracle.words):
            expected = f"at least {len(oracle.words):,}, the words of this oracle"
            raise ConfigError(f"data.words: expected {expected}, got {self.words:,}")

    def decode(self, data: Any) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Return the raw sample of a text, without a byte where it is empty, and the conversions worth a note.

        Raises:
            ItemError: it is no text.
        """
        if not isinstance(data, str):
            raise ItemError("no text")
        found, notes = self._parts(data), []
        if not found:
            notes.append(EMPTY)
        if len(found) > self.length:
            found = found[: self.length]
            notes.append(f"cut behind its first {self.length:,} {self.by}")
        raw = BETWEEN[self.by].join(found).encode()
        return np.frombuffer(raw, np.uint8), tuple(notes)

    def common(self, shapes: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], dict[str, int]]:
        """Return no shape, for raw texts keep their lengths, and no conversions."""
        return (), {}

    def finish(
        self, train: Iterable[NDArray[np.uint8]], shape: tuple[int, ...], conversions: Mapping[str, int]
    ) -> tuple[tuple[int, ...], dict[str, Any], Callable[[NDArray[np.uint8]], NDArray[np.uint16]], dict[str, int]]:
        """Return the shape of a text, the facts, what makes numbers of words, and the number of unknown words of train.

        The vocabulary are the commonest words of `train`, the first by alphabet (code points) of those that are equally
        common. That of an oracle are its words.

        Raises:
            DataError: The texts are of one word, or most of their words would be unknown.
        """
        if self.oracle:
            vocabulary, notes = list(self.oracle.words), {}
        else:
            counts = Counter(part for raw in train for part in self._split(raw))
            ordered = sorted(counts, key=lambda part: (-counts[part], part))
            own = ordered[: self.words - len(_SPECIALS)]
            unknown = sum(counts[part] for part in ordered[len(own) :])
            self._check_vocabulary(counts, own, unknown)
            vocabulary, notes = [*_SPECIALS, *own], {f"unknown {self.by} of train": unknown}
        numbers = {part: number for number, part in enumerate(vocabulary)}
        facts = {"words": vocabulary, "by": self.by}
        return (self.length,), facts, partial(self._stored, numbers), notes

    def shown(self) -> dict[str, Any]:
        """The parameters as a user gives them."""
        return {"by": self.by, "length": self.length, "words": self.words, "lower": self.lower}

    def _parts(self, text: str) -> list[str]:
        """Return the words, or the characters, of a text.

        Raises:
            ItemError: it is no text.
        """
        _check(text)
        text = text.lower() if self.lower else text
        text = unicodedata.normalize("NFC", " ".join(text.translate(_UNSEEN_AND_SPACE).split()))
        if self.oracle:
            return _of_oracle(text, self.oracle)
        if self.by == "characters":
            return list(text)
        found = words(text)
        if (longest := max(map(len, found), default=0)) > LONGEST_WORD:
            mend = "data.by: characters takes texts without spaces"
            raise ItemError(f"a word of {longest:,} characters, at most {LONGEST_WORD} are taken; {mend}")
        return found

    def _split(self, raw: NDArray[np.uint8]) -> list[str]:
        text = raw.tobytes().decode()
        return text.split(" ") if self.by == "words" else list(text)

    def _stored(self, numbers: dict[str, int], raw: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return a text as uint16 [L]: the numbers of its words, and behind them that of the end."""
        stored = np.zeros(self.length, np.uint16)
        found = [numbers.get(part, _SPECIALS.index(UNKNOWN)) for part in self._split(raw)]
        stored[: len(found)] = found
        return stored

    def _check_vocabulary(self, counts: Counter[str], own: list[str], unknown: int) -> None:
        if len(counts) < 2:
            raise DataError(f"data.source: all texts consist of one of the {self.by}, {own[0]!r}: expected two or more")
        # the share of new words is that of those seen once (Good 1953, "The population frequencies of species")
        share = (unknown + sum(counts[part] == 1 for part in own)) / counts.total()
        if share > MOST_UNKNOWN:
            problem = f"{share:.0%} of the {self.by} of a new text would be unknown, at most {MOST_UNKNOWN:.0%} may be"
            mends = ["more texts", *[f"data.words above {self.words:,}"] * (unknown > 0)]
            mends += ["data.by: characters, as texts without spaces need it"] * (self.by == "words")
            raise DataError(f"data.words: {problem}: expected {', '.join(mends[:-1])} or {mends[-1]}")


def _check(text: str) -> None:
    """ItemError where something in a text is none."""
    if len(text) > LINE_LIMIT:
        raise ItemError(f"{len(text):,} characters: at most {LINE_LIMIT:,} are read")
    if found := _CONTROL.search(text):
        name = "NUL" if found[0] == "\0" else f"the control character U+{ord(found[0]):04X}"
        raise ItemError(f"holds {name}, as no text does")
    if "\ufffd" in text:
        raise ItemError("holds bytes that are no UTF-8, or U+FFFD, which another program left for such")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ItemError("holds half a character (a surrogate of UTF-16)")
    if not text.isascii() and re.search(f"m{{{MARKS + 1}}}", text.translate(_CLASSES)):
        raise ItemError(f"more than {MARKS} marks on one character")


def _of_oracle(text: str, oracle: Language) -> list[str]:
    """Return the words of an oracle's text; ItemError where it is none."""
    found = text.split(" ")
    if text and len(found) != oracle.length:
        raise ItemError(f"expected {oracle.length} words, as all texts of an oracle have, got {len(found)}")
    if others := set(found) - set(oracle.words) - {""}:
        raise ItemError(f"{min(others)[:LONGEST_WORD]!r} is no word of the oracle")
    return found if text else []
