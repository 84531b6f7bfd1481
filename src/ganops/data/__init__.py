"""Data: from any source of images to uint8 arrays in three splits."""

from ganops.data.prepare import prepare
from ganops.data.prepared import SPLITS, Prepared, SampleSpec

__all__ = ["SPLITS", "Prepared", "SampleSpec", "prepare"]
