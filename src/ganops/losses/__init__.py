"""Objectives: games of the players, lessons of an encoder and a decoder, of G alone, and penalties on D's gradient.

An objective is made by its function with `loss.options`; a new one is a function and its line here.
"""

from collections.abc import Callable

from ganops.losses.adversarial import (
    Adversarial,
    began,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    relativistic,
    relativistic_average,
    wasserstein,
)
from ganops.losses.autoencoding import Family, autoencoder, two_stage_vae, vae
from ganops.losses.likelihood import Likelihood, likelihood
from ganops.losses.penalties import Penalty, dragan, square_norms, wgan_gp, zero_centred_gp

LOSSES: dict[str, Callable[..., Adversarial]] = {
    "began": began,
    "hinge": hinge,
    "least_squares": least_squares,
    "minimax": minimax,
    "non_saturating": non_saturating,
    "relativistic": relativistic,
    "relativistic_average": relativistic_average,
    "wasserstein": wasserstein,
}

LESSONS: dict[str, Callable[..., Family]] = {"autoencoder": autoencoder, "two_stage_vae": two_stage_vae, "vae": vae}
"""Objectives of an encoder and a decoder, in the place of a game."""

ALONE: dict[str, Callable[..., Likelihood]] = {"likelihood": likelihood}
"""Objectives of G alone, in the place of a game or before one (`loss.warm_up`)."""

OBJECTIVES: dict[str, Callable[..., Adversarial | Family | Likelihood]] = {**LOSSES, **LESSONS, **ALONE}

OF_GAMES = (
    "loss.r1", "loss.r2", "loss.penalty", "loss.penalty_weight", "loss.clip", "loss.interval", "loss.warm_up",
    "train.d_steps", "train.augment",
)  # fmt: skip
"""Parameters that mean nothing without a game: they are of D's decisions and its turns. All others serve both."""

PENALTIES: dict[str, Penalty] = {"dragan": dragan, "wgan_gp": wgan_gp, "zero_centred_gp": zero_centred_gp}

__all__ = [
    "ALONE",
    "LESSONS",
    "LOSSES",
    "OBJECTIVES",
    "OF_GAMES",
    "PENALTIES",
    "Adversarial",
    "Family",
    "Likelihood",
    "Penalty",
    "square_norms",
]
