"""The pictures of an evaluation: samples, walks, neighbours, the most and the least real; what is played and read."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.labels import Labelling, in_turn
from ganops.core.latents import latents, normal_table
from ganops.core.pictures import save_grid
from ganops.data import Prepared
from ganops.evaluation.reconstruction import errors
from ganops.evaluation.verdict import FIRST_SEED, HELD_OUT
from ganops.generator import Generator
from ganops.generator.walks import slerp
from ganops.kinds import Spec
from ganops.metrics.extractors.extractor import Features
from ganops.metrics.memorisation import MIN_SAMPLES, examine
from ganops.metrics.neighbours import nearest, realism
from ganops.metrics.reference import Reference
from ganops.metrics.texts import spoken
from ganops.reports.plots import distances, sheet

WALK_PICTURES, WALK_FILMS = 9, 8
"""Pictures of a walk from one latent to another, and films."""
SHOWN_SAMPLES = 2000
"""Generated images whose distances are drawn."""
PLAYED = 10
"""Generated samples that are heard or watched, and real ones."""
STRIPS = 2
"""Film strips in a row of a picture."""
MAX_CLASSES = 20
"""The most classes that a picture has a row for."""
RANKED, SENTENCES, OF_CLASS = 1000, 8, 3
"""Generated texts that are ranked by their likelihood, those that are shown of each rank, and of each class."""
PAIRS = 12
"""Texts that are shown beside their reconstructions."""


def draw(
    generator: Generator, prepared: Prepared, reference: Reference, features: Features, folder: Path,
    again: NDArray[Any] | None = None,
) -> dict[str, Path]:  # fmt: skip
    """Writes the pictures of a report into `folder`: name -> path.

    Texts are read (`sentences`): of them there is a still of samples, and the distances to the training texts. Of films
    samples and walks move, as animated WebP, and a PNG of each has their strips.

    Args:
        generator: The generator.
        prepared: The real samples.
        reference: The extractor.
        features: Those of the evaluation.
        folder: Place of the pictures.
        again: Reconstructions of the held-out samples, stored, in their order; None: there are none.
    """
    look = generator.spec.look
    if generator.spec.kind == "text":
        paths = {"samples": folder / "samples.png"}
        save_grid(paths["samples"], look(generator.sample(FIRST_SEED + np.arange(2 * SENTENCES))), 2)
        return _written(_distances(features, reference, generator.spec.unit), folder, paths)
    columns = min(generator.description.classes or 8, 10)
    steps = WALK_FILMS if generator.spec.strips else WALK_PICTURES
    samples, walks = generator.sample(FIRST_SEED + np.arange(columns * 8)), _interpolation(generator, steps)
    paths = {
        "samples": _grid(generator.spec, samples, folder / "samples.png", columns),
        "interpolation": _grid(generator.spec, walks, folder / "interpolation.png", steps),
    }
    drawn = {
        **_by_class(generator),
        "truncation": _truncations(generator, columns),
        "neighbours": _neighbours(generator, prepared, reference),
        "realism": _realism(generator, reference),
        **_distances(features, reference, generator.spec.unit),
        **({} if again is None else {"reconstructions": reconstructions(prepared, again)}),
    }
    return _written(drawn, folder, paths)


def _grid(spec: Spec, stored: NDArray[Any], path: Path, columns: int) -> Path:
    """Write a grid of stills, and of films the file in which they move beside it; return the one that is shown."""
    save_grid(path, spec.look(stored), STRIPS if spec.strips else columns)
    if not spec.strips or not (joined := spec.joined(spec.shown(stored))):
        return path
    moving = path.with_suffix(joined[0])
    moving.write_bytes(joined[2])
    return moving


def found(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The pictures that `draw` wrote into a folder, by name, and the files of `play`."""
    played = sorted(path for side in ("generated", "real") for path in folder.glob(f"{side}-*.w*"))
    names = [path for suffix in (".png", ".svg", ".webp") for path in sorted(folder.glob(f"*{suffix}"))]
    return {path.stem: path for path in names if path not in played}, played


def _written(drawn: dict[str, bytes], folder: Path, paths: dict[str, Path]) -> dict[str, Path]:
    """Return the paths, with those of the SVG pictures that are written into the folder here."""
    for name, picture in drawn.items():
        paths[name] = folder / f"{name}.svg"
        paths[name].write_bytes(picture)
    return paths


