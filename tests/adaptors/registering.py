"""What a process of its own does in the tests of registrations that are killed, or that run at once."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import mlflow
from packages import package
from test_registry import GATE, NAME, measured

from ganops.adaptors import registry, tracking
from ganops.adaptors.champions import ChampionMovedError
from ganops.gate import decide

CHANGING = ("create_", "delete_", "finalize_", "log_", "set_", "update_")
"""Beginnings of the names of a client's methods that change a store."""


def without_packing() -> None:
    def build(package, name, folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("{}")

    registry.build, registry.prove = build, lambda package, folder: 100.0


def enter(root: Path, folder: Path, fd: float, seed: int):
    """Registers a generator as the stage does: measured beside the champion, and again where that has moved."""
    made = replace(package(folder, fd, seed), params={"seed": seed})  # the folder is each process's own
    while True:
        champion = champion_of(root)
        known = champion is None or champion.tags["ganops.identity"] == made.identity()
        against = None if known else measured(int(champion.version), float(champion.tags["metric.fd_domain"]), fd)
        try:
            decision = decide(GATE, made.metrics, rival=against)
            return registry.register(made, name=NAME, decision=decision, root=root)
        except ChampionMovedError:
            continue


def champion_of(root: Path):
    try:
        return tracking.connect(root).get_model_version_by_alias(NAME, "champion")
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
    without_packing()
    with dying(step, lambda: os.kill(os.getpid(), signal.SIGKILL)) as calls:
        enter(root, folder, fd, seed)
    told.write_text("\n".join(calls))


def enter_at_once(root: Path, folder: Path, fd: float, seed: int, start) -> None:
    """Waits for the others, then registers."""
    without_packing()
    tracking.connect(root)
    start.wait(60)
    sys.exit(enter(root, folder, fd, seed) is None)
