"""The selection of a training: of all judged averages the weights with the smallest validation distance."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from ganops.experiment import checkpoint
from ganops.experiment.candidate import Candidate, Row
from ganops.generator import Description, Generator
from ganops.generator.artefact import WARM_UP

LONGEST = 600.0
"""Seconds for which a judge apart is waited for; then its work is done in line, which gives the same distance."""
MOST_PENDING = 2
"""Judgements that may be under way: each keeps a copy of the average, and the listener should not lag far behind."""


class Judge(Protocol):
    """A judge by features: a distance between generated images and the validation split."""

    name: str
    """Key of the distance in the history."""
    hash: str
    """Hash of the extractor."""

    def distance(self, generator: Generator, seeds: NDArray[np.int64]) -> float:
        """Distance of the pictures of `seeds` to the validation split, computed here."""

    def submit(self, generator: Generator, seeds: NDArray[np.int64]) -> "Future[float]":
        """The same distance, perhaps computed elsewhere and later; the generator may change as soon as this returns."""


@dataclass(frozen=True)
class Pending:
    """A judgement under way."""

    candidate: Candidate
    distance: Future[float]


@dataclass(frozen=True)
class Found:
    """The content of a checkpoint that a selection goes on with."""

    best: Candidate | None
    warm_up: Candidate | None
    waiting: tuple[Candidate, ...]
    """Candidates whose judgements were under way."""


def read(
    folder: Path, journal: checkpoint.Journal, history: list[Row], described: Callable[[float], Description]
) -> Found:
    """Read what `Selection.write` wrote into a checkpoint; lines of `history` will hear the distances that wait.

    `described` tells of kimg the description of a generator.
    """

    def candidate(row: Row, name: str) -> Candidate:
        return Candidate(row, described(row["kimg"]), load_file(folder / name))

    rows = {row["kimg"]: row for row in history}
    waiting = (
        candidate(rows[kimg], checkpoint.PENDING.format(number))
        for number, kimg in enumerate(journal.get("pending", []))
    )
    best = candidate(row, checkpoint.BEST) if (row := journal["best"]) else None
    warm_up = candidate(row, WARM_UP) if (row := journal.get("warm_up")) else None
    return Found(best, warm_up, tuple(waiting))


class Selection:
    """The best weights so far, of all and of the warm-up, and the judgements under way.

    Judgements count in the order of their kimg, whichever is known first: so the best weights are those of judging in
    line. Without a judge the last weights are the best.

    Args:
        judge: measures the distances.
        warm_up: kimg of the warm-up before a game; 0: there is none.
        seeds: of the pictures that are judged.
        device: where a judgement is made again that failed elsewhere.
        notes: takes remarks for people.
    """

    def __init__(
        self, judge: Judge | None, warm_up: float, seeds: NDArray[np.int64], *,
        device: torch.device, notes: list[str],
    ) -> None:  # fmt: skip
        self.judge, self.seeds = judge, seeds
        self._border, self._device, self._notes = warm_up, device, notes
        self.best: Candidate | None = None
        self.warm_up: Candidate | None = None
        self.pending: list[Pending] = []

    @property
    def improved(self) -> bool | None:
        """True where the best weights are of the game, False where of its warm-up; None: it has none, or no weights."""
        return not self._is_of_warm_up(self.best) if self._border and self.best else None

    @property
    def waiting(self) -> list[Row]:
        """The lines of the history whose distance is not known yet."""
        return [pending.candidate.row for pending in self.pending]

    def make_room(self) -> list[Row]:
        """Takes in what is judged, until one more judgement may be under way; returns their lines."""
        return self.take_in(MOST_PENDING - 1)

    def submit(self, candidate: Candidate, generator: Generator, *, last: bool) -> list[Row]:
        """Has a candidate judged; returns the lines whose distance is known now, of the `last` one all of them."""
        if self.judge is None:
            self.keep(candidate)
            return []
        self._submit(self.judge, candidate, generator)
        return self.take_in(0 if last else MOST_PENDING)

    def take_in(self, most: int = MOST_PENDING) -> list[Row]:
        """Takes in what is judged, and waits until at most `most` judgements are under way; returns their lines."""
        judged = []
        while self.judge and self.pending and (self.pending[0].distance.done() or len(self.pending) > most):
            candidate = self.pending[0].candidate
            candidate.row[self.judge.name] = self._distance(self.judge, self.pending[0])
            self.keep(candidate)
            judged.append(candidate.row)
            del self.pending[0]
        return judged

    def keep(self, candidate: Candidate) -> None:
        """Keeps a candidate that is the best so far, of all or of the warm-up."""
        if self._is_better(candidate, self.best):
            self.best = candidate
        if self._is_of_warm_up(candidate) and self._is_better(candidate, self.warm_up):
            self.warm_up = candidate

    def write(self, folder: Path) -> checkpoint.Journal:
        """Writes the weights into the folder of a checkpoint; returns their part of its journal."""
        for kept, name in ((self.best, checkpoint.BEST), (self.warm_up, WARM_UP)):
            if kept:
                checkpoint.save_weights(kept.weights, folder / name)
        for number, pending in enumerate(self.pending):
            checkpoint.save_weights(pending.candidate.weights, folder / checkpoint.PENDING.format(number))
        return {
            "best": self.best.row if self.best else None,
            "warm_up": self.warm_up.row if self.warm_up else None,
            "pending": [row["kimg"] for row in self.waiting],
        }

    def go_on_with(self, found: Found) -> None:
        """Takes what was read in the place of what is here, and has judged what waits for its distance."""
        self.best, self.warm_up, self.pending = found.best, found.warm_up, []
        for candidate in found.waiting:
            assert self.judge is not None
            self._submit(self.judge, candidate, candidate.generator(self._device))

    def _submit(self, judge: Judge, candidate: Candidate, generator: Generator) -> None:
        self.pending.append(Pending(candidate, judge.submit(generator, self.seeds)))

    def _distance(self, judge: Judge, pending: Pending) -> float:
        """Return the judge's distance; where it failed, compute it here, so that the task's own errors surface."""
        try:
            return pending.distance.result(LONGEST)
        except Exception as error:  # of another process: the death of an actor, its memory, its files
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            kimg = pending.candidate.kimg
            self._notes.append(f"the judge failed on {kimg:.4g} kimg, its work was done in line ({reason})")
            return judge.distance(pending.candidate.generator(self._device), self.seeds)

    def _is_better(self, candidate: Candidate, best: Candidate | None) -> bool:
        name = self.judge.name if self.judge else ""
        return not name or best is None or not best.row[name] <= candidate.row[name]

    def _is_of_warm_up(self, candidate: Candidate) -> bool:
        return candidate.kimg <= self._border
