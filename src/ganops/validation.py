"""The distance that selection looks at: always to the validation split, never to the test split."""

from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from ganops.generator import Generator
from ganops.metrics.measure import distance, names
from ganops.metrics.reference import Reference


class ValidationJudge:
    """Measures generated images against the validation split, in this process."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.name = f"{names(reference.card['extractor'], reference.card['published'])[0]}_validation"
        self.hash = str(reference.card["hash"])

    def distance(self, generator: Generator, seeds: NDArray[np.int64]) -> float:
        """Fréchet distance of the pictures of `seeds`, int64 [N], to the validation split."""
        features, _ = self.reference.extractor.features(generator.sample(seeds))
        return distance(features, self.reference, "validation")

    def submit(self, generator: Generator, seeds: NDArray[np.int64]) -> Future[float]:
        """The same distance as a future: here it is there at once."""
        future: Future[float] = Future()
        future.set_result(self.distance(generator, seeds))
        return future
