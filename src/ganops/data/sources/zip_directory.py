"""The directory of a zip file, some records at a time: zipfile parses them, and would hold all of them at once."""

import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

WINDOW = 256 * 2**10
"""Bytes of the directory that are parsed at once; a record takes 46 + 3 · 65,535 at most."""

_RECORD = struct.Struct("<4s24x3H12x")  # signature; bytes of name, extra field and comment, which follow
_END = struct.Struct("<4s8xLLH")  # signature; the directory's bytes and place; bytes of the comment, which follows
_END64 = struct.Struct("<4sQ2H2L4Q")  # signature, ..., the directory's bytes and place, in 64 bits
_LOCATOR = struct.Struct("<4sLQL")  # signature; disk and place of the record before it; disks
_SIGNATURES = b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7"  # of the four


class Directory(NamedTuple):
    """The place of the directory in a zip file."""

    start: int
    """Byte at which it begins."""
    end: int
    """Byte behind it."""
    stated: int
    """Byte at which it begins as the file says: another one where something was put before the first member."""

    @classmethod
    def find(cls, file: BinaryIO) -> "Directory":
        """Return the place that the records at the end of a file tell, by the rules of zipfile.

        Raises:
            BadZipFile: There are none, or they tell none.
        """
        start = max(0, file.seek(0, 2) - 2**16 - _END.size)
        file.seek(start)
        data = file.read()
        at = len(data) - _END.size  # without a comment
        if not (data[-_END.size :].startswith(_SIGNATURES[1]) and data.endswith(b"\0\0")):
            at = data.rfind(_SIGNATURES[1])
        if at < 0 or at + _END.size > len(data):
            raise zipfile.BadZipFile("File is not a zip file")
        _, size, stated, _ = _END.unpack_from(data, at)
        end = start + at
        file.seek(max(0, end - _LOCATOR.size - _END64.size))
        data = file.read(_LOCATOR.size + _END64.size) if end >= _LOCATOR.size + _END64.size else b""
        if data[-_LOCATOR.size :].startswith(_SIGNATURES[3]) and data.startswith(_SIGNATURES[2]):
            _, disk, _, disks = _LOCATOR.unpack_from(data, _END64.size)
            if disk or disks > 1:
                raise zipfile.BadZipFile("zipfiles that span multiple disks are not supported")
            *_, size, stated = _END64.unpack_from(data)
            end -= len(data)
        if size > end:
            raise zipfile.BadZipFile("Bad offset for central directory")
        return cls(end - size, end, stated)

    def windows(self, file: BinaryIO) -> Iterator[tuple[list[int], bytes]]:
        """Yield whole records, as many as fit into a window, and the places at which they begin.

        Raises:
            BadZipFile: The directory is damaged.
        """
        place = self.start
        while place < self.end:
            file.seek(place)
            data = file.read(min(WINDOW, self.end - place))
            ends = [0]
            while len(data) - ends[-1] >= _RECORD.size:
                signature, *sizes = _RECORD.unpack_from(data, ends[-1])
                if signature != _SIGNATURES[0]:
                    raise zipfile.BadZipFile("Bad magic number for central directory")
                if (end := ends[-1] + _RECORD.size + sum(sizes)) > len(data):
                    break
                ends.append(end)
            if not (whole := ends.pop()):
                raise zipfile.BadZipFile("Truncated central directory")
            yield [place + end for end in ends], data[:whole]
            place += whole

    def record(self, file: BinaryIO, place: int) -> bytes:
        """Return the record that begins at a place."""
        file.seek(place)
        header = file.read(_RECORD.size)
        return header + file.read(sum(_RECORD.unpack(header)[1:]))

    def only(self, file: BinaryIO, records: bytes) -> "Spliced":
        """Return the zip file that has no members but those of `records`."""
        end64 = _END64.pack(_SIGNATURES[2], _END64.size - 12, 45, 45, 0, 0, 0, 0, len(records), self.stated)
        locator = _LOCATOR.pack(_SIGNATURES[3], 0, self.stated + len(records), 1)
        return Spliced(file, self.start, records + end64 + locator + _END.pack(_SIGNATURES[1], 0, 0, 0))


class Spliced:
    """The first bytes of a file with others behind them, to be read."""

    def __init__(self, file: BinaryIO, cut: int, tail: bytes) -> None:
        self._file, self._cut, self._tail = file, cut, tail
        self._place = 0

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, counted from the beginning, from here, or from the end.

        Raises:
            OSError: It is before the beginning.
        """
        place = offset + (0, self._place, self._cut + len(self._tail))[whence]
        if place < 0:
            raise OSError("a place before the beginning of the file")
        self._place = place
        return place

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, or all; those before and behind the cut come one after the other."""
        behind = self._place - self._cut
        if behind < 0:
            self._file.seek(self._place)
            data = self._file.read(min(size, -behind) if size >= 0 else -behind)
        else:
            data = self._tail[behind : behind + size] if size >= 0 else self._tail[behind:]
        self._place += len(data)
        return data
