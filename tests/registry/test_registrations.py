"""Registrations that are killed between any two steps, and several at once."""

import contextlib
import signal

import pytest
from registering import (
    NAME,
    PROCESSES,
    all_at_once,
    champion_of,
    check_whole,
    dying,
    enter,
    enter_and_die,
    enter_at_once,
    without_packing,
)  # fmt: skip

from ganops.registry import champions, registration, tracking
from ganops.registry.model import Model


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(registration, "build", registration.build)
    monkeypatch.setattr(registration, "prove", registration.prove)
    without_packing()


def versions(root):
    found = tracking.connect(root).search_model_versions(f"name = '{NAME}'")
    return {int(version.version): version for version in found}


def moves(root):
    return [(move.to, move.over) for move in champions.history(Model(tracking.connect(root), NAME))]


class Stopped(BaseException):
    """Nothing catches it."""


def stop():
    raise Stopped


def interrupt(root, folder, fd, seed, step, told):
    with contextlib.suppress(Stopped), dying(step, stop) as calls:
        enter(root, folder, fd, seed)
        told.write_text("\n".join(calls))


def kill(*arguments):
    process = PROCESSES.Process(target=enter_and_die, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)


@pytest.mark.parametrize("end", [interrupt, pytest.param(kill, marks=pytest.mark.slow)])
def test_ended_before_any_step_the_champion_stays_and_the_next_run_finishes(end, root, tmp_path, quick):
    """Each step is that of another challenger, better than all before."""
    told, step, recorded = tmp_path / "told", 0, []
    enter(root, tmp_path / "0", 9.0, 0)
    while not told.is_file():
        assert step < 60, "it never ends"
        before, generator = moves(root), (root, tmp_path / f"{step + 1}", 8.0 - step, step + 1)
        end(*generator, step, told)
        if not told.is_file():
            assert int(champion_of(root).version) == before[-1][0]
            recorded += [step] if moves(root) != before else []
        outcome = enter(*generator)
        step += 1
        assert (outcome["version"], outcome["champion"]) == (step + 1, step + 1)
        assert moves(root) == [*before, (step + 1, step)]
        assert versions(root)[step + 1].tags[registration.DECISION] == "passed"
    calls = told.read_text().split()
    assert len(calls) == step - 1 > 20
    assert recorded == [step - 2], "a move is recorded, then the alias moves, and nothing follows"
    assert len(versions(root)) == len(tracking.connect(root).search_runs(["1"])) == step + 1


def test_several_at_once_make_one_version_for_one_generator(root, tmp_path):
    seeds = [0, 0, 1, 1, 2]
    start = PROCESSES.Barrier(len(seeds))
    all_at_once(enter_at_once, *((root, tmp_path / f"{i}", 9.0 - seed, seed, start) for i, seed in enumerate(seeds)))
    check_whole(tracking.connect(root))
    found = versions(root).values()
    best = min(found, key=lambda version: float(version.tags["metric.fd_domain"]))
    assert len(found) == 3
    assert champion_of(root).version == best.version
