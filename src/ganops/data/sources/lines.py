"""Files with a text a line: .txt, .tsv whose first column is the label, and JSON lines; and the folder of an oracle.

Files are read as they are walked, a line at a time, so that they may be of any length. They are UTF-8, or UTF-16 with a
byte order mark; bytes that are neither become U+FFFD, for which a decoder rejects the line.
"""

import codecs
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

from ganops.core.errors import DataError
from ganops.data.sources.item import (
    Content,
    Deferred,
    Item,
    ItemError,
    Source,
    Wanted,
    check_count,
    described,
)
from ganops.kinds import text

ACCEPTS = "a .txt, .tsv (label, tab, text) or .jsonl (text, label) file with a text a line, or the folder of an oracle"

LINE_LIMIT = 2**16
"""Characters of the longest line that is read."""
LABEL_LIMIT = 1000
"""Characters of the longest label."""
ORACLE, ORACLE_TEXTS = "oracle.json", "texts.txt"
"""Files of an oracle's folder: its description, and its texts."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""First bytes of a file in UTF-16."""

Line = tuple[str | None, str | ItemError]
"""The label that a line states, and its text, or why there is none."""


class Language(NamedTuple):
    """The words of an oracle, in the order of their numbers, and the number of them in each of its texts."""

    words: tuple[str, ...]
    length: int


def _plain(line: str) -> Line:
    return None, line


def _tabbed(line: str) -> Line:
    label, tab, after = line.partition("\t")
    if not tab:
        return None, label
    if "\t" in after:
        return None, ItemError(f"expected a label, a tab and a text, got {line.count(chr(9)) + 1} columns")
    return label.strip() or None, after


def _json(line: str) -> Line:
    if not line.strip():
        return None, ""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None, ItemError('no JSON: expected an object with "text" and perhaps "label" in each line')
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        return None, ItemError('expected a JSON object whose "text" is a string')
    label = found.get("label")
    if isinstance(label, bool) or not isinstance(label, str | int | None):
        return None, ItemError('expected a string or an integer as "label"')
    return None if label is None else str(label).strip() or None, found["text"]


FORMS: dict[str, Callable[[str], Line]] = {".txt": _plain, ".tsv": _tabbed, ".jsonl": _json, ".ndjson": _json}
"""Ending of a file, in small letters -> what makes label and text of one of its lines."""

TEXTS = Wanted(text.UNIT, tuple(FORMS), ("text", "sentence", "content"), lines=True)
"""Texts, as sources hold them."""


def recognises(path: Path) -> bool:
    """A file of lines, by its extension, or a folder that an oracle describes."""
    return (path.is_file() and TEXTS.named(path.name)) or (path / ORACLE).is_file()


def read(path: Path, wanted: Wanted = TEXTS) -> Source:
    """The lines of a file, or the texts of an oracle.

    Raises:
        DataError: Texts are not what is wanted, or an oracle's description does not say what they are.
    """
    if not wanted.lines:
        raise DataError(f"data.source: {path} holds texts, not {wanted.unit}s: such files are of data.kind: text")
    if path.is_file():
        return Source("lines", 1, iter([Item(path.name, None, path)]))
    about = described(path / ORACLE)
    words, length = (about.get(key) for key in ("words", "length"))
    if not isinstance(words, int) or not isinstance(length, int) or not (2 <= words <= 2**16 and 1 <= length <= 1024):
        expected = "expected words, from 2 to 65,536, and length, from 1 to 1,024"
        raise DataError(f"data.source: {path / ORACLE}: {expected}; got {words!r} and {length!r}")
    texts = iter([Item(ORACLE_TEXTS, None, path / ORACLE_TEXTS)])
    return Source("oracle", 1, texts, stated={"oracle": Language(tuple(map(word, range(words))), length)})


def word(number: int) -> str:
    """Return the word of an oracle that has a number: w17."""
    return f"w{number}"


def split(source: Source) -> Source:
    """Return the source whose items are the lines of a source's files, named file.txt:17; their number is not known.

    A line is labelled as it says itself, else as its file.
    """
    return replace(source, count=None, items=_lines(source.items), raw=True)


def _lines(files: Iterator[Item]) -> Iterator[Item]:
    count = 0
    for item in files:
        if isinstance(item.content, ItemError):
            yield item
            continue
        form = FORMS[PurePosixPath(item.name).suffix.lower()]
        try:
            for number, line in enumerate(_read(item.content), 1):
                count += 1
                check_count(count, item.name)
                label, found = form(line) if isinstance(line, str) else (None, line)
                if label and len(label) > LABEL_LIMIT:
                    found = ItemError(f"a label of {len(label):,} characters; at most {LABEL_LIMIT:,} are read")
                    label = None
                yield item._replace(name=f"{item.name}:{number}", label=label or item.label, content=found)
        except ItemError as failure:
            yield item._replace(content=failure)
        except OSError as failure:
            yield item._replace(content=ItemError(f"cannot be read: {failure.strerror}"))


def _read(content: Content) -> Iterator[str | ItemError]:
    """Yield the lines of a file without their ends; of a longer one than `LINE_LIMIT` there is never more in memory."""
    with _opened(content) as file:
        encoding = "utf-16" if file.read(2) in UTF16 else "utf-8-sig"
        file.seek(0)
        with io.TextIOWrapper(file, encoding, "replace") as lines:
            while line := lines.readline(LINE_LIMIT + 1):
                if line.endswith("\n") or len(line) <= LINE_LIMIT:
                    yield line.removesuffix("\n")
                    continue
                while line and not line.endswith("\n"):
                    line = lines.readline(LINE_LIMIT)
                yield ItemError(f"a line of more than {LINE_LIMIT:,} characters, which are the most that are read")


def _opened(content: Content) -> BinaryIO:
    if isinstance(content, Path):
        return open(content, "rb")
    return io.BytesIO(content.read() if isinstance(content, Deferred) else cast(bytes, content))
