"""The champion beside a challenger, both measured now: from the same seeds, by one reference, under one protocol.

What is on record of the champion may have been taken by another extractor, from other data or by other code. So it is
drawn again, from the registry's own files, and its figures are never taken from there.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.adaptors import tracking
from ganops.adaptors.package import Package
from ganops.adaptors.registry import CHAMPION, IDENTITY
from ganops.adaptors.tracking import mlflow
from ganops.comparison import Comparison, of_samplers
from ganops.errors import RegistryError
from ganops.evaluation import Sampler
from ganops.metrics.reference import Reference


@dataclass(frozen=True)
class Challenge:
    """What a challenger is beside the champion."""

    version: int
    """Of the champion."""
    comparison: Comparison | None
    """The champion is `one`, the challenger `other`; None: they cannot be compared."""
    reason: str = ""
    """Why not."""

    def content(self) -> dict[str, Any]:
        """As plain values."""
        if self.comparison is None:
            return {"version": self.version, "reason": self.reason}
        return {"version": self.version, **self.comparison.content()}


@tracking.refusals()
def challenge(
    package: Package,
    sampler: Sampler,
    reference: Reference,
    *,
    name: str,
    root: Path,
    samples: int,
    split: str,
    seed: int,
) -> Challenge | None:
    """Measures the champion of `name` and the challenger; None where there is no champion, or it is the challenger.

    Args:
        package: The challenger.
        sampler: It draws the challenger's pictures.
        reference: The extractor and the real features.
        name: Of the registered model.
        root: Folder of the project, for the embedded store.
        samples: Of each.
        split: The real images.
        seed: Draws the halves behind the intervals.

    Raises:
        RegistryError: The store, or the champion's files in it, cannot be used.
    """
    client = tracking.connect(root)
    champion = _champion(client, name)
    if champion is None or champion.tags.get(IDENTITY) == package.identity():
        return None
    version = int(champion.version)
    with tempfile.TemporaryDirectory() as scratch:
        former = _Registered.fetch(champion, root, Path(scratch))
        ours = tuple(package.description[key] for key in ("resolution", "resolution", "channels"))
        if former.shape != ours:
            return Challenge(version, None, f"it draws {_shape(former.shape)} images, the challenger {_shape(ours)}")
        found = of_samplers(former, sampler, reference, samples=samples, split=split, seed=seed, stage="register")
    return Challenge(version, found)


def _champion(client: mlflow.MlflowClient, name: str) -> Any | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except mlflow.MlflowException as error:
        if not tracking.is_absent(error):
            raise
        return None


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


class _Registered:
    """A registered model that draws as a generator does."""

    def __init__(self, folder: Path) -> None:
        self.model = mlflow.pyfunc.load_model(str(folder))
        self.shape: tuple[int, ...] = tuple(self.model.metadata.signature.outputs.inputs[0].shape[1:])
        """Height, width, channels."""

    @classmethod
    def fetch(cls, version: Any, root: Path, folder: Path) -> "_Registered":
        try:
            files = mlflow.artifacts.download_artifacts(
                artifact_uri=version.source, dst_path=str(folder), tracking_uri=tracking.store_uri(root)
            )
            return cls(Path(files))
        except Exception as error:  # mlflow's own, the store's, onnxruntime's
            raise RegistryError(
                f"the champion, version {version.version} of {version.name}, cannot be loaded: {error}. Mend the "
                "store, or take the alias away, and register again."
            ) from error

    def sample(self, seeds: NDArray[np.int64], /) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = self.model.predict(seeds)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
