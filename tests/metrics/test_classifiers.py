"""The two-sample test and the accuracy score: intervals against their references, verdicts against known cases."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from films import sprites
from scipy import stats
from sklearn.metrics import roc_auc_score

from ganops import config
from ganops.core.errors import ConfigError, FeatureError, RegistryError
from ganops.data import Prepared
from ganops.evaluation import verdict
from ganops.evaluation.gate import check_gate
from ganops.experiment import checks
from ganops.generator import Description, Generator, generator_network
from ganops.metrics import catalogue
from ganops.metrics.classifiers import (
    KIMG,
    MAX_BYTES,
    NAMES,
    Counts,
    Side,
    area_under_roc,
    crossed_mean,
    judge,
    two_sample_test,
)
from ganops.metrics.extractors.corruptions import blur, low_rank, noise, shuffle_frames
from ganops.metrics.intervals import Z

EMBEDDED = Path(__file__).parents[2] / "data/fashion-mnist-10k"
LEARNT, JUDGING = 1000, 600


def variance(interval, m: int, n: int) -> float:
    """DeLong's variance out of an interval that was not clipped: without half a sample a side."""
    return ((interval.high - interval.low) / 2 / Z) ** 2 - 0.25 / m**2 - 0.25 / n**2


@pytest.mark.parametrize("seed", range(3))
def test_the_area_is_that_of_scikit_learn_and_the_variance_that_of_delongs_definition(seed):
    rng = np.random.default_rng(seed)
    low, high = rng.normal(0, 1, 80).round(1), rng.normal(0.7, 2, 130).round(1)  # rounded: with ties
    found = area_under_roc(low, high)
    assert found.value == pytest.approx(roc_auc_score(np.repeat([0, 1], [80, 130]), np.concatenate([low, high])))
    # DeLong, DeLong & Clarke-Pearson 1988, equations 3 to 6, pair by pair
    psi = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    s10, s01 = psi.mean(axis=1).var(ddof=1), psi.mean(axis=0).var(ddof=1)
    assert variance(found, 80, 130) == pytest.approx(s10 / 130 + s01 / 80)


def test_the_variance_is_that_of_the_bootstrap():
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 1, 300), rng.normal(1, 1.5, 200)
    draws = [area_under_roc(rng.choice(low, 300), rng.choice(high, 200)).value for _ in range(2000)]
    assert variance(area_under_roc(low, high), 300, 200) == pytest.approx(np.var(draws), rel=0.1)


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (0, 3), (1, 1), (2.5, 2), (3, 1)])
def test_95_percent_of_the_intervals_hold_the_true_area(shift, scale):
    truth = stats.norm.cdf(shift / np.hypot(1, scale))
    rng = np.random.default_rng(1)
    found = [area_under_roc(rng.normal(0, 1, 500), rng.normal(shift, scale, 500)) for _ in range(1000)]
    held = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.935 <= held <= (0.97 if truth < 0.95 else 0.99)


def test_an_area_of_one_is_not_certain():
    found = area_under_roc(np.arange(100.0), 1000 + np.arange(100.0))
    assert found.value == found.high == 1
    # the rule of three: 3 in 100 may be like the other side, half of whose pairs are the wrong way round
    assert found.low == pytest.approx(1 - 3 / 100 / 2, abs=0.002)


@pytest.mark.parametrize(("networks", "samples"), [(0.0, 0.4), (0.05, 0.4), (0.05, 0.0)])
def test_95_percent_of_the_intervals_hold_the_true_mean_over_networks_and_samples(networks, samples):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(1000):
        values = 0.7 + networks * rng.normal(size=(4, 1)) + samples * rng.normal(size=(1, 300))
        found = crossed_mean(values + 0.2 * rng.normal(size=(4, 300)))
        held.append(found.low <= 0.7 <= found.high)
    assert 0.935 <= np.mean(held) <= 0.975


def test_an_accuracy_of_one_is_not_certain():
    found = crossed_mean(np.ones((4, 100)))
    assert found.value == 1
    assert found.low == pytest.approx(1 - 3 / 100, abs=1e-4)  # the rule of three


