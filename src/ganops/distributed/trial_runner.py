"""One process of Ray Tune, in which trials train one after another: what takes seconds to load is loaded once."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ray
import torch
from ray import tune
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ganops import config
from ganops.config import Bound, Experiment
from ganops.core import devices
from ganops.core.errors import DamageError, DivergenceError, TrainingError, UserError
from ganops.core.redaction import redacted
from ganops.core.retry import retry_timeout
from ganops.data import Prepared
from ganops.distributed.node_copy import NodeCopy
from ganops.distributed.runtime import Plan
from ganops.distributed.trial_store import TrialStore
from ganops.evaluation.validation import ValidationJudge
from ganops.experiment import build, machine
from ganops.experiment.log import Log
from ganops.experiment.run import Run
from ganops.experiment.start import Start
from ganops.metrics.reference import Reference

DISTANCE = "distance"
"""Key of the distance in a result that follows a validation."""
WHOLE = 1e-6
"""Largest distance of a number of validations from a whole one: rounding of kimg."""


@dataclass(frozen=True)
class Assignment:
    """The work that a trial is to do next."""

    number: int
    parameters: dict[str, Any]
    after: int
    """Number of the validation after which it begins; 0: at the start."""
    until: int
    """Number of the validation with which it ends."""
    source: int
    """Number of the trial with whose state after `after` it begins."""


@dataclass(frozen=True)
class Course:
    """The division of a trial's length."""

    experiment: Experiment
    """The trial's experiment: a tick ends where a part does."""
    ticks: int
    """Ticks from one validation to the next."""
    steps: int
    """Steps in a tick."""

    @classmethod
    def of(cls, experiment: Experiment, values: dict[str, Any]) -> "Course":
        """A trial is the same share of its own training as `tune.kimg` is of that in the file."""
        changed, tune = experiment.override(values), experiment.tune
        recipe = build.recipe(changed)
        kimg = recipe.batch * recipe.d_steps / 1000
        share = min(1.0, tune.kimg / experiment.train.kimg)
        piece = max(1, round(share * recipe.steps / tune.rungs))
        ticks = max(1, round(piece * kimg / changed.train.tick_kimg))
        if piece < 50 * ticks:  # rounding would change the length by more than a hundredth
            ticks = next(n for n in range(ticks, 0, -1) if piece % n == 0)
        steps = round(piece / ticks)
        rung = ticks * steps * kimg
        length = max(changed.train.kimg, tune.rungs * rung)  # what is rounded up must fit
        train = {"train.tick_kimg": steps * kimg, "train.checkpoint_kimg": rung, "train.kimg": length}
        return cls(changed.override(train), ticks, steps)

    def step(self, rung: int) -> int:
        """The step at which a validation is due."""
        return rung * self.ticks * self.steps

    def rung(self, kimg: float) -> float:
        """Number of validations before a step: whole where one is due."""
        recipe = build.recipe(self.experiment)
        return kimg * 1000 / (recipe.batch * recipe.d_steps) / self.step(1)