def sentences(generator: Generator, reference: Reference, count: int = RANKED) -> dict[str, list[tuple[str, float]]]:
    """Generated texts to read, each with the nats of a word by the extractor: title -> texts; nothing of other kinds.

    The first samples of the evaluation are ranked by these nats: the likeliest, those about the median, the least
    likely; then some of each class, where there are classes.
    """
    if generator.spec.kind != "text":
        return {}
    labelling, seeds = Labelling.of(generator), FIRST_SEED + np.arange(count)
    drawn, labels = labelling.draw(generator, seeds), labelling(seeds)
    texts = generator.shown(drawn).tolist()
    nats = _nats_of_a_word(drawn, reference)
    order, middle = np.argsort(nats, kind="stable"), (len(nats) - SENTENCES) // 2
    rows = {
        "Most likely": order[:SENTENCES],
        "Typical": order[max(0, middle) : middle + SENTENCES],
        "Least likely": order[::-1][:SENTENCES],
    }
    if labels is not None:
        names = enumerate(generator.description.class_names[:MAX_CLASSES])
        rows |= {name: np.flatnonzero(labels == label)[:OF_CLASS] for label, name in names}
    found = {title: [(texts[i], float(nats[i])) for i in chosen] for title, chosen in rows.items()}
    return found | _between_codes(generator, reference)


def _between_codes(generator: Generator, reference: Reference, steps: int = 6) -> dict[str, list[tuple[str, float]]]:
    """Texts on the way from one code to another (Bowman et al. 2016, table 1), where texts have a code.

    Each word is the likeliest after those before it, so that a text follows from its code alone; the label is fixed.
    """
    size = getattr(generator.network, "code", 0)
    if not size:
        return {}
    one, other = latents(FIRST_SEED + np.arange(2), generator.latent, normal_table())[:, :size]
    codes = np.stack([slerp(one, other, t) for t in np.linspace(0, 1, steps)])
    drawn = generator.render(codes, np.zeros(steps, np.int64) if generator.classes else None)
    texts, nats = generator.shown(drawn).tolist(), _nats_of_a_word(drawn, reference).tolist()
    return {"From one code to another, the likeliest words": list(zip(texts, nats, strict=True))}


def _nats_of_a_word(drawn: NDArray[Any], reference: Reference) -> NDArray[np.float64]:
    """Nats of a word by the extractor, of stored texts [N, L] -> [N]."""
    lengths = np.array([max(1, len(line)) for line in spoken(drawn, reference.card["ends"])])
    nats: NDArray[np.float64] = reference.extractor.nll(drawn) / (lengths + bool(reference.card["ends"]))
    return nats


def again_in_words(prepared: Prepared, again: NDArray[Any] | None) -> list[tuple[str, str]]:
    """Return the first held-out texts, each with its reconstruction; nothing of other kinds, or without an encoder.

    Args:
        prepared: The real samples.
        again: Reconstructions of those held out, stored, in their order; None: there are none.
    """
    if again is None or prepared.spec.kind != "text":
        return []
    texts = (prepared.spec.shown(np.array(each[:PAIRS])).tolist() for each in (prepared.measured(HELD_OUT)[0], again))
    return list(zip(*texts, strict=True))


