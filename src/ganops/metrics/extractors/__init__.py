"""Extractors: the frozen functions that turn images into feature vectors. A new one is a file and its line here."""

import inspect
from collections.abc import Mapping
from typing import Any

from ganops.metrics.extractors.domain import Domain
from ganops.metrics.extractors.extractor import Extractor
from ganops.metrics.extractors.inception import Inception
from ganops.metrics.extractors.inception_bf16 import InceptionBF16
from ganops.metrics.extractors.pixels import Pixels

EXTRACTORS: dict[str, type[Extractor]] = {
    "domain": Domain,
    "inception": Inception,
    "inception_bf16": InceptionBF16,
    "pixels": Pixels,
}

__all__ = ["EXTRACTORS", "Domain", "Inception", "InceptionBF16", "Pixels", "options_of"]


def options_of(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that a section `features` has for the `make` of its extractor."""
    taken = inspect.signature(EXTRACTORS[section["extractor"]].make).parameters
    return {name: value for name, value in section.items() if name in taken}
