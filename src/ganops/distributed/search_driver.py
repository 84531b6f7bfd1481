"""The driver of a search: which trial is next, what became of each, all of it in the trial store before it counts."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ganops.config import Experiment
from ganops.core.errors import UserError
from ganops.core.terminal import say
from ganops.distributed.trial_runner import DISTANCE, Assignment
from ganops.distributed.trial_store import TrialStore
from ganops.search import space, tpe
from ganops.search.population import succession
from ganops.search.trials import Takeover, Trial

TIME_IS_UP = "the time of tune.minutes is over"


def may_go_on(trial: Trial) -> bool:
    """Return True where it ended by what may be mended at the next command: a full disk, a lost process, the time."""
    return trial.status == "failed" or trial.reason == TIME_IS_UP


class SearchDriver:
    """Knows all trials; hands out assignments and hears results."""

    def __init__(self, experiment: Experiment, store: TrialStore) -> None:
        self.tune, self.store = experiment.tune, store
        self.listen: Callable[[Trial], None] = lambda trial: None
        """A listener that is told whenever something has become of a trial."""
        # those beyond `tune.trials`, of a search that was longer once, stay in the store
        population = self.tune.scheduler == "pbt"
        self.trials = {n: trial for n, trial in store.trials().items() if population or n <= self.tune.trials}
        self.before, self.started = float(store.about().get("seconds", 0.0)), time.monotonic()
        self.hardware = ""
        self.busy: set[int] = set()
        self.trouble: UserError | None = None
        """The error that ends the search."""
        self.waiting: list[int] = []
        self.rung = 0
        if population:
            for rung, takeovers in sorted(store.rounds().items()):
                self._replace(rung, takeovers)
        if not self.is_late:
            # diverged and pruned trials would end the same way
            self.waiting = [t.number for t in self.trials.values() if t.status == "running" or may_go_on(t)]
            for trial in filter(may_go_on, list(self.trials.values())):
                self.trials[trial.number] = replace(trial, status="running", reason="")

    @property
    def seconds(self) -> float:
        """Running time of the search in seconds, over all its attempts."""
        return self.before + time.monotonic() - self.started

    @property
    def is_late(self) -> bool:
        """True once the time is over."""
        return self.tune.minutes is not None and self.seconds > 60 * self.tune.minutes

    def next(self) -> Assignment | None:
        """Return what is to be done now; None: nothing before another result.

        Raises:
            StopIteration: The search is over, but for what is under way.
        """
        if self.is_late:
            raise StopIteration
        number = self._member() if self.tune.scheduler == "pbt" else self._trial()
        if number is None:
            return None
        trial = self.trials[number]
        self.busy.add(number)
        self._keep(replace(trial, status="running", reason=""))
        if self.tune.scheduler != "pbt":
            return Assignment(number, trial.parameters, 0, self.tune.rungs, number)
        taken = next((each for each in trial.takeovers if each.rung == self.rung), None)
        return Assignment(number, trial.parameters, self.rung, self.rung + 1, taken.source if taken else number)

    def _trial(self) -> int:
        """The next one that waits, or a new one."""
        if self.waiting:
            return self.waiting.pop(0)
        number = len(self.trials) + 1
        if number > self.tune.trials:
            raise StopIteration
        self.trials[number] = Trial(number, self._drawn())
        return number

    def _drawn(self) -> dict[str, Any]:
        """The parameters of a new trial. StopIteration: the space has no more."""
        if self.tune.search == "optuna":
            return tpe.suggest(self.tune, list(self.trials.values()))
        # begun anew each time: Ray Tune pickles what hears its results, and generators cannot be
        grid = self.tune.search == "grid"
        every = space.grid(self.tune.space) if grid else space.sequence(self.tune.space, self.tune.seed)
        return next(itertools.islice(every, len(self.trials), None))

    def _member(self) -> int | None:
        """The next member of the population that has this round before it; None: others are still at it."""
        while len(self.trials) < self.tune.trials:
            number = len(self.trials) + 1
            try:
                self.trials[number] = Trial(number, self._drawn())
            except StopIteration:
                break
        todo = [t for t in self.trials.values() if t.status == "running" and t.rung <= self.rung]
        if idle := [t.number for t in todo if t.number not in self.busy]:
            return idle[0]
        if todo:
            return None
        if self.rung + 1 >= self.tune.rungs or not any(t.status == "running" for t in self.trials.values()):
            raise StopIteration
        takeovers = succession(list(self.trials.values()), self.rung + 1, self.tune)
        self.store.write_round(self.rung + 1, takeovers)
        self._replace(self.rung + 1, takeovers)
        return self._member()

    def _replace(self, rung: int, takeovers: dict[int, Takeover]) -> None:
        """Begins the round after a judgement."""
        for number, takeover in takeovers.items():
            trial = self.trials[number]
            if takeover not in trial.takeovers:
                begun = replace(trial, parameters=takeover.parameters, status="running", reason="")
                self.trials[number] = replace(begun, takeovers=(*trial.takeovers, takeover))
        self.rung = rung
        self.store.forget_all(lambda number, old: old < rung)

    def hear(self, number: int, result: dict[str, Any]) -> None:
        """Takes in what a trial came to."""
        self.hardware = result.get("hardware", self.hardware)
        for note in result.get("notes", ()):
            say("tune", f"trial {number}: {note}")
        trial, rows = self.trials[number], result["rows"]
        # rows that are known were trained again after a loss, or are those of whom it took over from
        history = [row for row in trial.history if not rows or row["kimg"] < rows[0]["kimg"]] + list(rows)
        judged = [row for row in history if "rung" in row]
        heard = replace(
            trial,
            history=tuple(history),
            kimg=history[-1]["kimg"] if history else 0.0,
            rung=int(judged[-1]["rung"]) if judged else 0,
            score=judged[-1].get(DISTANCE) if judged else None,
            seconds=trial.seconds + result["seconds"],
        )
        status, reason = result["ended"] or ("due", "")
        if status == "due":
            self._keep(heard)
        else:
            self._end(heard, status, reason)

    def leave(self, number: int) -> None:
        """Ray has taken the trial off: it has done what it was ordered, or the scheduler or the clock ended it."""
        self.busy.discard(number)
        trial = self.trials[number]
        # in trouble Ray takes off all trials: they have not ended, and go on by the next command
        if trial.status != "running" or self.tune.scheduler == "pbt" or self.trouble:
            return
        best = f"not among the best 1/{self.tune.reduction:g} after judgement {trial.rung}"
        self._end(trial, "stopped", TIME_IS_UP if self.is_late else best)

    def lose(self, number: int, reason: str) -> None:
        """Note that the process of a trial is gone for good."""
        self.busy.discard(number)
        if self.trials[number].status == "running":
            self._end(self.trials[number], "failed", reason)

    def _end(self, trial: Trial, status: Any, reason: str) -> None:
        ended = replace(trial, status=status, reason=reason)
        self._keep(ended)
        if not may_go_on(ended) and self.tune.scheduler != "pbt":
            self.store.forget_all(lambda number, rung: number == trial.number)

    def _keep(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        self.store.write(trial)
        self.store.write_about(self.seconds)
        self.listen(trial)

    def close(self) -> None:
        """End, after the last result, members whose time was over."""
        for trial in list(self.trials.values()):
            if trial.status == "running":
                self._end(trial, "stopped", TIME_IS_UP)

    def judged(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Number and row of each judgement that is known, for a scheduler that has not seen them.

        Trials that go on report their last one again: then it is decided whether they go on.
        """
        for trial in self.trials.values():
            again = trial.rung if trial.number in self.waiting else 0
            for row in trial.history:
                if "rung" in row and row["rung"] != again:
                    yield trial.number, row
