"""The run of a training in MLflow while it trains: parameters, curves and pictures, never in its way.

A thread of its own writes; what fails is tried again at the next tick, and what is missing in the end `register` adds.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from ganops.config import Experiment
from ganops.core import layout
from ganops.core.git import JOB, revision
from ganops.core.redaction import reason
from ganops.core.terminal import say
from ganops.data.about import About

if TYPE_CHECKING:
    from ganops.experiment.run import Progress, Run

CLOSING_SECONDS = 10.0
"""Seconds that the end of a training waits for a store."""
BESIDE = ("tune", "evaluate")
"""Sections that another version of the same training may have otherwise: its run has none of them, the version has."""
VALIDATION = "_validation"
"""End of the name of a validation distance in a row of the history."""


def is_recorded_here() -> bool:
    """A job without a server leaves it to `register`, at home: its own store would be thrown away with it."""
    return JOB not in os.environ or bool(os.environ.get("MLFLOW_TRACKING_URI"))


def run_name(architecture: str, fingerprint: str) -> str:
    """Return the name of a training's run, for people."""
    return f"{architecture}-{fingerprint[:8]}"


def of_training(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a training's run: those that another version of it cannot have otherwise."""
    return {key: value for key, value in params.items() if key not in BESIDE}


class _Line(NamedTuple):
    """Figures of a step, and the time at which they were known."""

    step: int
    figures: Mapping[str, float]
    time: int
    """UTC milliseconds."""
    picture: bytes | None = None
    """PNG of samples at this step."""

    @property
    def name(self) -> tuple[str, int]:
        """The first figure, and the step."""
        return next(iter(self.figures)), self.step


class Live:
    """The run of a training, which begins with `begin` and hears each tick."""

    def __init__(self, experiment: Experiment, root: Path) -> None:
        self.experiment, self.root = experiment, root
        self._lines: SimpleQueue[_Line | None] = SimpleQueue()
        self._thread = Thread(target=self._write, name="mlflow", daemon=True)  # a store may hang for minutes
        self._begun: Run | None = None
        self._id = ""
        self._known: set[tuple[str, int]] = set()
        """First figure and step of each line that the run has: a training that goes on comes to some of them again."""
        self._told = False
        self._ended = "FINISHED"
        self._start = 0

    def begin(self, run: "Run") -> None:
        """Take the training that is about to start."""
        if is_recorded_here():
            self._begun, self._start = run, _now()
            psutil.cpu_percent()  # of the time since the last call
            self._thread.start()

    def tick(self, progress: "Progress") -> None:
        """Take a line of the history, and distances of earlier ones that are known now."""
        if not self._begun or len(progress.row) == 1:  # stopped between two ticks: no line of the history
            return
        now, of_machine = _now(), psutil.virtual_memory()
        system = {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_percentage": of_machine.percent,
            "system/system_memory_usage_megabytes": of_machine.used / 1e6,
        }
        picture = progress.picture if progress.checkpoint else None
        self._lines.put(_Line(_step(progress.row), _told(progress.row) | system, now, picture))
        for row in progress.judged:
            self._lines.put(_Line(_step(row), {"fd_validation": _distance(row)}, now))

    def end(self, status: str) -> None:
        """Wait a moment for what is not written yet; `status` is MLflow's word for how it ended."""
        self._ended = status
        if self._begun:
            self._lines.put(None)
            self._thread.join(CLOSING_SECONDS)

    def _write(self) -> None:
        """Writes line by line, until the last one."""
        waiting: list[_Line] = []
        while True:
            line = self._lines.get()
            waiting += [line] if line else []
            if line and not self._lines.empty():
                continue
            try:
                self._send(waiting)
                waiting = []
                if line is None:
                    self._close()
            except Exception as error:  # of a server, a database, a disk: no training ends by it
                self._tell(error)
            if line is None:
                return

    def _send(self, lines: Sequence[_Line]) -> None:
        from ganops.registry import tracking  # mlflow takes seconds to import, which the training does not wait for

        client = tracking.connect(self.root)
        self._id = self._id or self._open(client)
        new = {line.name: line for line in lines if line.name not in self._known}
        points = [point for line in new.values() for point in tracking.points(line.step, line.figures, line.time)]
        for part in tracking.parts(points, 1000):
            tracking.settled(client.log_batch, self._id, metrics=part)
        self._known |= new.keys()
        tracking.log_pictures(
            client, self._id, {line.step: (line.picture, line.time) for line in lines if line.picture}
        )

    def _open(self, client: Any) -> str:
        from ganops.evaluation.reporting import effective
        from ganops.registry import tracking

        assert self._begun is not None
        fingerprint, data = self._begun.fingerprint, self.experiment.data
        experiment = tracking.ensure_experiment(client, self.experiment.register_.name, self.root)
        run = tracking.begin_run(
            client, experiment, fingerprint, name=run_name(self.experiment.model.architecture, fingerprint),
            tags=tracking.code_tags(self.root) | tracking.made_by(), params=of_training(effective(self.experiment)),
            start=self._start,
        )  # fmt: skip
        about = self.root / layout.ABOUT
        name = About.read(about).name if about.is_file() else data.source
        tracking.log_data(client, run, name=name, digest=self._begun.meaning["data"], source=data.source)
        self._tell_of_it(client, experiment, run, name)
        heads = ("kimg", "fd_validation")
        self._known = {(head, step) for head in heads for step in tracking.written(client, run, head)}
        return run

    def _tell_of_it(self, client: Any, experiment: str, run: str, data: str) -> None:
        """Begin the text on the page of the run, which `register` completes."""
        from ganops.evaluation.reporting import commands
        from ganops.registry import notes, tracking
        from ganops.search import trials

        assert self._begun is not None
        best = self.root / layout.BEST_PARAMS
        origin = trials.origin(best) if best.is_file() else {}
        parameters = origin.get("parameters", {})
        found = notes.trace(client, run, notes.origin(client, experiment, origin if parameters else {}), self.root)
        if notes.is_written(client, run):  # of a training that goes on, or that is registered
            return
        facts = {
            "Decision": "none yet: `register` comes after the training and its evaluation",
            "Data": notes.data(self._begun.spec, data, self._begun.meaning["data"]),
            "Parameters": found,
            "Code": notes.code(tracking.code_tags(self.root)),
        }
        notes.write(client, run, facts, commands(self.root, self.experiment, parameters, revision(self.root)))

    def _close(self) -> None:
        from ganops.registry import tracking

        if self._id:
            tracking.settled(tracking.connect(self.root).set_terminated, self._id, self._ended)

    def _tell(self, error: Exception) -> None:
        if not self._told:
            why = reason(error)
            say("train", f"MLflow does not have these curves yet ({why}); the training goes on, register adds them")
        self._told = True


@contextmanager
def live(experiment: Experiment, root: Path) -> Iterator[Live]:
    """Yield the run of a training in the store of the project in `root`; afterwards it says how the training ended.

    In a submitted job without a server there is none: its own store would be thrown away with it.
    """
    found = Live(experiment, root)
    try:
        yield found
    except KeyboardInterrupt:
        found.end("KILLED")
        raise
    except BaseException:
        found.end("FAILED")
        raise
    found.end("FINISHED")


def _now() -> int:
    """UTC milliseconds."""
    return int(time.time() * 1000)


def _step(row: Mapping[str, float]) -> int:
    """Samples shown to D."""
    return round(row["kimg"] * 1000)


def _told(row: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in row.items() if not key.endswith(VALIDATION)}


def _distance(row: Mapping[str, float]) -> float:
    return next(value for key, value in row.items() if key.endswith(VALIDATION))
