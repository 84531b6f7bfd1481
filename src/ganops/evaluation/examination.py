"""The work of the stage `evaluate` on a generator whose samples have been looked at: figures, pictures, texts."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganops.config import Experiment
from ganops.data import Prepared
from ganops.evaluation import curve, pictures, reconstruction, verdict
from ganops.generator import Generator
from ganops.metrics.measure import Generated, measure
from ganops.metrics.reference import Reference


@dataclass(frozen=True)
class Examination:
    """The findings on a generator."""

    results: dict[str, Any]
    """Content of `metrics/evaluation.json`."""
    files: dict[str, bytes]
    """Pictures of the report, and samples that are heard or watched: name of the file -> content."""
    sentences: dict[str, list[tuple[str, float]]]
    """Texts to read, as `pictures.sentences` gives them."""
    again: list[tuple[str, str]]
    """Texts and their reconstructions, as `pictures.again_in_words` gives them."""


def examine(
    generator: Path, prepared: Path, features: Path, *, fake: Generated, experiment: Experiment, device: str
) -> Examination:
    """Measures and draws.

    Args:
        generator: Folder of the generator.
        prepared: Folder of the prepared data.
        features: Folder of the extractor and its reference statistics.
        fake: The generated samples as the extractor sees them.
        experiment: The parameters.
        device: Where the networks run.

    Raises:
        UserError: A file is missing or damaged, or the generator has diverged.
    """
    made, data = Generator.load(generator, device), Prepared.open(prepared, experiment.compute.cache)
    reference, asked, seed = Reference.open(features, device), experiment.evaluate, experiment.seed
    results = measure(fake, reference, asked.split, seed=seed)
    results |= verdict.beside(reference, asked.split, len(fake.features), seed=seed)
    results = verdict.judge(results, made, data, samples=asked.samples, seed=seed)
    said, again = reconstruction.look(generator, made, data, seed=seed)
    results |= said
    results |= curve.look(
        generator, made, data, reference, asked.truncations, samples=asked.samples, split=asked.split, seed=seed
    )
    with tempfile.TemporaryDirectory(prefix="ganops-pictures-") as scratch:
        folder = Path(scratch)
        pictures.draw(made, data, reference, fake.features, folder, again)
        pictures.play(made, data, folder)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return Examination(results, files, pictures.sentences(made, reference), pictures.again_in_words(data, again))
