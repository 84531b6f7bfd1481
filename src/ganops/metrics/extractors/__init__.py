"""Extractors: the frozen functions that turn samples into feature vectors. A new one is a file and its line here."""

import inspect
from collections.abc import Mapping
from typing import Any

from ganops.metrics.extractors.domain import Domain
from ganops.metrics.extractors.extractor import Extractor
from ganops.metrics.extractors.inception import Inception
from ganops.metrics.extractors.inception_bf16 import InceptionBF16
from ganops.metrics.extractors.language import Language
from ganops.metrics.extractors.motion import Motion
from ganops.metrics.extractors.oracle import Oracle
from ganops.metrics.extractors.pixels import Pixels

EXTRACTORS: dict[str, type[Extractor]] = {
    "domain": Domain,
    "inception": Inception,
    "inception_bf16": InceptionBF16,
    "language": Language,
    "motion": Motion,
    "oracle": Oracle,
    "pixels": Pixels,
}

__all__ = [
    "EXTRACTORS",
    "Domain",
    "Inception",
    "InceptionBF16",
    "Language",
    "Motion",
    "Oracle",
    "Pixels",
    "of_kind",
    "options_of",
]


def options_of(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that a section `features` has for the `make` of its extractor."""
    taken = inspect.signature(EXTRACTORS[section["extractor"]].make).parameters
    return {name: value for name, value in section.items() if name in taken}


def of_kind(kind: str) -> tuple[str, ...]:
    """Return the names of the extractors that look at samples of a kind."""
    return tuple(name for name, extractor in EXTRACTORS.items() if kind in extractor.kinds)
