"""Laws of the model behind docs/scaling.md."""

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "scaling.py"
SPEC = importlib.util.spec_from_file_location("scaling", SCRIPT)
scaling = sys.modules["scaling"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(scaling)

NET = scaling.Net(fixed=0.01, per_image=0.002, gradients=1e7, syncs=40, image=3072)
PLACE = scaling.Place(slots=math.inf, latency=1e-4, bandwidth=1e9, input=1e6)
IDEAL = scaling.Place(slots=math.inf, latency=0, bandwidth=math.inf, jitter=0)
COUNTS = (1, 2, 4, 8, 64, 1024)


def test_one_worker_exchanges_nothing_and_waits_for_nobody():
    parts = scaling.step(NET, PLACE, 1, 64)
    assert parts["gradients"] == parts["statistics"] == parts["stragglers"] == 0
    assert scaling.run(NET, PLACE, 1, scaling.Job(100, 64))["efficiency"] == 1


@pytest.mark.parametrize("workers", COUNTS)
def test_a_step_is_no_shorter_than_its_slowest_part(workers):
    for speed in (1e3, 1e6, 1e9):
        parts = scaling.step(NET, replace(PLACE, input=speed), workers, 1024)
        assert parts["whole"] >= max(value for name, value in parts.items() if name != "whole")


@pytest.mark.parametrize("workers", COUNTS)
def test_without_fixed_parts_and_exchange_n_workers_are_n_times_as_fast(workers):
    pure = replace(NET, fixed=0.0)
    assert scaling.run(pure, IDEAL, workers, scaling.Job(1, 1024))["efficiency"] == pytest.approx(1)
    assert scaling.run(NET, IDEAL, workers, scaling.Job(1, 1024))["efficiency"] <= 1


def test_no_number_of_workers_beats_the_fixed_part_or_the_floor():
    many = scaling.step(replace(NET, floor=0.5), IDEAL, 1024, 1024)
    assert many["whole"] == 0.5
    assert scaling.step(NET, IDEAL, 1024, 1024)["whole"] > NET.fixed


def test_more_workers_than_slots_take_turns():
    net, place = replace(NET, fixed=0.0, syncs=0), replace(IDEAL, slots=2)
    two, four = (scaling.step(net, place, n, 64)["whole"] for n in (2, 4))
    assert four == pytest.approx(two)
    assert scaling.step(replace(net, syncs=10), place, 4, 64)["whole"] == pytest.approx(four + 10 * place.slice)


def test_a_ring_carries_twice_the_bytes_at_most():
    place = replace(PLACE, latency=0)
    times = [scaling.ring(1e9, n, place) for n in COUNTS]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[1] == pytest.approx(1)
    assert times[-1] < 2


def test_the_slowest_of_many_is_ever_later():
    late = [scaling.expected_maximum(n) for n in COUNTS]
    assert late == sorted(late)
    assert late[0] == 0
    assert late[1] == pytest.approx(1 / math.sqrt(math.pi), rel=0.05)  # exact for two


def test_money_is_workers_times_hours():
    job = scaling.Job(100, 64)
    bill = scaling.run(NET, replace(PLACE, price=3.0), 8, job)
    assert bill["dollars"] == pytest.approx(bill["hours"] * 8 * 3)


def test_trials_run_in_rounds():
    assert scaling.search(16, 2.0, 16) == 2
    assert scaling.search(17, 2.0, 16) == 4
    assert scaling.search(16, 2.0, 1) == 32