@pytest.fixture(scope="module")
def embedded():
    """The embedded images and labels, as they are: uint8 [10000, 1, 28, 28]."""
    images = gzip.decompress((EMBEDDED / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((EMBEDDED / "t10k-labels-idx1-ubyte.gz").read_bytes())
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
    )


def side(embedded, start: int, harm=lambda x: x, relabel=lambda y: y) -> Side:
    """Real samples of 14 x 14 pixels from a place on, harmed as if they had been generated."""
    (x, y), middle, end = embedded, start + LEARNT, start + LEARNT + JUDGING
    x, learnt, judging = harm(x[start:end, :, ::2, ::2]), y[start:middle], y[middle:end]
    return Side(x[:LEARNT], x[LEARNT:], relabel(learnt), judging)


@pytest.fixture(scope="module")
def honest(embedded):
    """What is found of a perfect generator: other real samples with their labels."""
    return judge(side(embedded, 0), side(embedded, 5000), seed=0)


def test_a_perfect_generator_cannot_be_told_apart_and_teaches_as_well_as_real_samples(honest):
    assert list(honest) == list(NAMES)
    assert honest["c2st_auc"].low <= 0.5 <= honest["c2st_auc"].high
    assert honest["cas"].value > 0.6
    assert not honest["cas_gap"].excludes_zero
    assert honest["cas_gap"].value == pytest.approx(honest["cas_real"].value - honest["cas"].value)


@pytest.mark.parametrize(
    "harm",
    [lambda x: low_rank(x, 10), lambda x: blur(x, 2.0), lambda x: noise(x, 0.1, np.random.default_rng(0))],
    ids=["low rank", "blur", "noise"],
)
def test_harmed_samples_are_told_apart(embedded, harm):
    found = two_sample_test(side(embedded, 0), side(embedded, 5000, harm), seed=0)
    assert found.value > 0.9


def test_what_learns_wrong_labels_knows_nothing(embedded):
    shuffled = side(embedded, 5000, relabel=np.random.default_rng(0).permutation)
    found = judge(side(embedded, 0), shuffled, seed=0)
    assert found["cas"].value < 0.25  # chance is 0.1
    assert found["cas_gap"].low > 0.4
    assert found["cas_gap"].high - found["cas_gap"].low < sum(
        found[name].high - found[name].low for name in ("cas", "cas_real")
    )


def test_the_same_seed_gives_the_same_bits_and_leaves_the_random_state_of_torch_alone(embedded):
    x, before = embedded[0][:, :, ::2, ::2], torch.random.get_rng_state()
    real, fake = Side(x[:100], x[100:200]), Side(x[200:300], x[300:400])
    first, again, other = (two_sample_test(real, fake, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert again == first != other


def test_the_number_of_cores_changes_no_bit(embedded, monkeypatch):
    (x, y), found = (embedded[0][:400, :, ::2, ::2], embedded[1][:400]), []
    real, fake = (Side(x[i : i + 100], x[i + 100 : i + 200], y[i : i + 100], y[i + 100 : i + 200]) for i in (0, 200))
    for cores in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", cores)
        found.append(judge(real, fake, seed=0))
    assert found[0] == found[1]


def test_samples_that_cannot_be_judged_are_refused(embedded):
    real, x = side(embedded, 0), embedded[0][:, :, ::2, ::2]
    with pytest.raises(FeatureError, match="at least 50 samples of each kind, got 1000, 600, 1000, 49"):
        judge(real, Side(x[:1000], x[:49]), seed=0)
    with pytest.raises(FeatureError, match=r"of one shape, got \(1, 13, 14\) and \(1, 14, 14\)"):
        judge(real, Side(x[:1000, :, 1:], x[:100, :, 1:]), seed=0)


def test_a_quarter_judges_at_most_and_large_samples_are_fewer():
    assert Counts.of(7964, 1018, 10_000, 1024) == Counts(7964, 1018)  # the default run
    assert Counts.of(48_000, 6000, 10_000, 3072) == Counts(7500, 2500)
    assert Counts.of(10**6, 10**5, 10**6, 1024) == Counts(KIMG * 500, 65_536)
    large = Counts.of(10**5, 10**4, 10**5, 3 * 256**2)
    assert (large.learnt + large.judging) * 3 * 256**2 <= MAX_BYTES
    assert not Counts.of(8000, 1000, 199, 1024).enough
    assert not Counts.of(8000, 0, 10_000, 1024).enough


def prepared(folder: Path, embedded, test: int, labelled: bool = True) -> Prepared:
    """A prepared set of 16 x 16 pixels: 400 samples to train with, and some that are held out."""
    splits = {"train": slice(0, 400), "test": slice(400, 400 + test)}
    for name, rows in splits.items():
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "images.npy", embedded[0][rows, :, 6:22, 6:22])
        np.save(folder / name / "labels.npy", embedded[1][rows])
    sizes = {name: {"samples": rows.stop - rows.start} for name, rows in splits.items()}
    classes = list("0123456789") if labelled else []
    manifest = {"sample": {"shape": [1, 16, 16]}, "splits": sizes, "classes": classes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Prepared.open(folder)


def untrained(classes: int) -> Generator:
    description = Description("dcgan", {"width": 8}, 8, classes, tuple("0123456789")[:classes], (1, 16, 16), 0.0, "f")
    return Generator(generator_network(description), description)


def results() -> dict:
    return {"fd_domain": 1.0, "intervals": {"fd_domain": [0.9, 1.1]}, "protocol": {"split": "train"}}


def test_an_evaluation_holds_the_figures_their_intervals_and_how_they_were_taken(tmp_path, embedded):
    before = results()
    found = verdict.judge(before, untrained(10), prepared(tmp_path, embedded, 120), samples=500, seed=3)
    assert before == results()
    assert set(found) == {*before, *NAMES}
    assert set(found["intervals"]) == {"fd_domain", *NAMES}
    assert found["c2st_auc"] > 0.9
    assert found["intervals"]["c2st_auc"][0] <= found["c2st_auc"] <= found["intervals"]["c2st_auc"][1]
    how = found["protocol"]["classifiers"]
    # the samples of the training split have been seen: held-out ones judge
    assert (found["protocol"]["split"], how["split"]) == ("train", "test")
    assert (how["learnt"], how["judging"], how["seed"], how["cas"]) == (380, 120, 3, "measured")
    assert "the network as it is" in how["intervals"]["c2st_auc"]
    json.dumps(found)


@pytest.mark.parametrize("labelled", [True, False])
def test_without_labels_there_is_no_accuracy_score_and_a_reason(tmp_path, embedded, labelled):
    data = prepared(tmp_path, embedded, 120, labelled)
    found = verdict.judge(results(), untrained(0), data, samples=500, seed=3)
    assert set(found) & set(NAMES) == {"c2st_auc"}
    assert found["protocol"]["classifiers"]["cas"] == "left out: the generator takes no labels"


@pytest.mark.parametrize(("test", "samples"), [(0, 500), (40, 500), (120, 190)])
def test_with_few_samples_there_is_a_reason_instead(tmp_path, embedded, test, samples):
    found = verdict.judge(results(), untrained(10), prepared(tmp_path, embedded, test), samples=samples, seed=3)
    assert set(found) == set(results())
    assert "at least 50 are needed" in found["protocol"]["classifiers"]["left_out"]
    with pytest.raises(RegistryError, match=r"the evaluation has no c2st_auc: .* at least 50 are needed"):
        check_gate({"c2st_auc": {"at_most": 0.9}}, {}, found["protocol"]["left_out"])


def test_a_gate_can_limit_them_and_labels_are_needed_for_some():
    gate = {"c2st_auc": {"at_most": 0.9}, "cas_gap": {"at_most": 0.2}, "cas": {"at_least": 0.6}}
    checks.check(config.parse({"register": {"gate": gate}}))
    for section in ({"data": {"labels": "none"}}, {"model": {"conditional": False}}):
        checks.check(config.parse({"register": {"gate": {"c2st_auc": {"at_most": 0.9}}}, **section}))
        with pytest.raises(ConfigError, match=r"register\.gate\.cas: unknown"):
            checks.check(config.parse({"register": {"gate": {"cas": {"at_least": 0.6}}}, **section}))


def test_which_way_is_better():
    assert [catalogue.of(name).better for name in NAMES] == ["lower", "higher", "higher", "lower"]


def test_films_are_told_apart_by_their_motion_alone():
    """The frames of shuffled films are real ones; other real films are not told apart."""
    real, other = (sprites(800, seed=seed)[0][..., ::2, ::2] for seed in range(2))
    broken = shuffle_frames(other, np.random.default_rng(0))
    split = lambda films: Side(films[:600], films[600:])  # noqa: E731
    assert two_sample_test(split(real), split(broken), seed=0).value > 0.9
    assert two_sample_test(split(real), split(other), seed=0).value < 0.65
