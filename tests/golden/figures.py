"""References in memory, and an evaluation of made-up features: every figure and every interval."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ganops.core.files import hash_json
from ganops.core.latents import latents, normal_table
from ganops.metrics.extractors.extractor import Extractor
from ganops.metrics.frechet import Statistics
from ganops.metrics.inception_score import class_histogram
from ganops.metrics.measure import Generated, measure
from ganops.metrics.reference import Reference

DIMENSIONS, CLASSES, SAMPLES = 6, 3, 150


class Held(Reference):
    """A reference whose features lie in memory."""

    def __init__(self, splits: Mapping[str, Generated], extractor: Extractor | None = None) -> None:
        card: dict[str, Any] = {
            "extractor": extractor.name if extractor else "domain",
            "hash": extractor.hash if extractor else "made up",
            "published": False,
            "dimensions": next(iter(splits.values())).features.shape[1],
            "counts": {split: len(part.features) for split, part in splits.items()},
            "protocol": {"resize": "none", "quantisation": "uint8"},
        }
        super().__init__(Path(), card, "cpu")
        self.splits = splits
        if extractor:
            self.extractor = extractor

    def features(self, split: str) -> np.ndarray:
        return self.splits[split].features

    def statistics(self, split: str) -> Statistics:
        return Statistics.of(self.splits[split].features)

    def classes(self, split: str) -> np.ndarray | None:
        probabilities = self.splits[split].probabilities
        return None if probabilities is None else class_histogram(probabilities)


def made_up(first: int, spread: float, drift: float) -> Generated:
    """Features around the centres of three classes, and a classifier's opinion of them, in multiples of 1 / 256."""
    noise = latents(np.arange(first, first + SAMPLES), DIMENSIONS, normal_table()).astype(np.float64)
    label = np.arange(SAMPLES) * 5 % 7 % CLASSES
    centres = np.eye(CLASSES, DIMENSIONS)[label] * 3
    features = np.round(256 * (centres + spread * noise + drift)) / 256
    near = (1 + np.round(4 * noise[:, :CLASSES] ** 2) + 12 * np.eye(CLASSES)[label]).clip(0, 32)
    probabilities = near / near.sum(axis=1, keepdims=True)
    return Generated(features.astype(np.float32), probabilities.astype(np.float32), first_seed=first)


def evaluation() -> dict[str, Any]:
    """What `measure` says of samples that are a little off and a little too alike, three of them copies."""
    splits = {name: made_up(10_000 * i, 1.0, 0.0) for i, name in enumerate(("train", "validation", "test"), start=1)}
    fake = made_up(0, 0.8, 0.125)
    fake.features[:3] = splits["train"].features[5:8]
    result = measure(fake, Held(splits), "test", seed=4, size=100, subsets=20, repetitions=20)
    parts = {"intervals": result.pop("intervals"), "protocol": result.pop("protocol")}
    return {"figures": result, **parts, "sha256": {"evaluation": hash_json([result, parts])}}
