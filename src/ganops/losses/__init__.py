"""Objectives of the players, and penalties on D's gradient."""

from ganops.losses.adversarial import Adversarial, non_saturating, relativistic
from ganops.losses.penalties import zero_centred

LOSSES: dict[str, Adversarial] = {
    "non_saturating": non_saturating,
    "relativistic": relativistic,
}

__all__ = ["LOSSES", "Adversarial", "zero_centred"]
