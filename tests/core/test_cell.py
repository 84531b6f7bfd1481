"""Outputs of a notebook's cell while it trains; tests/test_notebooks.py runs notebooks."""

import pytest

from ganops.core import cell
from ganops.core.cell import REFRESH, Bar, Cell

PNG = b"\x89PNG\r\n\x1a\n"


class Seen(cell.Output):
    """Remembers what it showed."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def show(self, shown):
        self.shown.append(shown)


@pytest.fixture
def now(monkeypatch):
    """The time, which stands still; and outputs without a notebook."""
    time = [100.0]
    monkeypatch.setattr(cell.time, "monotonic", lambda: time[0])
    monkeypatch.setattr(cell, "Output", Seen)
    return time


def test_the_bar_follows_each_tick_and_the_picture_waits(now):
    shown = Cell(10)
    for kimg in range(1, 10):
        shown.show(kimg, "2:00 left", PNG)
        now[0] += REFRESH / 4
    assert [bar.kimg for bar in shown._bar.shown] == list(range(1, 10))
    assert len(shown._picture.shown) == 3, "at the first, fifth and ninth tick"
    shown.show(9.5, "0:01 left", None)
    assert len(shown._picture.shown) == 3, "no picture, none shown"
    shown.show(10, "0:00 left", PNG)
    assert len(shown._picture.shown) == 4, "that of the end is always shown"
    assert shown._picture.shown[-1].data == PNG


def test_a_bar_is_html_and_text():
    bar = Bar(12.5, 50, "1,480 img/s  1:02 left")
    assert repr(bar) == "train      kimg 12.5/50  1,480 img/s  1:02 left"
    assert '<progress value="12.5" max="50"' in bar._repr_html_()
    assert "1,480 img/s  1:02 left" in bar._repr_html_()
