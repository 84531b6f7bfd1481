"""How well the importance of parameters is told from few trials: python benchmarks/importance.py

A known game: a learning rate with a best value, a penalty, a choice, two parameters that do nothing, and chance. Here
are the true shares in the order of endlessly many trials; then, for 12 and for 30 random trials, the mean and the
largest share in 24 searches, and in how many the interval holds the truth; beside them optuna's fANOVA.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from ganops.search.analysis import importance
from ganops.search.trials import Trial

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 1e-2, log=True),
    "penalty": FloatDistribution(1e-2, 10, log=True),
    "loss": CategoricalDistribution(["a", "b"]),
    "idle": FloatDistribution(0, 1),
    "idle too": FloatDistribution(0, 1),
}
CHANCE, SEARCHES, MANY = 0.2, 24, 20_000


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "rate": float(10 ** rng.uniform(-4, -2)),
        "penalty": float(10 ** rng.uniform(-2, 1)),
        "loss": ["a", "b"][rng.integers(2)],
        "idle": float(rng.uniform()),
        "idle too": float(rng.uniform()),
    }


def logarithm(p: Mapping[str, Any]) -> float:
    """Of the distance, without chance."""
    return 2 * (math.log10(p["rate"]) + 3) ** 2 + 0.5 * math.log10(p["penalty"]) + 0.6 * (p["loss"] == "a")


def true_shares() -> dict[str, float]:
    """Total effect of each parameter on the rank (averaged over chance), over the variance of the rank."""
    rng = np.random.default_rng(0)
    points, others = ([drawn(rng) for _ in range(MANY)] for _ in range(2))
    chance = CHANCE * rng.normal(size=MANY)
    seen = np.sort([logarithm(p) + c for p, c in zip(points, chance, strict=True)])

    def ranks(points: list[dict[str, Any]]) -> Any:
        values = np.array([logarithm(p) for p in points])
        return np.mean([np.searchsorted(seen, values + c) / MANY for c in CHANCE * rng.normal(size=32)], axis=0)

    plain = ranks(points)
    changed = {name: ranks([p | {name: o[name]} for p, o in zip(points, others, strict=True)]) for name in SPACE}
    # the variance of a rank is that of a uniform number, 1/12
    return {name: float(((other - plain) ** 2).mean() / (2 / 12)) for name, other in changed.items()}


def search(count: int, seed: int) -> list[Trial]:
    rng = np.random.default_rng(seed)
    points = [drawn(rng) for _ in range(count)]
    scores = [math.exp(logarithm(p) + CHANCE * rng.normal()) for p in points]
    return [Trial(i, p, "finished", rung=1, score=s) for i, (p, s) in enumerate(zip(points, scores, strict=True), 1)]


def fanova(trials: list[Trial]) -> Mapping[str, float]:
    study = optuna.create_study()
    for trial in trials:
        study.add_trial(optuna.trial.create_trial(params=trial.parameters, distributions=SPACE, value=trial.score))
    return optuna.importance.FanovaImportanceEvaluator(seed=0).evaluate(study)


def main() -> None:
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    truth = true_shares()
    print(f"{'':<10}{'truth':>7}{'ours: mean, largest, interval holds':>40}{'fANOVA: mean, largest':>26}")
    for count in (12, 30):
        print(f"{count} trials")
        found = [search(count, seed) for seed in range(SEARCHES)]
        ours, theirs = [importance(trials) for trials in found], [fanova(trials) for trials in found]
        for name in SPACE:
            shares = [each.shares[name] for each in ours if each]
            middle, held = [share for share, *_ in shares], [low <= truth[name] <= high for _, low, high in shares]
            other = [each[name] for each in theirs]
            print(
                f"{name:<10}{truth[name]:7.2f}{np.mean(middle):20.2f}{max(middle):8.2f}{np.mean(held):11.0%} "
                f"{np.mean(other):17.2f}{max(other):9.2f}"
            )


if __name__ == "__main__":
    main()