class TrialRunner(tune.Trainable):  # type: ignore[misc]  # ray is untyped
    """Trains what it is ordered to, tick by tick; a trouble of a trial is a result, not an error."""

    def setup(
        self, assignment: dict[str, Any], *, content: dict[str, Any], prepared: NodeCopy, features: NodeCopy,
        store: TrialStore, plan: Plan, edits: str | None = None, ancestor: tuple[NodeCopy, str] | None = None,
    ) -> None:  # fmt: skip
        """Takes what all trials share, and the first assignment."""
        self.base, self.store, self.plan = config.parse(content), store, plan
        self.prepared, self.features, self.edits, self.ancestor = prepared, features, edits, ancestor
        self.reset_config(assignment)

    def reset_config(self, assignment: dict[str, Any]) -> bool:
        """Begins with another assignment."""
        self.assignment, self.started = Assignment(**assignment), time.monotonic()
        self.notes: list[str] = []
        self.results = self._results()
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next tick: `rows` that are new, `seconds`, `notes`, and `ended`: a status and its reason."""
        try:
            result = next(self.results)
        except StopIteration:
            result = {"ended": ["finished", ""]}
        except DivergenceError as error:
            result = {"ended": ["diverged", str(error)]}
        except Exception as error:
            text = str(error) if isinstance(error, UserError | OSError) else f"{type(error).__name__}: {error}"
            result = {"ended": ["failed", redacted(text)]}
        seconds, self.started = time.monotonic() - self.started, time.monotonic()
        told = {"seconds": seconds, "notes": self.notes, "done": result.get("ended") is not None}
        self.notes = []
        return {"rows": [], "ended": None, **result, **told}

    @cached_property
    def judge(self) -> ValidationJudge:
        """The validator of all trials of this process."""
        return ValidationJudge(Reference.open(self.features.open(), str(self.device)))

    @cached_property
    def device(self) -> torch.device:
        """The device of this process, of a GPU its share: more workers than one have their own."""
        if self.plan.workers > 1:
            return torch.device("cpu")
        device = machine.choose_device(self.base.compute.device)
        devices.limit(device, self.plan.gpus)
        return device

    @cached_property
    def data(self) -> Prepared:
        """The data of all trials."""
        return Prepared.open(self.prepared.open(), self.base.compute.cache)

    @cached_property
    def start(self) -> Start | None:
        """The weights with which all trials begin."""
        return Start.open(self.ancestor[0].open(), self.ancestor[1]) if self.ancestor else None

    def _results(self) -> Iterator[dict[str, Any]]:
        assignment, course = self.assignment, Course.of(self.base, self.assignment.parameters)
        self.hardware = machine.hardware(self.device)
        place: dict[str, Any] = {"edits": self.edits, "cores": self.plan.cpus, "start": self.start}
        run = Run(course.experiment, self.data, self.judge, self.device, **place)
        rung = self._begin(run, assignment)
        known = [self._row(course, row) for row in run.history]
        ended = None
        if known:
            ended = self._ended(known[-1], assignment)
            yield self._result(known, ended)
        while rung < assignment.until and ended is None:
            before = rung
            for rows, alarms in self._play(run, course, rung):
                rows = [self._row(course, row) for row in rows]
                if DISTANCE in rows[-1]:
                    rung += 1
                    figures = {**self._figures(run), "alarms": float(len(alarms))}
                    rows[-1] |= figures
                    run.history[-1] |= figures  # whoever continues from the state knows them
                    ended = self._ended(rows[-1], assignment)
                    if math.isfinite(rows[-1][DISTANCE]):
                        self._save(run, rung)
                yield self._result(rows, ended)
            if rung == before:
                raise TrainingError(f"judgement {rung + 1} of {assignment.until} was not reached")

    def _begin(self, run: Run, assignment: Assignment) -> int:
        """Loads the latest whole state that belongs to the assignment; after which judgement it is."""
        there = self.store.checkpoints()
        parts = range(assignment.after + 1, assignment.until + 1)
        own = [rung for number, rung in there if number == assignment.number and rung in parts]
        for rung in sorted(own, reverse=True):
            try:
                return self._load(run, assignment.number, rung, takeover=False)
            except DamageError as error:  # the judgement is made again, to the same figures
                self.store.forget(assignment.number, rung)
                self.notes.append(f"{error}; it is trained again from the state before")
        if not assignment.after:
            return 0
        try:
            return self._load(run, assignment.source, assignment.after, takeover=True)
        except DamageError as error:
            raise TrainingError(f"{error}; remove {self.store.name} in compute.storage to search anew") from error

    def _load(self, run: Run, number: int, rung: int, *, takeover: bool) -> int:
        with self.store.storage.opened(self.store.checkpoint(number, rung), retry_timeout()) as folder:
            run.load(folder / "run", takeover=takeover)
        return rung

    def _play(self, run: Run, course: Course, rung: int) -> Iterator[tuple[list[dict[str, float]], tuple[str, ...]]]:
        """Rows and alarms, tick by tick, up to the next judgement."""
        if self.plan.workers == 1:
            for progress in run.play(until=course.step(rung + 1)):
                yield [progress.row], progress.alarms
            return
        from ganops.distributed.on_ray import stretch  # takes Ray Train in: one process less knows it

        before, assignment = len(run.history), self.assignment
        source = assignment.source if rung == assignment.after else assignment.number
        alarms = stretch(
            run, self.prepared, self.features, self.store.storage,
            folder=f"{self.store.name}/train", name=f"{assignment.number:04d}-{rung + 1}",
            start=self.store.checkpoint(source, rung) if rung else None,
            until=course.step(rung + 1), plan=self.plan, ancestor=self.ancestor,
        )  # fmt: skip
        self.hardware = str(run.hardware["hardware"])
        yield run.history[before:], alarms

    def _figures(self, run: Run) -> dict[str, float]:
        """Figures of the pictures that were judged last; those of several workers are drawn again, where these were."""
        if self.plan.workers == 1:
            return self.judge.figures()
        again = run.generator(run.history[-1]["kimg"]), run.selection.seeds
        if not self.plan.gpus:
            self.judge.distance(*again)
            return self.judge.figures()
        from ganops.distributed.judge_apart import Bench

        apart = PlacementGroupSchedulingStrategy(placement_group=None)  # that of the trial has no core and no GPU
        there = ray.remote(Bench).options(
            num_cpus=self.plan.cpus, num_gpus=self.plan.gpus, scheduling_strategy=apart
        )  # fmt: skip
        bench = there.remote(self.features, "cuda")
        found: dict[str, float] = ray.get(bench.figures.remote(*again))
        return found

    def _row(self, course: Course, row: dict[str, float]) -> dict[str, float]:
        """A line of the history as the search keeps it."""
        kept = {key: value for key, value in row.items() if key != self.judge.name and math.isfinite(value)}
        rung = course.rung(row["kimg"])
        if self.judge.name in row and abs(rung - round(rung)) < WHOLE:  # the end of a warm-up is judged as well
            kept |= {"rung": round(rung), DISTANCE: row[self.judge.name]}
        return kept

    def _ended(self, row: dict[str, float], assignment: Assignment) -> list[str] | None:
        """The status and the reason of a trial that ends with this judged row; due: another assignment follows."""
        if not math.isfinite(row[DISTANCE]):
            return ["diverged", f"the distance is {row[DISTANCE]}"]
        for name, bound in self.base.tune.limits.items():
            if name in row and (broken := _broken(name, row[name], bound)):
                return ["pruned", broken]
        if row["rung"] < assignment.until:
            return None
        return ["finished" if row["rung"] >= self.base.tune.rungs else "due", ""]

    def _result(self, rows: list[dict[str, float]], ended: list[str] | None) -> dict[str, Any]:
        """The result for Ray Tune: `rung` and `distance` where the last row was judged, which a scheduler looks at."""
        last = {key: rows[-1][key] for key in ("rung", DISTANCE) if key in rows[-1]}
        finite = [{key: value for key, value in row.items() if math.isfinite(value)} for row in rows]
        return {"rows": finite, "ended": ended, "hardware": self.hardware, **last}

    def _save(self, run: Run, rung: int) -> None:
        """Keeps the state, and the picture that belongs to it."""
        assignment, store = self.assignment, self.store
        with store.storage.keep(store.checkpoint(assignment.number, rung), retry_timeout()) as folder:
            run.log = Log(rows=run.history)  # all rows go with the state; nobody looks at the film strip of a trial
            run.save(folder / "run")
        store.write_picture(assignment.number, run.picture(run.generator(run.history[-1]["kimg"])))
        # the state before is needed no more, unless another may begin with it
        if self.base.tune.scheduler != "pbt" and rung > 1:
            store.forget(assignment.number, rung - 1)


def _broken(name: str, value: float, bound: Bound) -> str:
    """Return what a limit says against a value, if anything."""
    if bound.at_most is not None and not value <= bound.at_most:
        return f"{name} {value:.3g} is above {bound.at_most:g} (tune.limits)"
    if bound.at_least is not None and not value >= bound.at_least:
        return f"{name} {value:.3g} is below {bound.at_least:g} (tune.limits)"
    return ""
