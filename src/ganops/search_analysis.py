"""What the trials of a search say together: which parameters mattered, and what a smaller search would have found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from ganops.trials import Trial, ranked

Floats = np.ndarray[Any, np.dtype[np.float64]]

FEWEST = 8
"""Trials with a distance that counts below which nothing is said about the importance of parameters."""
SPREAD = 20
"""Positive values whose largest is so many times the smallest are looked at by their logarithm."""
TREES, SHUFFLES, RESAMPLES = 200, 16, 2000


@dataclass(frozen=True)
class BestSoFar:
    """What the best of k trials scores, for k = 1 to n: each float64 [n]; infinite where there is no score."""

    mean: Floats
    """Over those draws of k trials that hold a score."""
    low: Floats
    """2.5 % of the draws are better."""
    high: Floats
    """2.5 % of the draws are worse."""
    actual: Floats
    """What the search had found after its k-th trial."""


@dataclass(frozen=True)
class Importance:
    """How much of the order of the trials each parameter decides."""

    explained: float
    """Share of the variance of the ranks that all parameters together explain in trials that were held out."""
    shares: dict[str, tuple[float, float, float]]
    """Parameter -> (share, and its 95 % interval), the most important first."""
    trials: int
    """Number of trials behind it."""


def ended(trials: Sequence[Trial]) -> list[Trial]:
    """Those of which no more is to come."""
    return [trial for trial in trials if trial.status != "running"]


def is_population(trials: Sequence[Trial]) -> bool:
    """Whether members took over one another's weights: then no trial's score is due to its own parameters alone."""
    return any(trial.takeovers for trial in trials)


def counted(trials: Sequence[Trial]) -> dict[int, float]:
    """Number of a trial -> what it counts with beside the others, so that the smallest is that of the best trial.

    That is its distance; but no trial counts as better than one that came further, since it would not have been
    chosen. Trials without a distance that counts are left out.
    """
    order = ranked(trials)
    scores = accumulate((float(trial.score or 0) for trial in order), max)
    return {trial.number: score for trial, score in zip(order, scores, strict=True)}


def best_so_far(trials: Sequence[Trial]) -> BestSoFar:
    """The best of k trials that are drawn from these with replacement, as in Lucic et al. 2018.

    Their resampling has a limit that can be written down, which is what this returns: the smallest of k draws is
    larger than i of the n values with the probability ((n - i) / n)^k. A trial without a score is infinitely bad.
    """
    finished = ended(trials)
    scores = counted(finished)
    by_number = np.array([scores.get(trial.number, math.inf) for trial in finished], np.float64)
    values, n, scored = np.sort(by_number), len(finished), len(scores)
    k = np.arange(1, n + 1)[:, None]
    beaten = 1 - ((n - np.arange(n + 1)) / max(n, 1)) ** k  # [k, i]: chance that one of the best i is among k draws
    chances = np.diff(beaten[:, : scored + 1])
    with np.errstate(invalid="ignore"):
        mean = chances @ values[:scored] / beaten[:, scored] if scored else np.full(n, np.inf)

    def quantile(share: float) -> Floats:
        # a hair less, so that a chance that is exactly the share is not missed by rounding
        return values[(beaten[:, 1:] < share - 1e-12).sum(1).clip(max=max(n - 1, 0))] if n else values

    return BestSoFar(mean, quantile(0.025), quantile(0.975), np.minimum.accumulate(by_number))


def importance(trials: Sequence[Trial]) -> Importance | None:
    """How much of the order of the trials each parameter decides, or None where too few trials could tell.

    A forest of random trees predicts a trial's rank from its parameters; each trial is predicted by the trees that did
    not see it. A parameter's share is how much worse these predictions become where its values are exchanged between
    the trials that have it, over twice the variance of the ranks: 1 where it alone decides (Sobol's total effect), 0
    (or, by chance, a little less) where it tells nothing. What few trials cannot show counts as nothing, so shares are
    understated rather than invented, and do not add up to 1. The interval resamples the trials, not the forest.

    Ranks follow `ranked`, then come those that diverged or were pruned, all equal, since that is due to their
    parameters; those that failed or run are left out.
    """
    order = ranked(trials)
    lost = [trial for trial in trials if trial.status in ("diverged", "pruned")]
    every = [*order, *lost]
    encoded = {name: codes for name in names(every) if (codes := _encode([t.parameters.get(name) for t in every]))}
    if len(order) < FEWEST or is_population(trials) or not encoded:
        return None
    ranks = np.concatenate([np.arange(len(order)), np.full(len(lost), len(order) + (len(lost) - 1) / 2)])
    wrong, worse = _held_out_errors(list(encoded.values()), ranks)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(every), (RESAMPLES, len(every)))
    shares, spread = {}, 2 * ranks.var()
    for name, losses in zip(encoded, worse.T, strict=True):
        low, high = np.quantile(losses[draws].mean(axis=1) / spread, [0.025, 0.975]).tolist()
        shares[name] = (float(losses.mean() / spread), low, high)
    best_first = sorted(shares, key=lambda name: -shares[name][0])
    explained = float(1 - wrong.mean() / ranks.var())
    return Importance(explained, {name: shares[name] for name in best_first}, len(every))


def names(trials: Sequence[Trial]) -> list[str]:
    """Every parameter that a trial has, in the order of their first appearance."""
    return list(dict.fromkeys(name for trial in trials for name in trial.parameters))


def is_logarithmic(values: Sequence[float]) -> bool:
    """Whether values are so far apart that their logarithm is what counts."""
    return bool(values) and min(values) > 0 and max(values) > SPREAD * min(values)


def is_number(value: Any) -> bool:
    """Whether a parameter's value lies on a line rather than being one of several names."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _encode(values: Sequence[Any]) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]] | None:
    """A parameter as columns float64 [N, c], and which trials have it; None where it has one value only.

    Numbers are one column, anything else one column a value. Trials that lack a number get the middle one, so that
    the forest learns what their lack means from the parameter that decided it.
    """
    has = np.array([value is not None for value in values])
    known = [value for value in values if value is not None]
    if len({str(value) for value in known}) < 2:
        return None
    if all(is_number(value) for value in known):
        line = np.array(known, np.float64)
        line = np.log(line) if is_logarithmic(known) else line
        column = np.full(len(values), np.median(line))
        column[has] = line
        return column[:, None], has
    words = sorted({str(value) for value in known})
    return np.array([[str(value) == word for word in words] for value in values], np.float64), has


def _held_out_errors(
    encoded: Sequence[tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]], ranks: Floats
) -> tuple[Floats, Floats]:
    """Squared error of each trial [N], and how much it grows where a parameter is exchanged [N, parameters]."""
    from sklearn.ensemble import ExtraTreesRegressor

    inputs = np.concatenate([columns for columns, _ in encoded], axis=1)
    forest = ExtraTreesRegressor(TREES, bootstrap=True, random_state=0).fit(inputs, ranks)
    unseen = np.ones((TREES, len(ranks)))
    for row, seen in zip(unseen, forest.estimators_samples_, strict=True):
        row[seen] = 0

    def errors(changed: Floats) -> Floats:
        rows = np.ascontiguousarray(changed, np.float32)  # as the trees want it; to check that anew for each is slow
        predicted = np.stack([tree.predict(rows, check_input=False) for tree in forest.estimators_])
        weights = np.tile(unseen, (1, len(changed) // len(ranks)))
        means = (predicted * weights).sum(0) / np.maximum(weights.sum(0), 1)
        squares: Floats = (means.reshape(-1, len(ranks)) - ranks) ** 2
        return squares

    (plain,) = errors(inputs)
    worse, first = np.zeros((len(ranks), len(encoded))), 0
    for j, (columns, has) in enumerate(encoded):
        active = np.flatnonzero(has)
        steps = np.unique(np.linspace(1, len(active) - 1, min(SHUFFLES, len(active) - 1)).astype(int))
        changed = np.tile(inputs, (len(steps), 1, 1))
        last = first + columns.shape[1]
        for copy, step in zip(changed, steps, strict=True):
            copy[active, first:last] = columns[np.roll(active, step)]
        worse[:, j] = errors(changed.reshape(-1, inputs.shape[1])).mean(axis=0) - plain
        first = last
    return plain, worse
