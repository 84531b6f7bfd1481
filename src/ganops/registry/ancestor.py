"""The registered version with whose weights a training begins, as a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganops.config import Experiment


@contextmanager
def fetched(experiment: Experiment, root: Path = Path()) -> Iterator[tuple[Path, str] | None]:
    """The folder, for the block, and the exact name of the version that `train.start` means; None: it means none.

    The registry keeps no D: a training that begins with a version has a new one.

    Raises:
        RegistryError: There is no such version, or its files are not those that were registered.
    """
    which = experiment.train.start or ""
    if not which.startswith("models:/"):
        yield None
        return
    from ganops.registry.model_version import resolved, trained  # mlflow takes seconds to import

    version = resolved(which, root)
    exact = f"models:/{version.name}/{version.version}"
    with tempfile.TemporaryDirectory(prefix="ganops-start-") as scratch:
        folder = Path(scratch) / "generator"
        trained(exact, root).generator.save(folder)
        yield folder, exact
