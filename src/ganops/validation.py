"""The distance that selection looks at: always to the validation split, never to the test split."""

import numpy as np
from numpy.typing import NDArray

from ganops.metrics.measure import distance, names
from ganops.metrics.reference import Reference


class ValidationJudge:
    """Measures generated images against the validation split."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.name = f"{names(reference.card['extractor'], reference.card['published'])[0]}_validation"
        self.hash = str(reference.card["hash"])

    def distance(self, images: NDArray[np.uint8]) -> float:
        """uint8 [N, C, H, W] -> Fréchet distance to the validation split."""
        features, _ = self.reference.extractor.features(images)
        return distance(features, self.reference, "validation")
