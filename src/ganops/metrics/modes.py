"""Modes of stacked pictures: how many combinations of classes samples reach, and how evenly."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import FeatureError


def mode_coverage(classes: NDArray[np.integer[Any]], count: int) -> tuple[int, float]:
    """Modes found, and the reverse KL divergence from an even share of all modes (Metz et al. 2017, section 3.3.1).

    Few samples miss modes and raise the divergence of a perfect generator too, by about (K^S - 1) / 2N: compare with
    an ideal sampler of the same N.

    Args:
        classes: [N, S], the class in [0, K) of each part of a sample; a mode is one of the K^S combinations.
        count: K.

    Returns:
        The modes with at least one sample, and KL(samples ‖ uniform) in nats, in [0, S log K].

    Raises:
        FeatureError: The classes are no such array, or empty.
    """
    if classes.ndim != 2 or not classes.size or classes.min() < 0 or classes.max() >= count:
        raise FeatureError(f"expected classes [N, S] in [0, {count}), N and S >= 1; got {list(classes.shape)}")
    _, found = np.unique(classes, axis=0, return_counts=True)
    p = found / len(classes)
    return len(found), float((p * np.log(p)).sum() + classes.shape[1] * np.log(count))