def play(generator: Generator, prepared: Prepared, folder: Path) -> list[Path]:
    """Write samples that are heard or watched, one file each: `generated-<i>`, and held out ones as `real-<i>`.

    The classes come in turn on both sides. Real ones are played as they are stored: spectrograms through the vocoder,
    too. Samples that take no time give no files.
    """
    if not generator.spec.played:
        return []
    samples, labels = prepared.measured(HELD_OUT)
    labels = labels if generator.classes else None
    turns, numbers = max(1, generator.classes), np.arange(PLAYED)
    drawn = generator.sample(FIRST_SEED + numbers, in_turn(numbers, turns))
    stored = {f"generated-{i}": drawn[i : i + 1] for i in numbers}
    for i in numbers:
        alike = np.arange(len(samples)) if labels is None else np.flatnonzero(labels == i % turns)
        stored |= {f"real-{i}": samples[[at]] for at in alike[i // turns :][:1]}
    paths = []
    for name, one in stored.items():
        suffix, _, content = generator.spec.file(generator.shown(one)[0])
        paths.append(folder / f"{name}{suffix}")
        paths[-1].write_bytes(content)
    return paths


def _by_class(generator: Generator, columns: int = 8) -> dict[str, bytes]:
    """A row of samples of each class under its name, the same latents in each; nothing where there are no classes."""
    columns = STRIPS if generator.spec.strips else columns
    names, seeds = generator.description.class_names[:MAX_CLASSES], FIRST_SEED + np.arange(columns)
    rows = [generator.spec.look(generator.sample(seeds, np.full(columns, label))) for label in range(len(names))]
    return {"by_class": sheet(rows, names)} if names else {}


def _truncations(generator: Generator, columns: int) -> bytes:
    """One row for each truncation, the same seeds in each."""
    columns = STRIPS if generator.spec.strips else columns
    seeds, scales = FIRST_SEED + np.arange(columns), (0.2, 0.4, 0.6, 0.8, 1.0)
    rows = [generator.spec.look(generator.sample(seeds, truncation=t)) for t in scales]
    return sheet(rows, [f"truncation {t:g}" for t in scales])


def _interpolation(generator: Generator, steps: int, rows: int = 6) -> NDArray[Any]:
    """Each row walks from one latent to another on the sphere between them (White 2016), the label fixed."""
    z = latents(FIRST_SEED + np.arange(2 * rows), generator.latent, normal_table())
    walk = [slerp(a, b, t) for a, b in zip(z[:rows], z[rows:], strict=True) for t in np.linspace(0, 1, steps)]
    labels = np.repeat(np.arange(rows) % max(1, generator.classes), steps)
    return generator.render(np.stack(walk), labels)


def _neighbours(generator: Generator, prepared: Prepared, reference: Reference, rows: int = 8, k: int = 6) -> bytes:
    """Each row: a generated image, then its nearest training images in feature space, nearest first."""
    k = STRIPS if generator.spec.strips else k
    drawn, look = generator.sample(FIRST_SEED + np.arange(rows)), prepared.spec.look
    train, _ = prepared.measured("train")
    features, _ = reference.extractor.features(drawn)
    indices, distances = nearest(features, reference.features("train"), min(k, len(train)))
    return sheet(
        [look(np.concatenate([one[None], train[near]])) for one, near in zip(drawn, indices, strict=True)],
        [f"distance to the nearest {d[0]:.2f}" for d in distances],
        lead=1,
    )


def _realism(generator: Generator, reference: Reference, count: int = 1000, columns: int = 10) -> bytes:
    """The first samples of the evaluation that lie deepest among real ones, and those that lie farthest from them."""
    columns = STRIPS if generator.spec.strips else columns
    drawn = Labelling.of(generator).draw(generator, FIRST_SEED + np.arange(count))
    values = realism(reference.features(HELD_OUT), reference.extractor.features(drawn)[0])
    order = np.argsort(values, kind="stable")
    rows = {"most real": order[::-1][:columns], "least real": order[:columns]}
    return sheet([generator.spec.look(drawn[row]) for row in rows.values()], [f"{name} of {count:,}" for name in rows])


def reconstructions(prepared: Prepared, again: NDArray[Any], pairs: int = 5) -> bytes:
    """Rows of pairs, a held-out sample and its reconstruction: of each class, with the error of all its samples.

    Args:
        prepared: The real samples.
        again: Reconstructions of those held out, stored, in their order.
        pairs: The number in a row.
    """
    (samples, labels), look = prepared.measured(HELD_OUT), prepared.spec.look
    pairs, side = (STRIPS, 2) if prepared.spec.strips else (pairs, 3)  # the axis along which the two of a pair lie
    if labels is None:
        parts = {f"quarter {i}": part for i, part in enumerate(np.array_split(np.arange(len(samples)), 4), 1)}
    else:
        names = enumerate(prepared.class_names[:MAX_CLASSES])
        parts = {name: np.flatnonzero(labels == label) for label, name in names}
    rows, words = [], []
    for name, members in parts.items():
        if len(members):
            first = members[:pairs]
            rows.append(np.concatenate([look(samples[first]), look(again[first])], axis=side))
            error = np.sqrt(errors(samples[members], again[members]).mean())
            words.append(f"{name}: error {error:.1f} of 255 ({len(members):,} samples)")
    return sheet(rows, words)


def _distances(features: Features, reference: Reference, unit: str) -> dict[str, bytes]:
    """Return the distances of generated samples to training ones, and both controls'; nothing where there are few."""
    sides = (reference.features("train"), reference.features(HELD_OUT), features[:SHOWN_SAMPLES])
    if min(map(len, sides)) < MIN_SAMPLES:
        return {}
    near = examine(*sides, seed=0)
    names = {"generated": "generated", "held_out": f"held-out {unit}s", "copied": "copies"}
    return {"memorisation": distances({shown: near[name].distance for name, shown in names.items()}, unit)}
