"""Which metric tells which rung: laws on clouds of features, of which it is known what a metric must see."""

import numpy as np
import pytest

from ganops import config
from ganops.experiment import checks
from ganops.metrics import classifiers, sight
from ganops.metrics.catalogue import MOTIONLESS
from ganops.metrics.ladder import RUNGS, Rungs, Sample
from ganops.metrics.memorisation import SIGNS

DIMENSIONS = 8
OF_OTHERS = {"nll", "motion_in_range", "motion_straight", "motion_directions"}
"""Figures that texts or films alone have."""
generator = np.random.default_rng(0)


def cloud(labels, centre=0.0, width=1.0):
    """A cloud for each class, side by side."""
    features = generator.normal(centre, width, (len(labels), DIMENSIONS))
    features[:, 0] += 5 * width * labels
    return features.astype(np.float32)


def sharp(labels, classes=4):
    """Probabilities of a classifier that is sure."""
    return np.eye(classes, dtype=np.float32)[labels] * 0.96 + 0.01


def sample(**options):
    labels = generator.integers(0, 4, 300)
    return Sample(cloud(labels, **options), sharp(labels), labels)


REAL, UNHARMED, FAR = sample(), sample(), sample(centre=30.0)
ONE = Sample(np.full((300, DIMENSIONS), 30, np.float32), sharp(UNHARMED.labels * 0), UNHARMED.labels)
"""One image, 300 times."""


def rungs(kind="image", **harmed):
    """Every rung far from the real ones, but for those that are given."""
    return Rungs(REAL, {"real": UNHARMED, **dict.fromkeys(set(RUNGS[kind]) - {"real"}, ONE), **harmed})


def missed(metric, **harmed):
    return sight.blind(sight.examine(rungs(**harmed), seed=0)).get(metric, [])


def test_metrics_that_see_are_not_blind():
    found = sight.examine(rungs(), seed=0)
    assert found.keys() == sight.DUTIES.keys() - OF_OTHERS
    # seven images are too few for an unbiased distance: what it says of them is mostly chance
    assert sight.blind(found) in ({}, {"kd": ["few"]})


def test_shapeless_samples_amid_the_real_ones_pass_for_faithful_and_not_for_varied():
    """As the features of blobs do under an extractor that sees no shape: near the mean of all."""
    blobs = sample(width=0.1)
    for metric in ("precision", "density"):
        assert missed(metric, low_rank=blobs) == ["low_rank"]
    for metric in ("fd", "kd", "coverage"):
        assert "low_rank" not in missed(metric, low_rank=blobs)


@pytest.mark.parametrize("metric", ["fd", "kd", "precision", "density", "coverage", "is"])
def test_nothing_tells_samples_like_the_real_ones(metric):
    assert "heavy_blur" in missed(metric, heavy_blur=sample())


def test_one_half_that_passes_is_enough_to_doubt():
    """A single outlier among real samples has a ball in which anything passes: precision is 1 or 0 by chance."""
    real = REAL.features.copy()
    real[0] = 30
    found = sight.examine(Rungs(Sample(real), rungs().harmed), seed=0)["precision"]["black"]
    assert not found.told
    assert found.harmed < found.unharmed / 2


def test_each_metric_has_its_duties_only():
    """Precision need not notice a lack of variety, nor recall noise; a class histogram knows nothing else."""
    table = {metric: set(duty.rungs) for metric, duty in sight.DUTIES.items()}
    assert not {"half", "few"} & (table["precision"] | table["density"])
    assert not {"noise", "heavy_blur"} & table["recall"]
    assert table["class_kl"] == {"half", "black", "silence"}
    assert table["fd"] == table["kd"] == table["coverage"] | {*MOTIONLESS} == set.union(*table.values())
    assert set.union(*table.values()) <= {"half", "few"}.union(*RUNGS.values())


@pytest.mark.parametrize(("kind", "own", "other"), [("image", "heavy_blur", "silence"), ("sound", "silence", "black")])
def test_a_metric_answers_for_the_rungs_of_the_kind(kind, own, other):
    found = sight.examine(rungs(kind), seed=0)
    assert found.keys() == sight.DUTIES.keys() - OF_OTHERS
    assert own in found["fd"]
    assert all(other not in told for told in found.values())


@pytest.mark.parametrize("extractor", ["domain", "inception", "pixels"])
def test_every_metric_that_a_gate_may_limit_has_duties_or_controls_of_its_own(extractor):
    experiment = config.parse({"features": {"extractor": extractor}})
    short = {
        f"fd_{extractor}": "fd", f"fd_{extractor}_infinity": "fd", f"kd_{extractor}": "kd", "fid": "fd",
        "fid_infinity": "fd", "kid": "kd", f"is_{extractor}": "is",
    }  # fmt: skip
    of_their_own = {*SIGNS, "copied_share", "memorisation_verdict", *classifiers.NAMES}
    for metric in set(checks.known_metrics(experiment)) - of_their_own:
        assert short.get(metric, metric) in sight.DUTIES


def test_each_is_asked_for_its_duties_only():
    """Samples far from all real ones but as varied: the shares of their classes are right."""
    assert missed("class_kl", noise=FAR, heavy_blur=FAR, low_rank=FAR) == []
    assert missed("precision", noise=FAR) == []


def test_few_images_give_no_verdict():
    few = Rungs(REAL, {name: each[:99] for name, each in rungs().harmed.items()})
    assert sight.examine(few, seed=0) == {}
    assert sight.blind({}) == {}


def test_a_metric_is_added_by_a_function_and_a_row(monkeypatch):
    def centres(real, fake):
        return {"centre": float(np.linalg.norm(real.features.mean(0) - fake.features.mean(0)))}

    monkeypatch.setitem(sight.DUTIES, "centre", sight.Duty(("noise", "few"), "it compares the means", "lower"))
    found = sight.examine(rungs(), seed=0, figures=[centres])
    assert found.keys() == {"centre"}
    assert found["centre"]["noise"].told
    assert found["centre"]["noise"].harmed > 50


def test_in_words():
    assert sight.blindness(["low_rank", "black"]) == "blind to low rank, black images on these images"
