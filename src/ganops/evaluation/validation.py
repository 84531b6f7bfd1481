"""The distance that selection looks at: always to the validation split, never to the test split."""

from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.cores import threads
from ganops.core.labels import Labelling
from ganops.generator import Generator
from ganops.metrics.neighbours import precision_recall_density_coverage
from ganops.metrics.protocol import names
from ganops.metrics.reference import Reference, distance


class ValidationJudge:
    """Measures generated images against the validation split, in this process."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.name = f"{names(reference.card['extractor'], reference.card['published'])[0]}_validation"
        self.hash = str(reference.card["hash"])

    def distance(self, generator: Generator, seeds: NDArray[np.int64]) -> float:
        """Fréchet distance of the pictures of `seeds`, int64 [N], to the validation split.

        A conditional generator draws its labels in the shares of the training samples.
        """
        with threads(1):  # the same bits whoever judges, in line or apart
            self.judged, _ = self.reference.extractor.features(Labelling.of(generator).draw(generator, seeds))
            return distance(self.judged, self.reference, "validation")

    def figures(self) -> dict[str, float]:
        """Precision, recall, density and coverage of the pictures that were judged last, by equal counts of both sides.

        Raises:
            FeatureError: A side has too few samples.
        """
        real = self.reference.features("validation")
        count = min(len(real), len(self.judged))
        return precision_recall_density_coverage(real[:count], self.judged[:count])

    def protocol(self, samples: int, labels: str | None = None) -> dict[str, Any]:
        """Return the distance's protocol as plain values; `labels` says how they are drawn (`Labelling.name`)."""
        card = self.reference.card
        return {
            "name": f"{self.name.removesuffix('_validation')}_{samples}_validation",
            "extractor": card["extractor"],
            "weights": self.hash,
            "split": "validation",
            "real": len(self.reference.features("validation")),
            "generated": samples,
            "first_seed": 0,
            "labels": labels,
        }

    def submit(self, generator: Generator, seeds: NDArray[np.int64]) -> Future[float]:
        """The same distance as a future: here it is there at once."""
        future: Future[float] = Future()
        future.set_result(self.distance(generator, seeds))
        return future
