"""One experiment under several seeds of the training: the spread that no interval of a single run can tell.

Data, features, protocol and the latents of the evaluation are those of the experiment for every seed, so that nothing
but the training moves. What a seed has made is kept under its fingerprint: an interrupted command continues.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganops.config import Experiment
from ganops.core.errors import UserError
from ganops.core.files import read_json, write_json
from ganops.core.terminal import Table
from ganops.data import Prepared
from ganops.distributed.evaluate import observe
from ganops.distributed.placement import placed
from ganops.distributed.train import fit
from ganops.evaluation.verdict import judge
from ganops.experiment import identity
from ganops.experiment.run import Progress
from ganops.generator import Generator
from ganops.metrics.measure import measure
from ganops.metrics.protocol import VERSION, require_equal
from ganops.metrics.reference import Reference

FIGURES = "evaluation.json"
GENERATOR = "generator"


@dataclass(frozen=True)
class Spread:
    """A figure over several trainings."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the trainings."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """The standard deviation between trainings (n - 1)."""
        return float(np.std(self.values, ddof=1))

    @property
    def interval(self) -> list[float]:
        """95 % interval of the mean of endlessly many trainings: Student's t, n - 1 degrees of freedom."""
        from scipy import stats  # takes more than a second

        n = len(self.values)
        margin = float(stats.t.ppf(0.975, n - 1)) * self.deviation / n**0.5
        return [self.mean - margin, self.mean + margin]

    def content(self) -> dict[str, Any]:
        """Return the spread as plain values."""
        return {
            "mean": self.mean, "deviation": self.deviation, "interval": self.interval, "values": list(self.values)
        }  # fmt: skip


def train_under(
    experiment: Experiment,
    seeds: Sequence[int],
    prepared: Path,
    features: Path,
    out: Path,
    listen: Callable[[int, Progress], None],
) -> dict[str, Spread]:
    """Trains and evaluates the experiment under each seed; keeps each generator and its figures in `out`/seed-<n>.

    Returns:
        Each figure that has an interval in a single evaluation, over the seeds.

    Raises:
        UserError: There are fewer than two different seeds.
        TrainingError: A training failed; what the earlier seeds have made is kept.
    """
    if len(set(seeds)) < 2:
        raise UserError(f"a spread needs at least two different seeds, got {', '.join(map(str, seeds)) or 'none'}")
    results = [
        _one(experiment, seed, prepared, features, out / f"seed-{seed}", listen) for seed in dict.fromkeys(seeds)
    ]
    for other in results[1:]:
        require_equal(results[0]["protocol"], other["protocol"])
    return {name: Spread(tuple(result[name] for result in results)) for name in results[0]["intervals"]}


def _one(
    experiment: Experiment,
    seed: int,
    prepared: Path,
    features: Path,
    out: Path,
    listen: Callable[[int, Progress], None],
) -> dict[str, Any]:
    reference, judged, changed = Reference.open(features), experiment.evaluate, experiment.override({"seed": seed})
    meaning = identity.meaning(changed, data=Prepared.open(prepared).hash, extractor=reference.card["hash"])
    key = [identity.fingerprint(meaning), judged.samples, judged.split, experiment.seed, VERSION]
    if (out / FIGURES).is_file() and (known := read_json(out / FIGURES))["identity"] == key:
        return dict(known["figures"])
    with fit(changed, prepared, features, lambda progress: listen(seed, progress)) as run:
        run.best_generator().save(out / GENERATOR)
        made = observe(experiment.compute, out / GENERATOR, features, judged.samples)
        figures = measure(made, reference, judged.split, seed=experiment.seed)
        how: dict[str, Any] = {"results": figures, "samples": judged.samples, "seed": experiment.seed}
        figures = placed(experiment.compute, "seeds", _judged, out / GENERATOR, prepared, **how)
        write_json(out / FIGURES, {"identity": key, "figures": figures})
    return figures


def _judged(generator: Path, prepared: Path, *, device: str, **how: Any) -> dict[str, Any]:
    """The figures with those of `verdict.judge`, for which networks learn on the device."""
    return judge(generator=Generator.load(generator, device), prepared=Prepared.open(prepared), **how)


def table(spreads: dict[str, Spread]) -> Table:
    """Return the spreads as a table for people."""
    count = len(next(iter(spreads.values())).values)
    found = Table("metric", "mean", "± between trainings", "95 % of the mean", title=f"{count} trainings")
    for name, spread in spreads.items():
        low, high = spread.interval
        found.add_row(name, f"{spread.mean:.4g}", f"{spread.deviation:.2g}", f"[{low:.4g}, {high:.4g}]")
    return found
