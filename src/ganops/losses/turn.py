"""The part of a turn that objectives without a game need."""

from typing import Protocol

from torch import Tensor

from ganops.core.randomness import Draws


class Turn(Protocol):
    """The part of a turn that these objectives need."""

    @property
    def x(self) -> Tensor:
        """Real samples [N, ...]."""

    @property
    def y(self) -> Tensor | None:
        """Labels [N]."""

    @property
    def z(self) -> Tensor:
        """Latents [N, latent]."""

    @property
    def draws(self) -> Draws:
        """Random numbers."""

    @property
    def progress(self) -> float:
        """Share of the phase that is done, in [0, 1)."""
