"""The pixels extractor: the image itself, reduced to 16 x 16. No network, no weights, nothing to train or download."""

from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ganops.core.files import hash_json
from ganops.metrics.extractors.extractor import Extractor, Images, Labels, read

SIZE = 16
"""Areas on either side of an image."""


class Pixels(Extractor):
    """256 features for each channel: the image in [-1, 1] as 16 x 16 means of areas.

    Good for a first look at any data without labels or weights, for figures that stay comparable between seeds and
    machines, and as a control: it notices a wrong brightness, colour or layout, noise, blur, and missing variety.
    Not good for judging what an image shows: a shift by two pixels is far away, an implausible object with the
    right outline is near, and detail below a sixteenth of the image is invisible. Needs more than 256 images for each
    channel (else the covariance is singular), and of large images more, before its ladder sees faint noise.
    """

    name: ClassVar[str] = "pixels"
    resize: ClassVar[str] = f"means of areas to {SIZE} x {SIZE}"
    classifier: ClassVar[bool] = False

    def __init__(self, card: dict[str, Any], device: str) -> None:
        network = nn.Sequential(nn.AdaptiveAvgPool2d(SIZE), nn.Flatten())
        super().__init__(network, hash_json({"extractor": self.name, "size": SIZE}), card, device)
        self.dimensions = SIZE * SIZE * card["channels"]

    @classmethod
    def make(
        cls, images: Images, labels: Labels | None, validation: Images, validation_labels: Labels | None, *,
        seed: int, device: str = "cpu",
    ) -> Self:  # fmt: skip
        """The extractor for images uint8 [N, C, H, W] of any size."""
        return cls({"channels": images.shape[1]}, device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""
        return cls(read(folder)[1]["card"], device)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, 256 C], and no probabilities."""
        return self.network(x.float() / 127.5 - 1), None
