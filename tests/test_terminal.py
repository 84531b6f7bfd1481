"""What a person sees of a training."""

import io

import pytest
from rich.console import Console

from ganops import terminal


def told(monkeypatch, speeds, *, live=False):
    """The lines about a slow training, one tick for each speed."""
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=out, force_terminal=live, soft_wrap=True, width=200))
    with terminal.training_bar("train", 100) as show:
        for n, speed in enumerate(speeds, 1):
            show({"kimg": float(n), "images_per_second": float(speed), "loss_g": 1.0, "loss_d": 1.0})
    return [line.rpartition("slow: ")[2] for line in out.getvalue().splitlines() if "slow: " in line]


@pytest.mark.parametrize("live", [False, True])
def test_a_training_far_below_its_own_speed_is_told_once_an_episode(monkeypatch, live):
    lines = told(monkeypatch, [1400, 1440, 1420, 310, 290, 330, 1100, 1400, 1410, 200, 210], live=live)
    assert len(lines) == 2
    assert lines[0].startswith("310 img/s where it had 1,420. Something else uses the cores; the result is the same")
    assert lines[1].startswith("200 img/s")


def test_what_wavers_about_the_limit_is_one_episode_and_what_is_only_slower_none(monkeypatch):
    assert len(told(monkeypatch, [1000, 1000, 1000, 490, 510, 490, 700, 480])) == 1
    assert not told(monkeypatch, [1000, 1000, 900, 700, 600, 550, 1000])
    assert not told(monkeypatch, [20, 20, 19, 1400]), "a slow first tick is no trouble"
