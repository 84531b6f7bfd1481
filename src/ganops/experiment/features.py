"""The work of the stage `features`: the extractor of an experiment and the features of its samples, as a folder."""

from pathlib import Path
from typing import Any

from ganops.config import Experiment
from ganops.core.errors import DataError
from ganops.data import SPLITS, Prepared
from ganops.metrics.extractors import EXTRACTORS, Inception, options_of
from ganops.metrics.extractors.inception import find_weights
from ganops.metrics.intervals import MIN_SAMPLES
from ganops.metrics.reference import build


def weights(experiment: Experiment) -> list[Path]:
    """Return the file or folder of weights that the extractor needs, which may be fetched for it; empty: it needs none.

    Raises:
        FeatureError: There is no such file, or it cannot be downloaded.
    """
    given = experiment.features.weights
    if issubclass(EXTRACTORS[experiment.features.extractor], Inception):
        return [find_weights(given)]
    return [given] if given and "weights" in _options(experiment) else []


def make(prepared: Path, weights: Path | None = None, *, experiment: Experiment, device: str, out: Path) -> None:
    """Makes the folder `out`, see `metrics.reference.build`.

    Args:
        prepared: Folder of the prepared data.
        weights: As the function of that name finds them; None: there are none.
        experiment: The parameters.
        device: Where the extractor is trained and looks.
        out: Place of the folder.

    Raises:
        DataError: The test split has too few samples for an interval, which only the end of a training would notice.
        FeatureError: The extractor cannot be made, or does not deserve trust.
    """
    data = Prepared.open(prepared, experiment.compute.cache)
    if (count := data.manifest["splits"]["test"]["samples"]) < MIN_SAMPLES:
        unit, share = data.spec.unit, experiment.data.test
        problem = f"the test split has {count} {unit}s, and an interval needs {MIN_SAMPLES}"
        raise DataError(f"params.data.test: {problem}: raise the share ({share:g}), or bring more {unit}s")
    measured = {split: data.measured(split) for split in SPLITS}
    build(
        {split: samples for split, (samples, _) in measured.items()},
        {split: labels for split, (_, labels) in measured.items()},
        out,
        extractor=experiment.features.extractor,
        options=_options(experiment) | ({"weights": str(weights)} if weights else {}),
        seed=experiment.seed,
        device=device,
        kind=data.spec.kind,
        facts=data.spec.facts,
    )


def _options(experiment: Experiment) -> dict[str, Any]:
    return options_of(experiment.features.model_dump(mode="json"))
