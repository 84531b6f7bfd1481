"""Figures of films in a measurement: the distance of their motion with floor and interval, and known motion."""

import numpy as np
import pytest
from films import sprites

from ganops import config
from ganops.core.errors import ConfigError, FeatureError
from ganops.evaluation import verdict
from ganops.experiment import checks
from ganops.kinds import Spec
from ganops.metrics import catalogue
from ganops.metrics.extractors.corruptions import freeze, shuffle_frames
from ganops.metrics.ladder import RUNGS
from ganops.metrics.measure import compare, floors, measure
from ganops.metrics.reference import Reference, build
from ganops.metrics.sight import DUTIES

SPLITS = {
    split: sprites(count, seed=seed)
    for seed, (split, count) in enumerate({"train": 400, "validation": 200, "test": 200}.items())
}
FACTS = {"fps": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "features"
    films, labels = ({split: pair[i] for split, pair in SPLITS.items()} for i in range(2))
    build(films, labels, folder, seed=0, kind="video", facts=FACTS, options={"kimg": 4})
    return folder


@pytest.fixture
def reference(folder):
    return Reference.open(folder)


class Held:
    """A generator that hands out films that there are."""

    classes = 0
    spec = Spec("video", (1, 8, 32, 32), facts=FACTS)

    def __init__(self, films):
        self.films = films

    def sample(self, seeds, labels=None):
        return self.films[seeds % len(self.films)]


def looked(reference, films):
    pieces = verdict.pieces(len(films), 0)
    return verdict.gather("test", verdict.looks(Held(films), reference, pieces), len(films), "films")


def fresh(seed=9):
    return sprites(300, seed=seed)[0]


def test_both_ladders_are_in_the_card(reference):
    card = reference.card
    assert card["extractor"] == "domain"
    assert {*RUNGS["video"]} <= card["ladder"].keys() & card["motion"]["ladder"].keys()
    for ladder in (card["ladder"], card["motion"]["ladder"]):
        assert ladder["real"] < ladder["faint_noise"] < ladder["strong_noise"]
        assert ladder["real"] < min(ladder["shuffled_frames"], ladder["frozen"])
    assert card["motion"]["ladder"]["shuffled_frames"] > 10 * card["motion"]["ladder"]["real"]
    assert reference.companion.card["hash"] == card["motion"]["hash"]
    assert "fd_motion" in card["sight"]
    assert not {"shuffled_frames", "frozen"} & {*card["blind"].get("fd_motion", [])}
    assert card["protocol"]["quantisation"] == "uint8"


def test_backwards_is_measured_and_not_judged():
    assert "backwards" in RUNGS["video"]
    assert all("backwards" not in duty.rungs for duty in DUTIES.values())


def test_motion_stands_beside_its_floor_and_in_an_interval(reference):
    found = measure(looked(reference, fresh()), reference, "test", seed=0)
    floor = floors(reference, "test", 300, seed=0)
    assert floor["fd_motion"] < 3
    for name in ("fd_motion", "motion_in_range", "motion_straight", "motion_directions"):
        low, high = found["intervals"][name]
        assert low <= found[name] <= high, name
    assert found["motion_in_range"] > 0.9
    assert found["motion_in_range_held_out"] > 0.95
    assert found["motion_straight"] > 0.9
    assert found["motion_directions"] < 0.15
    assert found["protocol"]["films"]["weights"] == reference.companion.card["hash"]
    assert "fd_motion" in verdict.headline({**found, "blind": {}})


def test_broken_motion_shows_in_the_figures_of_motion(reference):
    real = measure(looked(reference, fresh()), reference, "test", seed=0)
    shuffled = shuffle_frames(fresh(), np.random.default_rng(0))
    for broken, figure in ((shuffled, "motion_straight"), (freeze(fresh()), "motion_in_range")):
        found = measure(looked(reference, broken), reference, "test", seed=0)
        assert found["fd_motion"] > 10 * real["fd_motion"]
        assert found[figure] < 0.2


def test_two_generators_are_compared_in_motion(reference):
    still = compare(looked(reference, fresh()), looked(reference, freeze(fresh())), reference, "test", seed=0)
    for name, worse in {"fd_motion": 1, "motion_in_range": -1, "motion_directions": 1}.items():
        assert worse * still[name].by.value > 0, name
        assert not still[name].by.low <= 0 <= still[name].by.high, name


def test_the_pieces_of_an_evaluation_are_the_whole(reference):
    films = fresh()
    whole = verdict.look(Held(films), reference, np.arange(len(films)))
    parts = verdict.gather(
        "test", [verdict.look(Held(films), reference, np.arange(a, a + 150)) for a in (0, 150)], 300, "films"
    )
    np.testing.assert_allclose(parts.motion, whole.motion, atol=1e-4)
    assert np.array_equal(parts.tracks, whole.tracks)


def test_the_companion_learns_as_long_as_it_is_told(reference):
    assert reference.card["motion"]["details"]["kimg"] == reference.card["details"]["kimg"] == 4


def shown_alone(count, seed):
    """Films whose labels are the light of their ground, which stays the same: no change between frames tells them."""
    films, _ = sprites(count, seed=seed)
    labels = np.random.default_rng(seed + 100).integers(4, size=count)
    return films // 2 + 40 * labels.astype(np.uint8)[:, None, None, None, None], labels


def test_labels_that_are_not_seen_in_motion_leave_the_companion_to_its_ladder(tmp_path):
    """It cannot tell such labels, and knows broken motion all the same."""
    sizes = {"train": 400, "validation": 200, "test": 40}
    made = {split: shown_alone(count, seed) for seed, (split, count) in enumerate(sizes.items())}
    films, labels = ({split: pair[i] for split, pair in made.items()} for i in range(2))
    options = {"kimg": 4, "minimum_accuracy": 0.5}
    card = build(films, labels, tmp_path / "features", seed=0, kind="video", facts=FACTS, options=options)
    assert card["details"]["accuracy"] >= card["details"]["minimum_accuracy"] == 0.5
    assert card["motion"]["details"]["accuracy"] < 0.4
    ladder = card["motion"]["ladder"]
    assert 10 * ladder["real"] < min(ladder["shuffled_frames"], ladder["frozen"])


def test_a_companion_of_another_reference_is_refused(reference):
    reference.card["motion"]["hash"] = "another"
    with pytest.raises(FeatureError, match="does not belong to"):
        _ = reference.companion


def test_motion_as_the_judge_has_no_companion(tmp_path):
    films = {split: pair[0][:120] for split, pair in SPLITS.items()}
    build(films, {}, tmp_path / "motion", extractor="motion", seed=0, kind="video", facts=FACTS, options={"kimg": 3})
    reference = Reference.open(tmp_path / "motion")
    assert reference.companion is None
    found = measure(looked(reference, fresh()), reference, "test", seed=0)
    assert found["fd_motion"] > 0
    assert "motion_in_range" in found


def test_films_may_be_gated_by_their_motion():
    given = {"data": {"kind": "video"}, "model": {"architecture": "mocogan", "latent": 112}}
    gate = {"fd_motion": {"at_most": 20}, "motion_in_range": {"at_least": 0.5}}
    checks.check(config.parse({**given, "register": {"gate": gate, "improve": "fd_motion"}}))
    with pytest.raises(ConfigError, match=r"register.gate.fd_motion: unknown"):
        checks.check(config.parse({"register": {"gate": gate}}))
    with pytest.raises(ConfigError, match=r"model.options: latent: expected 112 for films of 8 frames"):
        checks.check(config.parse({**given, "model": {"architecture": "mocogan", "latent": 128}}))
    assert "FVD" not in " ".join(row.name + row.sentence for row in catalogue.METRICS)
