"""Runs a published comparison: a search for each model, then its best configuration under several seeds.

All that a study makes lies in its folder, and what is finished is not made again: an interrupted command continues.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ganops.config import Experiment
from ganops.core.errors import DivergenceError, TrainingError
from ganops.core.files import atomic, hash_json, read_json, remove, write_json, yaml_text
from ganops.core.layout import DATA
from ganops.data import Prepared, decoders, prepare
from ganops.data.sources import below
from ganops.distributed import decoding, runtime
from ganops.distributed.evaluate import observe
from ganops.distributed.placement import placed
from ganops.distributed.train import fit
from ganops.distributed.tune import search
from ganops.experiment import checks, features, identity, machine, pace
from ganops.experiment.run import Progress
from ganops.metrics.protocol import names, require_equal
from ganops.metrics.reference import Reference, distance
from ganops.search import trials
from ganops.search.trials import Trial
from ganops.studies import study
from ganops.studies.seeds import Spread
from ganops.studies.study import Outcome, Plan, Point, Published, Result

Tell = Callable[[str], None]
"""Listener to lines for people."""
JUDGED = 6.0
"""Seconds in which 2,000 samples are judged four times and evaluated on two cores, for the estimate."""
READY, UNFINISHED, SEARCH = "ready.json", "unfinished", "search.json"
"""Names in a study's folder: hash of its data and features; checkpoints. In a model's: its first phase."""


def estimate(plan: Plan) -> float:
    """Seconds that the trainings of a plan take here, all of them with one turn of D in a step, the dearer choice.

    A few steps of each model are timed for it; two trials at once on single cores count as one on both.
    """
    device = machine.choose_device(next(iter(plan.experiments.values())).compute.device)
    each = plan.trainings / len(plan.experiments)
    total = 0.0
    for experiment in plan.experiments.values():
        judging = JUDGED * (experiment.train.validation_samples + experiment.evaluate.samples) / 4000
        timed = experiment.override({"train.d_steps": 1})
        total += each * (pace.seconds(timed, device, among=experiment.compute.trial.cpus) + judging)
    return total


def place(plan: Plan) -> str:
    """Return the hardware and the precision there, in words."""
    experiment = next(iter(plan.experiments.values()))
    device = machine.choose_device(experiment.compute.device)
    return f"{machine.hardware(device)}, {machine.precision(experiment, device)}"


def run(plan: Plan, out: Path, tell: Tell) -> Outcome:
    """Runs what is missing of a study in its folder, and writes its report there.

    Raises:
        UserError: The data or the storage cannot be used. A model whose trainings all fail is a row of the table.
    """
    models = [_Model(plan, name, out, tell) for name in plan.experiments]
    _make_ready(models[0].experiment, out, tell)
    with ExitStack() as stack:
        for model in models:
            if not model.searched():
                stack.enter_context(runtime.cluster())  # once for all of them, and only if a search is missing
                model.search()
    results = [model.result() for model in models]
    card = Reference.open(out / "features").card
    protocols = [each["protocol"] for model in models for each in model.evaluated]
    for other in protocols[1:]:
        require_equal(protocols[0], other)
    outcome = Outcome(
        plan=plan,
        results=tuple(results),
        figure=names(card["extractor"], card["published"])[0],
        protocol=protocols[0] if protocols else {},
        hardware=place(plan),
        data=Prepared.open(out / "prepared").summary(),
        finished=max(each.get("finished", "") for model in models for each in (model.first, *model.evaluated)),
    )
    study.publish(outcome, out)
    remove(out / UNFINISHED)
    return outcome


def _make_ready(experiment: Experiment, out: Path, tell: Tell) -> None:
    """Prepares the data and the extractor, as the stages do, where that has not been done."""
    content = experiment.content()
    prepared_by = hash_json({key: content[key] for key in ("seed", "data", "features")})
    if (out / READY).is_file() and read_json(out / READY) == prepared_by:
        return
    data = experiment.data
    prepare(
        below(DATA, data.source), out / "prepared", out / "preview.png", decoders.of(data),
        labels=data.labels, group=data.group, validation=data.validation, test=data.test,
        max_rejected=data.max_rejected, shard=data.shard, storage=data.storage,
        mapper=decoding.mapper(experiment.compute),
    )  # fmt: skip
    tell(Prepared.open(out / "prepared").summary())
    placed(
        experiment.compute, "features", features.make, out / "prepared", *features.weights(experiment),
        out=out / "features", experiment=experiment,
    )  # fmt: skip
    tell(Reference.open(out / "features").summary())
    write_json(out / READY, prepared_by)


class _Model:
    """A model of the study, and what there is of it in its folder."""

    def __init__(self, plan: Plan, name: str, out: Path, tell: Tell) -> None:
        self.plan, self.name, self.folder = plan, name, out / name
        self.contender = plan.study.models[name]
        self.prepared, self.features = out / "prepared", out / "features"
        self.tell: Tell = lambda line: tell(f"{self.contender.title}: {line}")
        self.experiment = self._placed(plan.experiments[name], (out / UNFINISHED).resolve())
        self.evaluated: list[dict[str, Any]] = []
        """Records of the seeds that ended, after `result`."""
        self.first: dict[str, Any] = {}
        """The first phase: `trials`, that of the authors as number 0, its `seconds`, when it `finished`, and the `note`
        why it failed."""

    def _placed(self, experiment: Experiment, storage: Path) -> Experiment:
        """Return the experiment, checkpoints in the study's folder, by way of a params.yaml: GANOPS_COMPUTE holds."""
        path = self.folder / "params.yaml"
        content = experiment.override({"compute.storage": str(storage)}).content()
        with atomic(path) as draft:
            draft.write_text(yaml_text(content), encoding="utf-8")
        return checks.load(path)

    def _identity(self, experiment: Experiment, *more: Any) -> str:
        """Return a hash of all that decides a figure."""
        data, extractor = Prepared.open(self.prepared).hash, Reference.open(self.features).card["hash"]
        return hash_json([identity.meaning(experiment, data=data, extractor=extractor), *more])

    def searched(self) -> bool:
        """Return True where the first phase is finished, and then read it."""
        path = self.folder / SEARCH
        known = read_json(path) if path.is_file() else {}
        if known.get("identity") == self._search_identity():
            self.first = known
        return bool(self.first)

    def _search_identity(self) -> str:
        content = self.experiment.content()
        return self._identity(self.experiment, content["tune"], self.contender.authors)

    def search(self) -> None:
        """The first phase: the configuration of the authors, then those drawn from the space."""
        started = time.monotonic()
        authors = self._kept("authors.json", self._authors_identity(), self._authors)
        drawn, note = list[Trial](), ""
        if self.experiment.tune.trials:
            try:
                drawn = list(search(self.experiment, self.prepared, self.features, self._watch).trials)
                trials.best(drawn)
            except TrainingError as error:
                note = str(error)
                self.tell(note)
        furthest = max((trial.rung for trial in drawn), default=0)
        rows = [{**authors["trial"], "rung": furthest}, *map(_row, drawn)]
        self.first = {"trials": rows, "seconds": time.monotonic() - started, "note": note, "finished": _now()}
        if not note:  # what may be mended is tried again
            write_json(self.folder / SEARCH, {"identity": self._search_identity(), **self.first})

    def _watch(self, objective: str, known: Sequence[Trial]) -> AbstractContextManager[Callable[[Trial], None]]:
        return nullcontext(lambda trial: None if trial.status == "running" else self.tell(trials.summary(trial)))

    def _authors_identity(self) -> str:
        return self._identity(self.experiment.override(self.contender.authors))

    def _authors(self) -> dict[str, Any]:
        """Trained like the seeds of the second phase, with the whole machine, and judged like a trial."""
        experiment, values = self.experiment.override(self.contender.authors), dict(self.contender.authors)
        try:
            with fit(experiment, self.prepared, self.features, _silent) as run:
                assert run.judge is not None
                last = run.history[-1]
                found = Trial(0, values, "finished", score=last[run.judge.name], kimg=last["kimg"])
        except DivergenceError as error:
            found = Trial(0, values, "diverged", str(error))
        self.tell(f"its authors' {trials.summary(found)}")
        return {"trial": _row(found)}

    def result(self) -> Result:
        """The second phase: the best configuration under each seed."""
        known, published = [Trial(**row) for row in self.first["trials"]], self.contender.published
        figures = published if isinstance(published, Published) else None
        row: dict[str, Any] = {
            "name": self.name, "title": self.contender.title, "published": figures and figures.mean,
            "published_deviation": figures and figures.deviation,
            "unpublished": "" if isinstance(published, Published) else published, "seconds": self.first["seconds"],
            "failed_configurations": self.plan.configurations - len(trials.ranked(known)), "reason": self.first["note"],
        }  # fmt: skip
        try:
            best = trials.best(known)
        except TrainingError as error:
            self.tell(str(error))
            return Result(**{**row, "reason": row["reason"] or str(error)})
        row |= {"parameters": best.parameters, "by_authors": best.number == 0}
        experiment = self.experiment.override(best.parameters)
        seeds = [self._seed(experiment, seed) for seed in self.plan.seeds]
        self.evaluated = [each for each in seeds if each["protocol"]]
        row["seconds"] += sum(each["seconds"] for each in seeds)
        row["failed_seeds"] = len(seeds) - len(self.evaluated)
        row["course"] = _mean_course([each.get("course", ()) for each in self.evaluated])
        spread = Spread(tuple(each["distance"] for each in self.evaluated))
        if len(spread.values) < 2:
            reason = "; ".join(each["reason"] for each in seeds if each["reason"])
            return Result(**{**row, "values": spread.values, "reason": reason})
        low, high = spread.interval
        return Result(**row, values=spread.values, interval=(low, high))

    def _seed(self, experiment: Experiment, seed: int) -> dict[str, Any]:
        """`distance` and `protocol`, or None and the `reason`; `seconds`, `course`, `finished`. Kept: trained once."""
        judged = experiment.evaluate.model_dump(mode="json")
        key = self._identity(experiment.override({"seed": seed}), judged, experiment.seed)
        return self._kept(f"seed-{seed}/record.json", key, lambda: self._train(experiment, seed))

    def _train(self, experiment: Experiment, seed: int) -> dict[str, Any]:
        started, found, protocol, reason, course = time.monotonic(), None, None, "", _Course()
        try:
            generator = self.folder / f"seed-{seed}" / "generator"
            with fit(experiment.override({"seed": seed}), self.prepared, self.features, course) as run:
                run.best_generator().save(generator)
            found, protocol = evaluate(experiment, generator, self.features)
        except DivergenceError as error:
            reason = str(error)
        seconds = time.monotonic() - started
        self.tell(f"seed {seed}: {reason or f'{found:.1f} on {experiment.evaluate.split}'}, {seconds:.0f} s")
        return {
            "distance": found, "protocol": protocol, "reason": reason, "seconds": seconds, "course": course.points,
            "finished": _now(),
        }  # fmt: skip

    def _kept(self, name: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the content of a file of the model's folder if it has this key, else make it and keep it there."""
        path = self.folder / name
        if path.is_file() and (known := read_json(path))["identity"] == key:
            return dict(known)
        made = make()
        write_json(path, {"identity": key, **made})
        return made


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _silent(progress: Progress) -> None:
    """A study tells of whole trainings."""


@dataclass
class _Course:
    """A listener that keeps the course of a training."""

    points: list[Point] = field(default_factory=list)
    kimg: float = 0.0
    seconds: float = 0.0

    def __call__(self, progress: Progress) -> None:
        kimg = progress.row["kimg"]  # what came before an interruption is taken to have been as quick
        self.seconds += (kimg - self.kimg) * 1000 / progress.row["images_per_second"]
        self.kimg = kimg
        for row in progress.judged:
            distance = next(value for name, value in row.items() if name.endswith("_validation"))
            self.points.append(Point(row["kimg"], self.seconds * row["kimg"] / kimg, distance))


def _mean_course(courses: Sequence[Sequence[Sequence[float]]]) -> tuple[Point, ...]:
    """The mean of several courses, at each kimg where all of them were judged."""
    known = [{kimg: (kimg, *others) for kimg, *others in course} for course in courses]
    common = sorted(set.intersection(*map(set, known))) if known else []
    return tuple(Point(*np.mean([each[kimg] for each in known], 0).tolist()) for kimg in common)


def evaluate(experiment: Experiment, generator: Path, features: Path) -> tuple[float, dict[str, Any]]:
    """The distance of a generator to the split of the evaluation, and how it was taken.

    The other figures of an evaluation would take longer than many a training of a study.
    """
    reference, judged = Reference.open(features), experiment.evaluate
    made = observe(experiment.compute, generator, features, judged.samples)
    card = reference.card
    protocol = {
        "extractor": card["extractor"], "weights": card["hash"], "published": card["published"], "split": judged.split,
        "real": len(reference.features(judged.split)), "generated": len(made.features), "first_seed": made.first_seed,
        "labels": made.drawn,
        **{name: card["protocol"][name] for name in ("resize", "quantisation")},
    }  # fmt: skip
    return distance(made.features, reference, judged.split), protocol


def _row(trial: Trial) -> dict[str, Any]:
    """Return the part of a trial that is kept."""
    kept = ("number", "parameters", "status", "reason", "rung", "score", "kimg", "seconds")
    row = {name: getattr(trial, name) for name in kept}
    return row | {"score": row["score"] if row["score"] is not None and math.isfinite(row["score"]) else None}
