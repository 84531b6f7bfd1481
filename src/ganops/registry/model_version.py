"""Registered versions as things that draw, and as people name them."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganops import config
from ganops.core.errors import RegistryError
from ganops.core.files import hash_folder, remove
from ganops.kinds import KINDS, Spec
from ganops.registry import tracking
from ganops.registry.model import Model
from ganops.registry.tracking import mlflow

if TYPE_CHECKING:
    from ganops.generator import Generator
    from ganops.generator.encoder import Encoder

FILES = "ganops.files"
"""The tag of a version that keeps the SHA-256 of its files, as `files.hash_folder` gives it."""
METRIC = "metric."
"""Prefix of the tags of a version that keep its metrics."""
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
"""Names of the files of a version with the description of its generator, and its weights."""
TRACES = ("registered_model_meta", "__pycache__")
"""Names of files that reading a version from its very folder leaves there: mlflow's note, Python's bytecode."""


def download(version: Any, root: Path, folder: Path) -> Path:
    """The files of a version, below `folder`.

    Raises:
        RegistryError: The store does not give them.
    """
    try:
        place = {"dst_path": str(folder), "tracking_uri": tracking.store_uri(root)}
        files = mlflow.artifacts.download_artifacts(artifact_uri=version.source, **place)
    except Exception as error:  # mlflow's own, the store's
        problem = f"the files of version {version.version} of {version.name} are not there: {error}"
        raise RegistryError(problem) from error
    return Path(files)


def verify(version: Any, folder: Path) -> None:
    """Refuses downloaded files whose hash is not that of the version's registration.

    A model carries code that runs when it is loaded, and whoever can write to the store of files can change it.
    Bytecode is removed, since Python would run it in the place of the sources whose hash is compared.

    Raises:
        RegistryError: They are others than were registered, or no hash of them was kept.
    """
    expected = version.tags.get(FILES)
    if expected is None:
        raise RegistryError("it was not registered by ganops, which notes the hash of its files")
    for trace in [path for path in folder.rglob("*") if path.name in TRACES]:
        remove(trace)
    if hash_folder(folder) != expected:
        raise RegistryError("its files are no longer those that were registered: do not use it")


def metrics_of(version: Any) -> dict[str, float]:
    """Return the metrics that the tags of a version keep."""
    tags = version.tags.items()
    return {key.removeprefix(METRIC): float(value) for key, value in tags if key.startswith(METRIC)}


class Registered:
    """A registered version that draws as a generator does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Folder of its files, while it is open."""
        self.model = mlflow.pyfunc.load_model(str(folder))
        output = self.model.metadata.signature.outputs.inputs[0]
        self.shape: tuple[int, ...] = tuple(output.shape[1:])
        """Shape of a sample as `predict` gives it, of an image [H, W, C]."""
        self.served = self.model.unwrap_python_model()
        """The object behind the model (`served_model.py`, as it was registered)."""
        self.spec = Spec.of(self.served.config)
        """Specification of its samples."""
        self.dtype: np.dtype[Any] = output.type if output.type.itemsize else self.shown(self.spec.empty(0)).dtype
        """Type of a sample as `predict` gives it; of a text with its width, which mlflow's signature leaves out."""
        self.latent: int = self.served.config["latent"]
        self.classes: int = self.spec.classes
        self.class_names: tuple[str, ...] = tuple(self.served.config.get("class_names", ()))
        self.class_counts: tuple[int, ...] = tuple(self.served.config.get("class_counts", ()))

    @classmethod
    @contextmanager
    def opened(cls, version: Any, root: Path) -> Iterator["Registered"]:
        """A version whose files are here while the block runs.

        Raises:
            RegistryError: The files are not there, not those that were registered, or cannot be loaded.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = download(version, root, Path(scratch))
            try:
                verify(version, folder)
                found = cls(folder)
            except Exception as error:  # ours, mlflow's own, onnxruntime's
                what = f"version {version.version} of {version.name}"
                raise RegistryError(f"{what} cannot be loaded: {error}") from error
            yield found

    def sample(
        self, seeds: NDArray[np.int64], /, labels: NDArray[np.int64] | None = None, truncation: float = 1.0
    ) -> NDArray[Any]:
        """One stored sample for each seed, without labels the classes in turn: int64 [N] -> [N, *shape]."""
        params = {"truncation": truncation, **({} if labels is None else {"labels": labels})}
        seeds = np.asarray(seeds, np.int64)
        if hasattr(self.served, "stored"):
            return np.ascontiguousarray(self.served.stored(seeds, params))
        return self._channels_first(self.model.predict(seeds, params=params))

    def render(
        self, z: NDArray[np.float32], labels: NDArray[np.int64] | None = None, *, truncation: float = 1.0
    ) -> NDArray[Any]:
        """One stored sample for each latent: float32 [N, latent], labels int64 [N] -> [N, *shape]."""
        inputs = {"z": np.asarray(z, np.float32), "truncation": np.full(len(z), truncation, np.float32)}
        if self.classes:
            inputs["labels"] = np.asarray(labels, np.int64)
        return self._channels_first(self.served.session.run(None, inputs)[0])

    def shown(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return stored samples as `predict` gives them, by the functions that were registered with the version."""
        kind = getattr(self.served, "kind", None)
        return self.spec.shown(stored) if kind is None else np.asarray(kind.shown(stored, self.spec.facts))

    def _channels_first(self, drawn: NDArray[Any]) -> NDArray[Any]:
        """Samples of the graph, or of `predict` of versions that only draw images, as they are stored."""
        return np.ascontiguousarray(np.moveaxis(drawn, -1, 1) if KINDS[self.spec.kind].LAST else drawn)


