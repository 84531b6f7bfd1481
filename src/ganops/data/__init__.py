"""Data: from any source of samples to arrays in three splits."""

from ganops.data.prepare import prepare
from ganops.data.prepared import SPLITS, Prepared

__all__ = ["SPLITS", "Prepared", "prepare"]
