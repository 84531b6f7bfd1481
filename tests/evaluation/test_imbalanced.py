"""A set whose classes have frequencies of 1 to 1/20: what draws real images of each class is as good as can be."""

import gzip
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from ganops.core.labels import BY_FREQUENCY, IN_TURN
from ganops.core.latents import philox
from ganops.evaluation import verdict
from ganops.evaluation.comparison import of_samplers
from ganops.evaluation.gate import Rival, decide
from ganops.kinds import Spec
from ganops.metrics.frechet import Statistics, frechet_distance
from ganops.metrics.intervals import COVERS
from ganops.metrics.measure import distance, measure
from ganops.metrics.reference import Reference, build

EMBEDDED = Path(__file__).parents[2] / "data" / "fashion-mnist-10k"
CLASSES, SAMPLES = 10, 1000
SHARES = 20.0 ** (-np.arange(CLASSES) / (CLASSES - 1))


def embedded():
    """The embedded images at 16 pixels, uint8 [10000, 1, 16, 16], and their labels."""
    images = np.frombuffer(gzip.decompress((EMBEDDED / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((EMBEDDED / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    small = images.reshape(-1, 1, 14, 2, 14, 2).mean(axis=(3, 5)).round().astype(np.uint8)
    return np.pad(small, ((0, 0), (0, 0), (1, 1), (1, 1))), labels.astype(np.int64)


@dataclass
class Perfect:
    """A conditional generator that draws real images of the class it is asked for, none of which it shares a split."""

    pool: list[np.ndarray]
    class_counts: tuple[int, ...] = ()
    noise: float = 0.0
    classes: int = CLASSES
    spec: Spec = field(default_factory=lambda: Spec("image", (1, 16, 16)))

    def sample(self, seeds, labels=None):
        labels = seeds % self.classes if labels is None else labels
        words = philox((seeds.view(np.uint64) & np.uint64(0xFFFFFFFF), 0, 0, 0), (1, 2))
        drawn = np.stack(
            [self.pool[y][int(word) % len(self.pool[y])] for y, word in zip(labels, words[0], strict=True)]
        )
        moved = drawn + self.noise * (words[1, :, None, None, None] % 7 - 3.0)
        return moved.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The reference of an imbalanced set, the counts of its training split, and a pool of other images by class."""
    images, labels = embedded()
    splits, pool, start = {}, [], {"train": (0, 500), "validation": (500, 600), "test": (600, 750)}
    of_class = [images[labels == y] for y in range(CLASSES)]
    for split, (low, high) in start.items():
        parts = [of_class[y][low : low + round((high - low) * share)] for y, share in enumerate(SHARES)]
        splits[split] = np.concatenate(parts), np.repeat(np.arange(CLASSES), [len(part) for part in parts])
    pool = [of_class[y][750:] for y in range(CLASSES)]
    folder = tmp_path_factory.mktemp("imbalanced") / "features"
    parts = ({split: each[i] for split, each in splits.items()} for i in (0, 1))
    build(*parts, folder, options={"kimg": 12, "minimum_accuracy": 0.3}, seed=0)
    counts = tuple(np.bincount(splits["train"][1]).tolist())
    return Reference.open(folder), counts, pool


def evaluated(sampler, reference):
    looks = (verdict.look(sampler, reference, seeds) for seeds in verdict.pieces(SAMPLES))
    made = verdict.gather("evaluate", looks, SAMPLES, "images")
    return made, measure(made, reference, "test", seed=0)


@pytest.fixture(scope="module")
def perfect(world):
    """What is measured of a perfect generator that knows the counts."""
    reference, counts, pool = world
    return evaluated(Perfect(pool, counts), reference)


@pytest.fixture(scope="module")
def floor(world):
    """The distance of as many real images to real images."""
    reference, _, _ = world
    train = reference.features("train")[np.random.default_rng(0).permutation(sum(world[1]))[:SAMPLES]]
    return frechet_distance(reference.statistics("test"), Statistics.of(train))


def test_a_perfect_generator_is_as_near_as_real_images_are(world, perfect, floor):
    reference, counts, pool = world
    (made, found), (_, in_turn) = perfect, evaluated(Perfect(pool), reference)
    print(f"floor {floor:.2f}, perfect {found['fd_domain']:.2f}, its classes in turn {in_turn['fd_domain']:.2f}")
    assert found["fd_domain"] < 2 * floor
    assert found["class_kl"] < 0.02
    assert in_turn["fd_domain"] > 5 * floor  # what the classes in turn make of it
    assert (found["protocol"]["labels"], in_turn["protocol"]["labels"]) == (BY_FREQUENCY, IN_TURN)
    np.testing.assert_allclose(np.bincount(made.labels), SAMPLES * np.array(counts) / sum(counts), atol=3)


def test_it_passes_the_gate_whose_words_are_true(world, perfect, floor):
    reference, counts, pool = world
    champion = Perfect(pool, noise=15.0)
    beside = of_samplers(champion, Perfect(pool, counts), reference, samples=SAMPLES, split="test", seed=0)
    decision = decide({"fd_domain": {"at_most": 2 * floor}}, perfect[1], rival=Rival(1, beside))
    print(decision.words)
    assert decision.passed
    assert f"(95 %, {COVERS}): better" in decision.words
    # the champion was drawn under the challenger's labels: under classes in turn it is farther
    looks = (verdict.look(champion, reference, seeds) for seeds in verdict.pieces(SAMPLES))
    alone = distance(verdict.gather("evaluate", looks, SAMPLES, "images").features, reference, "test")
    assert beside.figures["fd_domain"].one < alone - 3 * floor
    assert beside.figures["fd_domain"].other == pytest.approx(perfect[1]["fd_domain"])


@pytest.mark.slow
def test_of_two_perfect_ones_none_is_better(world):
    reference, counts, pool = world
    halves = [[each[part::2] for each in pool] for part in (0, 1)]
    one, other = (Perfect(half, counts) for half in halves)
    beside = of_samplers(one, other, reference, samples=SAMPLES, split="test", seed=0)
    assert not decide({}, {}, rival=Rival(1, beside)).passed
