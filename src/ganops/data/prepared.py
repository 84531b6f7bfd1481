"""The prepared set: three splits in arrays or in shards, and the manifest that says where they come from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.arrays import load_array
from ganops.core.errors import DataError
from ganops.core.files import hash_json, read_json
from ganops.core.node_folder import CACHE_BYTES
from ganops.data.cache import Cache, place_of
from ganops.data.shards import HEADER_BYTES, HERE, WINDOW, Column, Files, Here, Shards, record
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
    cache: int = CACHE_BYTES
    """Bytes of this machine's disk for shards that lie elsewhere, at most."""
    _shards: dict[str, Shards] = field(default_factory=dict, repr=False, compare=False)
    _measured: dict[str, tuple[NDArray[Any], NDArray[np.int64] | None]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def open(cls, folder: Path, cache: int = CACHE_BYTES) -> "Prepared":
        """Opens what `prepare` wrote.

        Raises:
            DataError: There is no such folder, or its manifest cannot be read.
        """
        try:
            return cls(Path(folder), read_json(Path(folder) / "manifest.json"), cache)
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
        shards = self._in_shards(split)
        return shards.samples if shards else self._array(split, f"{self.spec.unit}s", self.spec.shape)

    def labels(self, split: str) -> NDArray[np.int64] | Column | None:
        """int64 [N], or None where the set is unlabelled.

        Raises:
            DataError: The file cannot be read, or is not the one of the manifest.
        """
        if not self.class_names:
            return None
        shards = self._in_shards(split)
        return shards.labels if shards else self._array(split, "labels", ())

    def measured(self, split: str) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        """Return the samples and labels of a split of which figures are computed.

        All of them, mapped; of a split in shards the first ones, in memory.

        Raises:
            DataError: They cannot be read, or are not those of the manifest.
        """
        if split not in self._measured:
            with self.unread(split) as (samples, labels):
                self._measured[split] = (samples[:], labels) if isinstance(samples, Column) else (samples, labels)
        return self._measured[split]

    @contextmanager
    def unread(self, split: str) -> Iterator[tuple[NDArray[Any] | Column, NDArray[np.int64] | None]]:
        """Yields the samples of `measured` as what reads some of them while the block lasts, and all their labels.

        Raises:
            DataError: They cannot be read, or are not those of the manifest.
        """
        labelled = bool(self.class_names)
        if "shards" not in self.manifest:
            labels = self._array(split, "labels", ()) if labelled else None
            yield self._array(split, f"{self.spec.unit}s", self.spec.shape), labels
            return
        whole = self._open(split)  # of its own: it is closed when this has been read
        count = min(whole.count, MEASURED, max(1, MEASURED_BYTES // whole.record.itemsize))
        first = replace(whole, count=count)
        try:
            yield first.samples, first.labels[:] if labelled else None
        finally:
            whole.files.close()

    def _in_shards(self, split: str) -> Shards | None:
        """A split in shards, the same one whenever it is asked for; None: it is in arrays."""
        if "shards" in self.manifest and split not in self._shards:
            self._shards[split] = self._open(split)
        return self._shards.get(split)

    def _open(self, split: str) -> Shards:
        """A split in shards, opened anew."""
        about, spec, part = self.manifest["shards"], self.spec, self.manifest["splits"][split]
        like = np.empty(spec.shape, self.manifest["sample"]["dtype"])
        counts = tuple(part["classes"].values()) if self.class_names else ()
        each = record(like, labelled=bool(self.class_names))
        if about["storage"] == HERE:
            files: Files = Here(lambda number: self.folder / split / f"{spec.unit}s-{number:05}.npy")
        else:
            size = HEADER_BYTES + each.itemsize * min(about["size"], part["samples"])
            files = Cache(place_of(about["storage"]), about["sha256"][split], size, self.cache)
        return Shards(part["samples"], about["size"], each, files, counts)

    def _array(self, split: str, name: str, sample: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / split / f"{name}.npy"
        expected = (self.manifest["splits"][split]["samples"], *sample)
        try:
            array = load_array(path, mapped=True)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}. Run the stage prepare again.") from error
        if (shape := array.shape) != expected:
            raise DataError(f"{path} has shape {shape}, its manifest says {expected}: run the stage prepare again")
        return array