@contextmanager
def sampler(which: str, root: Path = Path()) -> Iterator["Generator | Registered"]:
    """Return a sampler by its name: the folder of a generator, or a registered version as `Model.resolve` takes it.

    Raises:
        UserError: The folder holds no generator, or the registry has no such version.
    """
    if _is_folder(which):
        yield Trained.load(Path(which)).generator
        return
    with Registered.opened(resolved(which, root), root) as found:
        yield found


def _is_folder(which: str) -> bool:
    return Path(which).is_dir() or ("/" in which and not which.startswith("models:/"))


def resolved(which: str, root: Path) -> Any:
    """Return the version that a person means, of the project's own model unless the address names another.

    Raises:
        RegistryError: There is no such version.
    """
    name = config.load(root / "params.yaml").register_.name  # before a store is made in a folder that is no project
    return Model(tracking.connect(root), name).resolve(which)


@dataclass(frozen=True)
class Trained:
    """The networks of a generator, through which gradients pass."""

    generator: "Generator"
    encoder: "Encoder | None"
    """Encoder beside it; None: there is none."""
    data: Mapping[str, str] = field(default_factory=dict)
    """The parameters of `data` that its registration knows."""

    @classmethod
    def load(cls, folder: Path, **files: str) -> "Trained":
        """Reads the folder of a generator; `files` as in `Generator.load`.

        Raises:
            UserError: The folder holds no generator, or its files are damaged.
        """
        import torch  # takes seconds, and who serves needs none

        from ganops.generator import Generator
        from ganops.generator.encoder import Encoder

        generator = Generator.load(folder, "cuda" if torch.cuda.is_available() else "cpu", **files)
        return cls(generator, Encoder.beside(folder, generator))


def trained(which: str, root: Path = Path()) -> Trained:
    """Return the networks of a generator by its name, as `sampler` takes it; nothing of a version's code runs.

    Raises:
        RegistryError: The files of the version are not there, or not those that were registered.
        UserError: The folder holds no generator, the registry has no such version, or files are damaged.
    """
    if _is_folder(which):
        return Trained.load(Path(which))
    version = resolved(which, root)
    with tempfile.TemporaryDirectory() as scratch:
        folder = download(version, root, Path(scratch))
        try:
            verify(version, folder)
        except RegistryError as error:
            raise RegistryError(f"version {version.version} of {version.name} cannot be used: {error}") from error
        found = Trained.load(folder / "artifacts", description_file=CONFIG, weights_file=WEIGHTS)
    params = tracking.connect(root).get_run(version.run_id).data.params
    data = {key.removeprefix("data."): value for key, value in params.items() if key.startswith("data.")}
    return replace(found, data=data)
