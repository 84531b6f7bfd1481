"""The rows and pictures of a training: new ones in memory, the others in an append-only log beside its checkpoints.

A checkpoint names the last segment of the log, so that it does not grow with the training. A segment names the one
before it, and each file of the log is named by the SHA-256 of its content: the last name vouches for all that came
before, and what an attempt that was killed has left behind is never taken for this one's. A new segment takes in
those before it that are not much longer: n rows lie in at most 1 + log2(n) segments, and a resume reads a handful.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ganops.core.files import atomic

LOG = "log"
"""Folder of the log, beside the checkpoints of a training."""
DENSE = 6
"""Binary digits: a picture is kept of each of the first 2^6 ticks, then 2^5 in each doubling of their number."""

Read = Callable[[str], bytes]
"""Name of a file of the log -> its content; OSError where it cannot be read."""


@dataclass(frozen=True)
class _Segment:
    """The segment of a name, as its file tells it."""

    name: str
    before: str
    """Name of the segment before it; empty: there is none."""
    rows: list[dict[str, float]]
    pictures: dict[str, str]
    """Name of each picture -> the file of the log that holds it."""


def is_kept(tick: int) -> bool:
    """Return True where the film strip has a picture of a tick, counted from 1: a rule of its number alone.

    >>> [tick for tick in range(250, 300) if is_kept(tick)]
    [252, 256, 264, 272, 280, 288, 296]
    """
    return tick % (1 << max(0, tick.bit_length() - DENSE)) == 0


class Log:
    """The history and the film strip of a training so far."""

    def __init__(self, read: Read | None = None, last: str = "", rows: list[dict[str, float]] | None = None) -> None:
        """Takes in what was written.

        Args:
            read: Reads files of the log; None: nothing was written.
            last: Name of the last segment; empty: there is none.
            rows: Those that followed the last segment.

        Raises:
            OSError: A segment is missing, or cannot be read.
            ValueError: A segment is not as it was written.
        """
        self._read = read
        self._segments = list(_backwards(read, last))[::-1] if read else []
        self.rows: list[dict[str, float]] = [row for segment in self._segments for row in segment.rows]
        self.written = len(self.rows)
        """Number of rows in segments."""
        self._files = {name: file for segment in self._segments for name, file in segment.pictures.items()}
        self.pictures: dict[str, bytes] = {}
        """Pictures that were not written yet: name -> PNG."""
        self.rows += rows or []

    @property
    def last(self) -> str:
        """Name of the last segment; empty: there is none."""
        return self._segments[-1].name if self._segments else ""

    @property
    def names(self) -> list[str]:
        """Names of all pictures, in their order."""
        return sorted({*self._files, *self.pictures})

    def picture(self, name: str) -> bytes:
        """The PNG of a picture.

        Raises:
            OSError: It is missing, or cannot be read.
            ValueError: It is not as it was written.
        """
        if name in self.pictures:
            return self.pictures[name]
        assert self._read is not None
        return _whole(self._read, self._files[name])

    def gathered(self) -> "Log":
        """The same rows and pictures as if none of them had been written, for a log elsewhere; no damaged pictures."""
        log = Log(rows=self.rows)
        for name in self.names:
            with suppress(FileNotFoundError, ValueError):
                log.pictures[name] = self.picture(name)
        return log

    def write(self, folder: Path, count: int) -> str:
        """Write what is new, as one segment and a file for each picture, and return the name of the last segment.

        Args:
            folder: The log, or a folder whose files are put there before a checkpoint names them.
            count: So many rows are final; later ones are left for the next segment.
        """
        rows = self.rows[self.written : count]
        if rows or self.pictures:
            files = {name: _put(folder, content, ".png") for name, content in self.pictures.items()}
            self._segments = _appended(folder, self._segments, rows, files)
            self._files |= files
            self.written, self.pictures = max(self.written, count), {}
            self._read = self._read or reader(folder)
        return self.last


def reader(folder: Path) -> Read:
    """Return what reads a log that is a folder of this machine."""
    return lambda name: (folder / name).read_bytes()


def _put(folder: Path, content: bytes, suffix: str) -> str:
    name = hashlib.sha256(content).hexdigest() + suffix
    with atomic(folder / name, lasting=True) as draft:
        draft.write_bytes(content)
    return name


def _whole(read: Read, name: str) -> bytes:
    content = read(name)
    if hashlib.sha256(content).hexdigest() != name.partition(".")[0]:
        raise ValueError(f"{LOG}/{name}: not as written")
    return content


def _backwards(read: Read, last: str) -> Iterator[_Segment]:
    """The segments, the last one first."""
    while last:
        segment = _Segment(last, **json.loads(_whole(read, last)))
        yield segment
        last = segment.before


def _appended(
    folder: Path, segments: list[_Segment], rows: list[dict[str, float]], pictures: dict[str, str]
) -> list[_Segment]:
    """Write a segment, with those before it in it that are at most twice as long, and return all that then count."""
    kept = list(segments)
    while kept and len(kept[-1].rows) <= 2 * len(rows):
        former = kept.pop()
        rows, pictures = former.rows + rows, former.pictures | pictures
    before = kept[-1].name if kept else ""
    content = json.dumps({"before": before, "rows": rows, "pictures": pictures}, allow_nan=False).encode()
    return [*kept, _Segment(_put(folder, content, ".json"), before, rows, pictures)]
