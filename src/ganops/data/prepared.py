"""The prepared set: arrays in three splits, and the manifest that says where they come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import DataError
from ganops.core.files import read_json
from ganops.kinds import Spec

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, opened: nothing but the manifest is in memory."""

    folder: Path
    manifest: dict[str, Any]

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
        """SHA-256 of all samples and labels."""
        return str(self.manifest["sha256"])

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

    def samples(self, split: str) -> NDArray[Any]:
        """Return the stored samples of a split, of images uint8 [N, C, H, W], mapped from the disk and read-only.

        Raises:
            DataError: The file cannot be read, or is not the one of the manifest.
        """
        return self._array(split, f"{self.spec.unit}s", self.spec.shape)

    def labels(self, split: str) -> NDArray[np.int64] | None:
        """int64 [N], or None where the set is unlabelled.

        Raises:
            DataError: The file cannot be read, or is not the one of the manifest.
        """
        return self._array(split, "labels", ()) if self.class_names else None

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
