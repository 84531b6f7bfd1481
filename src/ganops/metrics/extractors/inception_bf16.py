"""The Inception network in bfloat16: twice as quick, and good for looking at a training, not for a reported figure."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from ganops.core.files import hash_json
from ganops.metrics.extractors.extractor import Images, Labels
from ganops.metrics.extractors.inception import Inception, find_weights

JUDGED = 64
"""The most held-out images on which it is compared with the float32 network."""


class InceptionBF16(Inception):
    """`Inception` with convolutions in bfloat16, for the distances that a training is watched by.

    Features are off by about half a percent, and distances by that or several times more. So they never go by the name
    of FID, whatever the weights, and the hash differs from that of the float32 network: the two cannot be compared. The
    card holds `feature_error`, |f - f32| / |f32| over `feature_error_images` held-out images.
    """

    name: ClassVar[str] = "inception_bf16"
    dtype: ClassVar[torch.dtype] = torch.bfloat16

    @classmethod
    def make(
        cls,
        images: Images,
        labels: Labels | None,
        validation: Images,
        validation_labels: Labels | None,
        *,
        seed: int,
        device: str = "cpu",
        weights: str | None = None,
    ) -> Self:
        """The network with the weights that `find_weights` finds, compared with the float32 one on `validation`.

        Raises FeatureError where there are no weights, or others than Inception's.
        """
        path, judged = find_weights(weights), validation[:JUDGED]
        made = cls.of_file(path, device)
        exact, rounded = Inception.of_file(path, device).features(judged)[0], made.features(judged)[0]
        error = float(np.linalg.norm(rounded - exact) / np.linalg.norm(exact))
        made.card |= {"feature_error": error, "feature_error_images": len(judged)}
        return made

    @classmethod
    def of_file(cls, path: Path, device: str = "cpu") -> Self:
        """The network with the weights in the file `path`; FeatureError where it holds others than Inception's."""
        made = super().of_file(path, device)
        made.hash = hash_json({"weights": made.hash, "dtype": "bfloat16"})
        return made

    @property
    def published(self) -> bool:
        """Never: FID is the distance in the float32 network."""
        return False
