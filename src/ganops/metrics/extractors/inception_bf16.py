"""The Inception network in bfloat16: twice as quick, and good for looking at a training, not for a reported figure."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from ganops.core.files import hash_json
from ganops.metrics.extractors.extractor import Images
from ganops.metrics.extractors.inception import Inception

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
    arithmetic: ClassVar[str] = "bfloat16"

    def prove(self, images: Images) -> None:
        """Note on the card how far its features of some of the images are off those of the float32 network."""
        judged = images[:JUDGED]
        exact = Inception(self.state, "", {}, self.device).features(judged)[0]
        error = float(np.linalg.norm(self.features(judged)[0] - exact) / np.linalg.norm(exact))
        self.card |= {"feature_error": error, "feature_error_images": len(judged)}

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
