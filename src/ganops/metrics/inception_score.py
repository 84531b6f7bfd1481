"""The inception score of any classifier's probabilities, and how far a class histogram is from another."""

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import FeatureError


def inception_score(probabilities: NDArray[np.floating], splits: int = 10) -> tuple[float, float]:
    """The score exp E KL(p(y|x) ‖ p(y)), in [1, K] (Salimans et al. 2016, section 4).

    Only the score of the published Inception network is called IS: name the result after the classifier it came from.

    Args:
        probabilities: [N, K], rows that sum to 1.
        splits: the number of parts, in the order given, over which the score is averaged.

    Returns:
        The mean and the standard deviation over the parts.

    Raises:
        FeatureError: There are fewer samples than splits.
    """
    if len(probabilities) < splits:
        raise FeatureError(f"{splits} splits need at least {splits} samples, got {len(probabilities)}")
    scores = [_score(part) for part in np.array_split(np.asarray(probabilities, np.float64), splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(p: NDArray[np.float64]) -> float:
    marginal = p.mean(axis=0)
    log_ratio = np.log(p, where=p > 0, out=np.zeros_like(p)) - np.log(
        marginal, where=marginal > 0, out=np.zeros_like(marginal)
    )
    return float(np.exp((p * log_ratio).sum(axis=1).mean()))


def class_histogram(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the number of samples that have each class as their most probable one: [N, K] -> int64 [K]."""
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])


def class_divergence(generated: NDArray[np.int64], real: NDArray[np.int64]) -> float:
    """KL(generated ‖ real) in nats between two class histograms [K]; 0 where the shares are equal.

    Half a count is added to every class (Jeffreys' prior), so that a class that one side lacks stays finite.
    """
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (generated, real))
    return float((p * np.log(p / q)).sum())
