"""The embedded data and the extractor that the default experiment would train on them, for the benchmarks."""

from pathlib import Path

from ganops import config
from ganops.data import SPLITS, Prepared, decoders, prepare
from ganops.metrics.extractors import options_of
from ganops.metrics.reference import Reference, build

ROOT = Path(__file__).parents[1]


def default() -> config.Experiment:
    """params.yaml without its search."""
    return config.load(ROOT / "params.yaml").override({"tune.trials": 0, "tune.space": {}})


def open_embedded(work: Path, experiment: config.Experiment | None = None) -> tuple[Prepared, Reference]:
    """The prepared images and the features of an experiment, the default's unless given; made where `work` has none."""
    experiment = experiment or default()
    if not (work / "prepared").is_dir():
        source = ROOT / "data" / experiment.data.source
        data = experiment.data
        prepare(
            source, work / "prepared", work / "preview.png", decoders.of(data),
            labels=data.labels, validation=data.validation, test=data.test, max_rejected=data.max_rejected,
        )  # fmt: skip
    data = Prepared.open(work / "prepared")
    if not (work / "features").is_dir():
        parts = ({split: part(split) for split in SPLITS} for part in (data.samples, data.labels))
        options = options_of(experiment.features.model_dump(mode="json"))
        build(*parts, work / "features", options=options, seed=experiment.seed)
    return data, Reference.open(work / "features")
