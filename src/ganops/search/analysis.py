"""Analysis of a search: which parameters mattered, and what a smaller search would have found."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from ganops.search.space import LACKING
from ganops.search.trials import Trial, ranked

Floats = np.ndarray[Any, np.dtype[np.float64]]

MIN_TRIALS = 8
"""Trials with a distance that counts below which nothing is said about the importance of parameters."""
SPREAD = 20
"""Positive values whose largest is so many times the smallest may be looked at by their logarithm."""
MAX_TRIALS = 120
"""Trials that are looked at for it, evenly spread over the ranks: the time grows with their cube."""
FOLDS, SHIFTS, RESAMPLES = 6, 40, 2000
"""Parts of the trials that are predicted in turn, exchanges of a parameter's values, and draws for intervals."""


@dataclass(frozen=True)
class BestSoFar:
    """Score of the best of k trials, for k = 1 to n: each float64 [n]; infinite where there is no score."""

    mean: Floats
    """Mean over those draws of k trials that hold a score."""
    low: Floats
    """2.5 % of the draws are better."""
    high: Floats
    """2.5 % of the draws are worse."""
    actual: Floats
    """Score that the search had found after its k-th trial."""


@dataclass(frozen=True)
class Importance:
    """Share of the order of the trials that each parameter decides."""

    explained: float
    """Share of the variance of the ranks that all parameters together explain in trials that were held out."""
    shares: dict[str, tuple[float, float, float]]
    """Parameter -> (share, and its 95 % interval), the most important first."""
    trials: int
    """Number of trials behind it."""


def ended(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of which no more is to come."""
    return [trial for trial in trials if trial.status != "running"]


def is_population(trials: Sequence[Trial]) -> bool:
    """Return True where members took over others' weights: no trial's score is due to its own parameters alone."""
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
    """Return the share of the order of the trials that each parameter decides; None: too few trials could tell.

    A Gaussian process with a length of its own for each parameter learns the ranks of five sixths of the trials and
    predicts the others. A parameter's share is how much worse these predictions become where its values are exchanged
    between the trials that have it, over twice the variance of the ranks: 1 where it alone decides (Sobol's total
    effect), 0 (or, by chance, a little less) where it tells nothing. What few trials cannot show counts as nothing,
    so shares are understated rather than invented, and do not add up to 1. The interval resamples the trials but not
    the process, so that it is rather too narrow.

    Ranks follow `ranked`, then come those that diverged or were pruned, all equal, since that is due to their
    parameters; those that failed or run are left out.
    """
    order = ranked(trials)
    lost = [trial for trial in trials if trial.status in ("diverged", "pruned")]
    ranks = np.concatenate([np.arange(len(order)), np.full(len(lost), len(order) + (len(lost) - 1) / 2)])
    chosen = np.unique(np.linspace(0, len(ranks) - 1, min(len(ranks), MAX_TRIALS)).round().astype(int))
    every, ranks = [[*order, *lost][i] for i in chosen], ranks[chosen]
    encoded = {
        name: codes for name in names(every) if (codes := _encode([t.parameters.get(name, LACKING) for t in every]))
    }
    if len(order) < MIN_TRIALS or is_population(trials) or not encoded:
        return None
    plain, worse = _held_out_errors(list(encoded.values()), ranks)
    draws = np.random.default_rng(0).integers(0, len(every), (RESAMPLES, len(every)))
    shares = {}
    for name, losses in zip(encoded, worse.T / (2 * ranks.var()), strict=True):
        low, high = np.quantile(losses[draws].mean(axis=1), [0.025, 0.975])
        # what lies beyond is the processor's rounding
        shares[name] = (round(float(losses.mean()), 3), round(float(low), 3), round(float(high), 3))
    best_first = sorted(shares, key=lambda name: -shares[name][0])
    explained = round(float(1 - plain.mean() / ranks.var()), 3)
    return Importance(explained, {name: shares[name] for name in best_first}, len(every))


def names(trials: Sequence[Trial]) -> list[str]:
    """Every parameter that a trial has, in the order of their first appearance."""
    return list(dict.fromkeys(name for trial in trials for name in trial.parameters))


def is_logarithmic(values: Sequence[float]) -> bool:
    """Return True where the logarithm counts: values far apart, whose middle one lies nearer to its middle."""
    if not values or min(values) <= 0 or max(values) <= SPREAD * min(values):
        return False
    low, middle, high = float(min(values)), float(np.median(values)), float(max(values))
    share = math.log(middle / low) / math.log(high / low)
    return abs(share - 0.5) <= abs((middle - low) / (high - low) - 0.5)


def is_number(value: Any) -> bool:
    """Return True where a parameter's value lies on a line rather than being one of several names."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _encode(values: Sequence[Any]) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]] | None:
    """A parameter as columns float64 [N, c], and which trials have it; None where it has one value only.

    Numbers are one column, anything else, None as well, one column a value. Trials that lack a number get the middle
    one: what their lack means is learnt from the parameter that decided it.
    """
    has = np.array([value is not LACKING for value in values])
    known = [value for value in values if value is not LACKING]
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
    inputs = np.concatenate([columns for columns, _ in encoded], axis=1)
    plain, worse = np.zeros(len(ranks)), np.zeros((len(ranks), len(encoded)))
    shuffled = np.random.default_rng(0).permutation(len(ranks))
    for fold in range(FOLDS):
        test = shuffled[fold::FOLDS]
        train = np.setdiff1d(shuffled, test)
        predict = _process(inputs[train], ranks[train])
        plain[test] = (predict(inputs[test]) - ranks[test]) ** 2
        first = 0
        for j, (columns, has) in enumerate(encoded):
            last, active = first + columns.shape[1], np.flatnonzero(has)
            steps = np.unique(np.linspace(1, len(active) - 1, min(SHIFTS, len(active) - 1)).astype(int))
            changed = np.tile(inputs, (len(steps), 1, 1))
            for copy, step in zip(changed, steps, strict=True):
                copy[active, first:last] = columns[np.roll(active, step)]
            predicted = predict(changed[:, test].reshape(-1, inputs.shape[1])).reshape(len(steps), -1)
            worse[test, j] = ((predicted - ranks[test]) ** 2).mean(axis=0) - plain[test]
            first = last
    return plain, worse


def _process(inputs: Floats, ranks: Floats) -> Callable[[Floats], Floats]:
    """Return the Gaussian process that learns the ranks [N] from the inputs [N, c]: a function that predicts others."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    middle, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread[spread == 0] = 1
    lengths = Matern(np.full(inputs.shape[1], 3.0), (0.5, 50), nu=2.5)
    kernel = ConstantKernel(1, (0.05, 20)) * lengths + WhiteKernel(0.3, (0.01, 2))
    with warnings.catch_warnings():
        # a parameter that tells nothing has its length at the bound, as it should
        warnings.simplefilter("ignore", ConvergenceWarning)
        process = GaussianProcessRegressor(kernel, normalize_y=True).fit((inputs - middle) / spread, ranks)
    return lambda others: process.predict((others - middle) / spread)
