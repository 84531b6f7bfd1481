"""The prepared set: three splits in arrays or in shards, and the manifest that says where they come from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import DataError
from ganops.core.files import hash_json, read_json
from ganops.data.shards import WINDOW, Column, Here, Shards, record
from ganops.kinds import Spec

SPLITS = ("train", "validation", "test")
MEASURED = 50_000
"""Samples of a split in shards of which figures are computed, at most: the first ones, which are a fair draw. So many
are customary (Heusel et al. 2017)."""
MEASURED_BYTES = 2**30
"""Bytes of these, at most."""


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, opened: nothing but the manifest is in memory."""

    folder: Path
    manifest: dict[str, Any]
    _measured: dict[str, tuple[NDArray[Any], NDArray[np.int64] | None]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def open(cls, folder: Path) -> "Prepared":
        """Opens what `prepare` wrote.

        Raises:
            DataError: There is no such folder, or its manifest cannot be read.
        """
        try:
            return cls(Path(folder), read_json(Path(folder) / "manifest.json"))
        except (OSError, ValueError) as error:
            problem = f"{folder} is no prepared set (no readable manifest.json): run the stage prepare"
            raise DataError(problem) from error

    @property
    def spec(self) -> Spec:
        """Kind and shape of a sample, and number of classes; a manifest that states no kind is of images."""
        sample = self.manifest["sample"]
        kind, shape, facts = sample.get("kind", "image"), tuple(sample["shape"]), sample.get("facts", {})
        return Spec(kind, shape, len(self.class_names), facts)

    @property
    def hash(self) -> str:
        """SHA-256 of all samples and labels, and of their order where a training sees them shard by shard."""
        content, shards = str(self.manifest["sha256"]), self.manifest.get("shards")
        if not shards or self.manifest["splits"]["train"]["samples"] <= shards["size"]:
            return content
        return hash_json({"sha256": content, "shard": shards["size"], "window": WINDOW})

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label; empty where the set is unlabelled."""
        return tuple(self.manifest["classes"])

    def summary(self) -> str:
        """Return a summary in one line for a person."""
        counts = {split: part["samples"] for split, part in self.manifest["splits"].items()}
        spec = self.spec
        shape = "x".join(map(str, spec.shape)) if len(spec.shape) > 1 else spec.described.removeprefix(f"{spec.unit}s ")
        classes = f"{len(self.class_names)} classes" if self.class_names else "no labels"
        splits = ", ".join(f"{split} {count:,}" for split, count in counts.items())
        samples, rejected = f"{sum(counts.values()):,} {spec.unit}s", len(self.manifest["rejected"])
        return f"{samples} ({splits}), {shape}, {classes}, {rejected:,} rejected"

    def samples(self, split: str) -> NDArray[Any] | Column:
        """Return the stored samples of a split, of images uint8 [N, C, H, W], mapped from the disk and read-only.

        Of a set in shards what reads them like an array.

        Raises:
            DataError: The file cannot be read, or is not the one of the manifest.
        """
        shards = self.shards(split)
        return shards.samples if shards else self._array(split, f"{self.spec.unit}s", self.spec.shape)

    def labels(self, split: str) -> NDArray[np.int64] | Column | None:
        """int64 [N], or None where the set is unlabelled.

        Raises:
            DataError: The file cannot be read, or is not the one of the manifest.
        """
        if not self.class_names:
            return None
        shards = self.shards(split)
        return shards.labels if shards else self._array(split, "labels", ())

    def measured(self, split: str) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        """Return the samples and labels of a split of which figures are computed.

        All of them, mapped; of a split in shards the first ones, in memory.

        Raises:
            DataError: They cannot be read, or are not those of the manifest.
        """
        if split not in self._measured:
            samples, labels = self.samples(split), self.labels(split)
            if isinstance(samples, Column):
                each = samples.nbytes // max(1, len(samples))
                rows = slice(min(MEASURED, max(1, MEASURED_BYTES // each)))
                samples, labels = samples[rows], None if labels is None else labels[rows]
            self._measured[split] = samples, None if labels is None else np.asarray(labels)
        return self._measured[split]

    def shards(self, split: str) -> Shards | None:
        """Return a split in shards; None: it is in arrays.

        Raises:
            DataError: The place of the shards cannot be used.
        """
        if "shards" not in self.manifest:
            return None
        about, spec, part = self.manifest["shards"], self.spec, self.manifest["splits"][split]
        like = np.empty(spec.shape, self.manifest["sample"]["dtype"])
        counts = tuple(part["classes"].values()) if self.class_names else ()
        files = Here(lambda number: self.folder / split / f"{spec.unit}s-{number:05}.npy")
        return Shards(part["samples"], about["size"], record(like, labelled=bool(self.class_names)), files, counts)

    def _array(self, split: str, name: str, sample: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / split / f"{name}.npy"
        expected = (self.manifest["splits"][split]["samples"], *sample)
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}. Run the stage prepare again.") from error
        if (shape := array.shape) != expected:
            raise DataError(f"{path} has shape {shape}, its manifest says {expected}: run the stage prepare again")
        return array
