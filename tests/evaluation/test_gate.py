"""The gate: limits, and an improvement that is no chance."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ganops.core.errors import RegistryError
from ganops.data import Prepared
from ganops.evaluation.comparison import Comparison, of_samplers
from ganops.evaluation.gate import Check, Rival, check_gate, decide
from ganops.kinds import Spec
from ganops.metrics.intervals import COVERS, Interval
from ganops.metrics.measure import Difference
from ganops.metrics.protocol import SELECTED
from ganops.metrics.reference import Reference

METRICS = {"fd_domain": 5.0, "coverage": 0.5}


def rival(**differences):
    """A champion from which a challenger differs by (difference, margin)."""
    figures = {
        name: Difference(10.0, 10.0 + by, Interval(by, by - margin, by + margin))
        for name, (by, margin) in differences.items()
    }
    return Rival(3, Comparison(figures, 100, "test", singular=False))


def test_limits_themselves_pass():
    assert check_gate({}, {}) == []
    gate = {"fd_domain": {"at_most": 5}, "coverage": {"at_least": 0.4, "at_most": 0.45}}
    assert [check.passed for check in check_gate(gate, METRICS)] == [True, True, False]
    with pytest.raises(RegistryError, match="expected at_most or at_least, got below"):
        check_gate({"fd_domain": {"below": 5}}, METRICS)
    with pytest.raises(RegistryError, match="has no fid; known: coverage, fd_domain"):
        decide({"fid": {"at_most": 5}}, METRICS)
    with pytest.raises(RegistryError, match="the evaluation has no fid_infinity: too few samples"):
        decide({"fid_infinity": {"at_most": 5}}, METRICS, left_out={"fid_infinity": "too few samples"})


def test_a_value_and_its_limit_are_told_apart():
    told = [Check("fd", value, {"at_most": 5}, value <= 5).words for value in (5.0004, 5.0, 4.99996, 12.3456)]
    expected = [
        "fd 5.0004 is not at most 5",
        "fd 5 is at most 5",
        "fd 4.99996 is at most 5",
        "fd 12.35 is not at most 5",
    ]
    assert told == expected


def test_its_words_claim_no_more_than_the_intervals_hold():
    beside = rival(fd_domain=(-1, 0.5))
    assert COVERS == "over latents and real samples, not over training seeds"
    assert f"[-1.5, -0.5] (95 %, {COVERS}): better" in decide({}, METRICS, rival=beside).words
    assert COVERS in beside.comparison.table().title
    assert (beside.content()["intervals"], beside.content()["selected"]) == (COVERS, SELECTED)


@pytest.mark.parametrize(
    ("differences", "improve", "passed", "words"),
    [
        ({"fd_domain": (-1, 0.5)}, "auto", True, "better"),
        ({"fd_domain": (-1, 1.5)}, "auto", False, "no difference shown"),
        ({"fd_domain": (0, 0)}, "auto", False, "no difference shown"),
        ({"fd_domain": (1, 0.5)}, "auto", False, "worse"),
        ({"fd_domain": (1, 0.5), "coverage": (0.2, 0.1)}, "coverage", True, "better"),
        ({"fd_domain": (-1, 0.5), "coverage": (-0.2, 0.1)}, "coverage", False, "worse"),
        ({"fd_domain": (1, 0.5)}, "none", True, None),
    ],
)
def test_a_champion_must_be_beaten_beyond_chance(differences, improve, passed, words):
    decision = decide({"coverage": {"at_least": 0.5}}, METRICS, improve=improve, rival=rival(**differences))
    assert decision.passed == passed
    assert decision.over == 3
    if words is None:
        assert decision.improvement is None
    else:
        assert decision.improvement.reason.endswith(f": {words}")
    assert decision.words.startswith("Passed the gate" if passed else "Did not pass the gate")


def test_limits_and_improvement_are_both_asked():
    decision = decide({"coverage": {"at_least": 0.6}}, METRICS, rival=rival(fd_domain=(-1, 0.5)))
    assert decision.reasons == ["coverage 0.5 is not at least 0.6"]
    content = decision.content()
    assert content["improvement"]["passed"]
    assert content["improvement"]["interval"] == [-1.5, -0.5]
    assert not content["passed"]


def test_the_champion_says_by_what_it_became_that():
    then = decide({"coverage": {"at_least": 0.5}}, METRICS, rival=rival(fd_domain=(-1, 0.5)))
    now = {
        "Passed the gate: coverage 0.5 is at least 0.5. ": decide({"coverage": {"at_least": 0.5}}, METRICS),
        "Did not pass the gate: coverage 0.5 is not at least 0.6. ": decide({"coverage": {"at_least": 0.6}}, METRICS),
        "": decide({}, METRICS),
    }
    for own, decision in now.items():
        again = replace(decision, standing=then.words)
        assert again.words == f"{own}It is the champion already: {then.words}"
        assert (again.passed, again.content()["standing"]) == (decision.passed, then.words)
        same = replace(decision, standing=decision.words)
        assert (same.words, same.content()["standing"]) == (decision.words, ""), "nothing more is known"


def test_what_cannot_be_compared_is_left_to_a_person():
    decision = decide({}, METRICS, rival=Rival(2, None, "it draws 16 x 16 x 1 images, the challenger 32 x 32 x 1"))
    assert decision.reasons == [
        "cannot be compared with the champion v2: it draws 16 x 16 x 1 images, the challenger 32 x 32 x 1"
    ]
    assert decide({}, METRICS, improve="none", rival=Rival(2, None, "it is another thing")).passed


def test_a_metric_without_an_interval_is_refused():
    with pytest.raises(RegistryError, match=r"expected auto, none or one of fd_domain; got coverag"):
        decide({}, METRICS, improve="coverag", rival=rival(fd_domain=(0, 1)))


@dataclass
class Noisy:
    """Draws training images under noise, as a generator of that quality would."""

    images: np.ndarray
    sigma: float
    world: int
    """Two with different worlds are two generators of the same quality."""

    @property
    def spec(self):
        return Spec("image", self.images.shape[1:])

    def sample(self, seeds):
        drawn = []
        for seed in seeds:
            random = np.random.default_rng([self.world, int(seed)])
            image = self.images[random.integers(len(self.images))]
            drawn.append(np.clip(image + random.normal(0, self.sigma, image.shape), 0, 255))
        return np.array(drawn).astype(np.uint8)


@pytest.mark.slow
def test_better_ones_pass_equal_ones_do_not_and_worse_ones_never(featured):
    """20 repetitions each; 95 % two-sided: one equal generator in 40 looks better by chance."""
    reference = Reference.open(featured.folder / "artifacts/features")
    images = np.asarray(Prepared.open(featured.folder / "data/prepared").samples("train"))
    passed = dict.fromkeys(("better", "equal", "worse"), 0)
    for repetition in range(20):
        champion = Noisy(images, 40, 2 * repetition)
        for kind, sigma in (("better", 30), ("equal", 40), ("worse", 50)):
            other = Noisy(images, sigma, 2 * repetition + 1)
            found = of_samplers(champion, other, reference, samples=300, split="test", seed=repetition)
            passed[kind] += decide({}, {}, rival=Rival(1, found)).passed
    print(f"promoted of 20: {passed}")
    assert passed["better"] == 20
    assert passed["equal"] <= 3  # more has a chance of 0.2 %
    assert passed["worse"] == 0
