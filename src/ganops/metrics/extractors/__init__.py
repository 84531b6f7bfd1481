"""Extractors: the frozen networks that turn images into feature vectors. A new one is a file and its line here."""

from ganops.metrics.extractors.domain import Domain
from ganops.metrics.extractors.inception import Inception

EXTRACTORS: dict[str, type[Domain | Inception]] = {"domain": Domain, "inception": Inception}

__all__ = ["EXTRACTORS", "Domain", "Inception"]
