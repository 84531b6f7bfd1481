"""What a process of its own does in the tests of registrations that are killed, or that run at once."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import mlflow
from packages import package

from ganops.core.errors import RegistryError
from ganops.evaluation.comparison import Comparison
from ganops.evaluation.gate import Rival, decide
from ganops.metrics.intervals import Interval
from ganops.metrics.measure import Difference
from ganops.registry import champions, registration, tracking
from ganops.registry.champions import ChampionMovedError
from ganops.registry.model import Model
from ganops.registry.versus_champion import standing

NAME = "faces"
GATE = {"fd_domain": {"at_most": 10, "at_least": None}}

CHANGING = ("create_", "delete_", "finalize_", "log_", "set_", "update_")
"""Beginnings of the names of a client's methods that change a store."""


def measured(version, one, other, margin=0.5):
    """The champion beside a challenger, as an evaluation finds it."""
    by = Interval(other - one, other - one - margin, other - one + margin)
    return Rival(version, Comparison({"fd_domain": Difference(one, other, by)}, 100, "test", singular=False))


def without_packing() -> None:
    def build(package, name, folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("{}")

    registration.build, registration.prove = build, lambda package, folder: 100.0


def register(package, root, gate=GATE, rival=None, **named):
    """Register a package under `NAME` with the gate's decision, as the stage does."""
    decision = decide(gate, package.metrics, rival=rival)
    if rival is None:
        decision = replace(decision, standing=standing(package, name=NAME, root=root))
    return registration.register(package, name=NAME, decision=decision, root=root, **named)


def enter(root: Path, folder: Path, fd: float, seed: int, name: str = NAME):
    """Registers a generator as the stage does: measured beside the champion, and again where that has moved."""
    made = replace(package(folder, fd, seed), params={"seed": seed})  # the folder is each process's own
    while True:
        champion = champion_of(root, name)
        known = champion is None or champion.tags["ganops.identity"] == made.identity()
        against = None if known else measured(int(champion.version), float(champion.tags["metric.fd_domain"]), fd)
        try:
            decision = decide(GATE, made.metrics, rival=against)
            return registration.register(made, name=name, decision=decision, root=root)
        except ChampionMovedError:
            continue


def champion_of(root: Path, name: str = NAME):
    try:
        return tracking.connect(root).get_model_version_by_alias(name, "champion")
    except mlflow.exceptions.MlflowException:
        return None


@contextmanager
def dying(step: int, die: Callable[[], None]):
    """Calls `die` before the call number `step` that changes a store; yields the names of the calls."""
    calls, client = [], mlflow.MlflowClient

    def watched(name, method):
        def call(*arguments, **named):
            if len(calls) == step:
                die()
            calls.append(name)
            return method(*arguments, **named)

        return call

    with mock.patch.multiple(
        client, **{name: watched(name, getattr(client, name)) for name in dir(client) if name.startswith(CHANGING)}
    ):
        yield calls


def enter_and_die(root: Path, folder: Path, fd: float, seed: int, step: int, told: Path) -> None:
    """Is killed before a step; where there are not so many, tells their names."""
    _know(None)
    without_packing()
    with dying(step, lambda: os.kill(os.getpid(), signal.SIGKILL)) as calls:
        enter(root, folder, fd, seed)
    told.write_text("\n".join(calls))


def _know(variables: dict[str, str] | None) -> None:
    """Leave a process no server but that of these variables: the first test that forked handed all of them its own."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_TRACKING_")]:
        del os.environ[name]
    os.environ.update(variables or {})


def enter_at_once(root: Path, folder: Path, fd: float, seed: int, start, variables=None, name=NAME) -> None:
    """Waits for the others, then registers."""
    _know(variables)
    without_packing()
    tracking.connect(root)
    start.wait(120)
    enter(root, folder, fd, seed, name)


def move_at_once(root: Path, version: int, start, done, variables=None, name=NAME) -> None:
    """Waits for the others, then promotes a version, or rolls back for 0; tells whether that is a move on record."""
    _know(variables)
    client = tracking.connect(root)
    start.wait(120)
    try:
        moved = (
            champions.promote(Model(client, name), str(version)) if version else champions.rollback(Model(client, name))
        )
    except ChampionMovedError:  # a rollback is taken back where another move came first, a promotion was made
        moved = version or None
    except RegistryError as error:
        if version or "is the first champion" not in str(error):
            raise
        moved = None
    done.put(moved is not None)


PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["mlflow", "torch", "ganops.registry.registration"])


def all_at_once(target, *arguments) -> None:
    """Runs a function in a process for each of several lists of arguments, which all begin together."""
    processes = [PROCESSES.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def check_whole(client, name: str = NAME) -> None:
    """Laws that hold however many registered and promoted at once."""
    versions = client.search_model_versions(f"name = '{name}'")
    identities = [version.tags[registration.IDENTITY] for version in versions]
    assert len(identities) == len({*identities}), "one version for one generator"
    moves = champions.history(Model(client, name))
    assert moves[0].over is None
    assert [move.over for move in moves[1:]] == [move.to for move in moves[:-1]], "each move begins where one ended"
    assert champions.current(Model(client, name)) == str(moves[-1].to), "the alias is where the record says"
