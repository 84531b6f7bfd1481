"""The motion extractor: the network of the domain extractor, which sees of films only what changes between frames.

A Fréchet distance of films is mostly one of what their frames show, and says little of how these follow one another. So
this one is trained on the differences of neighbouring frames, and must tell films whose frames are shuffled or held
from real ones. It is the companion of whatever extractor judges the films: its distance is `fd_motion`.
"""

from typing import Any, ClassVar

from torch import Tensor

from ganops.metrics.extractors.domain import STILL, Domain, Harm, Plan, as_planes
from ganops.metrics.extractors.extractor import Images


def differences(films: Tensor) -> Tensor:
    """Half the change of each pixel from frame to frame, about 128: uint8 [N, C, T, H, W] -> [N, C (T - 1), H, W]."""
    wide = films.short()
    return as_planes(((wide.diff(dim=2) + 256) >> 1).byte())


class Motion(Domain):
    """The trained CNN of differences of frames; a classifier where it was trained with labels."""

    name: ClassVar[str] = "motion"
    kinds: ClassVar[tuple[str, ...]] = ("video",)

    @staticmethod
    def seen(samples: Tensor) -> Tensor:
        """Return the differences of frames, uint8 [N, C (T - 1), H, W], that the network looks at."""
        return differences(samples)

    @staticmethod
    def harms(plan: Plan, samples: Images) -> dict[str, Harm]:
        """Return the corruptions that it learns to tell from real films, however easy these are to tell apart."""
        return STILL

    @staticmethod
    def channels(card: dict[str, Any]) -> int:
        """Return the channels of the planes that `seen` makes of films such as a card's."""
        return int(card["channels"]) * (int(card["frames"]) - 1)
