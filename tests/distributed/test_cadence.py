"""When a training is saved."""

import itertools

import pytest

from ganops.distributed.cadence import MAX_SECONDS, SHARE, Cadence
from ganops.experiment.run import Progress

ROW = {"kimg": 1.0, "images_per_second": 1.0}


def saves(minutes, tick, cost, count=2000, every=2):
    """The moments of saving, and the seconds of all: ticks of so many seconds, each `every`-th with a validation."""
    now = [0.0]
    cadence, found = Cadence(minutes, lambda: now[0]), []
    for step in range(1, count + 1):
        now[0] += tick
        if cadence.is_due(Progress(step, count + 1, ROW, step % every == 0)):
            found.append((step, now[0]))
            with cadence.saving():
                now[0] += cost
    return found, now[0]


@pytest.mark.parametrize("cost", [0.01, 0.3, 2, 5])
@pytest.mark.parametrize("tick", [0.1, 1, 30, 400])
def test_auto_takes_a_fiftieth_of_the_time_at_validations_and_loses_five_minutes_at_most(tick, cost):
    found, seconds = saves("auto", tick, cost)
    assert cost * len(found) / seconds <= max(SHARE, cost / MAX_SECONDS) + cost / seconds
    moments = [0.0, *(moment for _, moment in found)]
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert max(gaps) <= max(MAX_SECONDS + cost, 0) + tick
    if tick * 2 * SHARE > cost:
        assert {step for step, _ in found} >= {*range(2, 2001, 2)}, "cheap: at each validation"


def test_minutes_that_are_asked_for_hold_at_ticks():
    assert [step for step, _ in saves(0, 1, 0.5, 10)[0]] == list(range(1, 11))
    assert [step for step, _ in saves(1, 25, 0, 20)[0]] == [3, 6, 9, 12, 15, 18]


def test_a_storage_that_is_slower_than_the_training_holds_two_drafts_at_most_and_its_end():
    cadence = Cadence(0)
    assert [cadence.is_due(Progress(3, 4, ROW, True), waiting) for waiting in range(4)] == [True, True, False, False]
    assert cadence.is_due(Progress(4, 4, ROW, False), 9)


def test_the_end_and_a_stop_are_always_saved():
    cadence = Cadence(1e9)
    assert not cadence.is_due(Progress(3, 4, ROW, True))
    assert cadence.is_due(Progress(4, 4, ROW, False))
    assert cadence.is_due(Progress(2, 4, {"kimg": 1.0}, False, stopped=True))
