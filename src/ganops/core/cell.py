"""Progress in the cell of a notebook: one bar and one picture, each of which is replaced in place."""

import time
from dataclasses import dataclass
from typing import Any

REFRESH = 5.0
"""Seconds between two pictures, at least: all that were shown go to the browser, and through whatever is between."""


class Output:
    """One output of a cell, which the next one replaces."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, shown: Any) -> None:
        """Show something in the place of what was shown here before."""
        from IPython.display import display  # where a notebook runs, it is there

        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)


@dataclass(frozen=True)
class Bar:
    """The position of a training, as HTML and as text."""

    kimg: float
    total: float
    words: str

    @property
    def text(self) -> str:
        """The position, the end, and the words of the last tick."""
        return f"kimg {self.kimg:.4g}/{self.total:g}  {self.words}"

    def _repr_html_(self) -> str:
        return (f'<progress value="{self.kimg:g}" max="{self.total:g}" style="width: 20em"></progress> '
                f"<code>{self.text}</code>")  # fmt: skip

    def __repr__(self) -> str:
        return f"train      {self.text}"


class Cell:
    """A training in a cell: a bar at each tick, and below it the newest picture at most every `REFRESH` seconds."""

    def __init__(self, total: float) -> None:
        self.total, self._bar, self._picture, self._drawn = total, Output(), Output(), float("-inf")

    def show(self, kimg: float, words: str, png: bytes | None) -> None:
        """Show a tick, with its picture where there is one; that of the end is always shown."""
        self._bar.show(Bar(kimg, self.total, words))
        if png and (kimg >= self.total or time.monotonic() - self._drawn >= REFRESH):
            from IPython.display import Image

            self._picture.show(Image(data=png))
            self._drawn = time.monotonic()
