"""What may be tried together, and what is drawn."""

import itertools
import math

import pytest
from scipy import stats

from ganops import config
from ganops.config import Space
from ganops.core.errors import ConfigError
from ganops.experiment import checks
from ganops.search.space import corners, drawn, grid, is_active, ordered, sequence

WIDTHS = {"choice": [16, 32], "when": {"model.architecture": "dcgan"}}
TREE = {
    "model.options.width": WIDTHS,  # before what it depends on
    "model.architecture": {"choice": ["dcgan", "mlp"]},
    "model.options.depth": {"integer": [1, 3], "when": {"model.architecture": ["mlp"]}},
    "loss.r1": {"log_uniform": [0.1, 10], "points": 3},
}


def spaces(content):
    return config.parse({"tune": {"space": content}}).tune.space


def first(count, content, seed=0):
    return list(itertools.islice(sequence(spaces(content), seed), count))


@pytest.mark.parametrize(
    ("kind", "distribution"),
    [
        ({"uniform": [-1, 3]}, stats.uniform(-1, 4)),
        ({"log_uniform": [1e-4, 1]}, stats.loguniform(1e-4, 1)),
    ],
)
def test_ranges_are_drawn_as_they_say(kind, distribution):
    values = [trial["loss.r1"] for trial in first(2000, {"loss.r1": kind})]
    assert stats.kstest(values, distribution.cdf).pvalue > 0.01


@pytest.mark.parametrize("kind", [Space(integer=(3, 6)), Space(choice=(3, 4, 5, 6))])
def test_all_values_are_equally_likely(kind):
    counts = [0] * 7
    for number in range(4000):
        counts[drawn(kind, 0, number)] += 1
    assert counts[:3] == [0, 0, 0]
    assert stats.chisquare(counts[3:]).pvalue > 0.01


def test_a_trial_follows_from_seed_number_and_names_alone():
    small = {"loss.r1": {"uniform": [0, 1]}}
    large = {"train.beta1": {"uniform": [0, 0.9]}, **small}
    assert [trial["loss.r1"] for trial in first(20, large)] == [trial["loss.r1"] for trial in first(20, small)]
    assert first(20, large) == first(20, large)
    assert first(20, large, seed=1) != first(20, large)


def test_no_trial_is_drawn_twice_and_a_small_space_ends():
    found = list(sequence(spaces({"train.batch": {"choice": [8, 16]}, "train.d_steps": {"integer": [1, 3]}}), 0))
    assert len(found) == 6 == len({tuple(trial.values()) for trial in found})


def test_conditions_hold():
    for trial in first(200, TREE):
        assert ("model.options.width" in trial) == (trial["model.architecture"] == "dcgan")
        assert ("model.options.depth" in trial) == (trial["model.architecture"] == "mlp")


def test_the_grid_has_each_combination_once():
    found = list(grid(spaces(TREE)))
    assert len(found) == (2 + 3) * 3 == len({tuple(sorted(trial.items())) for trial in found})
    assert {round(trial["loss.r1"], 9) for trial in found} == {0.1, 1.0, 10.0}


def test_a_grid_of_a_range_needs_points():
    with pytest.raises(ConfigError, match=r"tune.space.loss.r1: a grid needs `points`"):
        grid(spaces({"loss.r1": {"uniform": [0, 1]}}))


def test_points_of_integers_are_whole_and_have_the_bounds():
    found = [trial["train.batch"] for trial in grid(spaces({"train.batch": {"integer": [2, 64], "points": 4}}))]
    assert found == [2, 23, 43, 64]


def test_alternatives_exclude_one_another():
    choice = {"model.architecture": {"choice": ["dcgan", "r3gan"]}}
    one, other = (
        {"choice": [width], "when": {"model.architecture": name}} for name, width in (("dcgan", 8), ("r3gan", 9))
    )
    pairs = {(trial["model.architecture"], trial["x"]) for trial in grid(spaces_of(choice, [one, other]))}
    assert pairs == {("dcgan", 8), ("r3gan", 9)}
    with pytest.raises(ConfigError, match=r"two of its alternatives hold at once: model\.architecture dcgan"):
        list(corners(spaces_of(choice, [one, {"choice": [1]}])))


def spaces_of(choice, alternatives):
    kinds = {path: Space(**kind) for path, kind in choice.items()}
    return {**kinds, "x": tuple(Space(**kind) for kind in alternatives)}


def test_true_is_not_one():
    assert not is_active(Space(uniform=(0, 1), when={"flag": True}), {"flag": 1})
    assert is_active(Space(uniform=(0, 1), when={"flag": True}), {"flag": True})


def test_each_value_is_met_in_the_corners_of_a_large_space():
    many = {f"x{i}": Space(choice=tuple(range(7))) for i in range(6)}
    found = list(corners(many))
    assert len(found) == 300
    assert all({values[path] for values in found} == set(range(7)) for path in many)
    assert len({math.prod(values[path] + 1 for path in many) for values in found}) > 50  # not in lockstep


def test_conditions_come_first():
    names = [path for path, _, _ in ordered(spaces(TREE))]
    assert names.index("model.architecture") < names.index("model.options.width")


R1 = {"loss.r1": {"uniform": [0, 1]}}
BAD = {
    "unknown key": ({"loss.r1": {"unifrom": [0, 1]}}, {}, "loss.r1.unifrom: unknown; did you mean uniform"),
    "unknown path": ({"loss.r3": {"uniform": [0, 1]}}, {}, "with loss.r3 0.0: params.loss.r3: unknown"),
    "other section": ({"data.resolution": {"choice": [16]}}, {}, "only parameters of model, loss and train"),
    "reversed bounds": ({"loss.r1": {"uniform": [1, 0]}}, {}, "the lower bound 1 is not below the upper bound 0"),
    "log of zero": ({"loss.r1": {"log_uniform": [0, 1]}}, {}, "loss.r1.log_uniform.0: expected greater than 0, got 0"),
    "empty choice": ({"loss.r1": {"choice": []}}, {}, "loss.r1.choice: expected at least 1 value, got none"),
    "nothing": ({"loss.r1": {}}, {}, "expected exactly one of choice, integer, log_uniform and uniform"),
    "two kinds": ({"loss.r1": {"choice": [1], "uniform": [0, 1]}}, {}, "expected exactly one of"),
    "no section": ({"loss.r1": 3}, {}, "loss.r1: expected a section of keys and values, got 3"),
    "impossible value": ({"train.beta1": {"uniform": [0.5, 1]}}, {}, "with train.beta1 1.0: params.train.beta1: "),
    "wrong kind": ({"train.batch": {"uniform": [8, 9.5]}}, {}, "with train.batch 9.5: params.train.batch: expected"),
    "unknown name": ({"model.architecture": {"choice": ["dcgan", "gan"]}}, {}, "unknown 'gan'; known: began"),
    "impossible together": (
        {"model.architecture": {"choice": ["dcgan", "mlp"]}, "model.options.norm": {"choice": ["batch", "none"]}},
        {}, "with model.architecture mlp, model.options.norm batch: params.model.options",
    ),
    "condition on nothing": (
        {**R1, "loss.r2": {"uniform": [0, 1], "when": {"loss.name": "hinge"}}}, {}, "expected a choice of this space",
    ),
    "condition never true": (
        {"loss.name": {"choice": ["hinge"]}, "loss.r2": {"uniform": [0, 1], "when": {"loss.name": "began"}}},
        {}, "when.loss.name: 'began' is not among its values hinge",
    ),
    "circle": (
        {"loss.r1": {"choice": [1], "when": {"loss.r2": 1}}, "loss.r2": {"choice": [1], "when": {"loss.r1": 1}}},
        {}, "conditions of loss.r1, loss.r2 depend on one another",
    ),
    "points of a choice": ({"loss.r1": {"choice": [1], "points": 3}}, {}, "points belong to a range"),
    "judging": ({"train.validation_samples": {"choice": [500, 2000]}}, {}, "is how trials are judged"),
    "grid of a range": (R1, {"search": "grid"}, "a grid needs `points`"),
    "unknown metric": (R1, {"limits": {"covrage": {"at_least": 0.1}}}, "unknown 'covrage'; known: alarms, precision"),
    "population of weights": (
        {"model.options.width": {"choice": [8, 16]}}, {"scheduler": "pbt"}, "cannot change while a training goes on",
    ),
    "population of one": (R1, {"scheduler": "pbt", "trials": 1}, "at least 2 members, got 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_space_is_refused_with_its_path_before_anything_starts(name):
    space, rules, words = BAD[name]
    with pytest.raises(ConfigError) as refused:
        checks.check(config.parse({"tune": {"space": space, **rules}}))
    assert words in str(refused.value)


def test_the_workers_of_a_trial_must_share_every_batch():
    space = {"train.batch": {"choice": [2, 33]}}
    with pytest.raises(ConfigError, match=r"with train\.batch 2: .*3 workers cannot share a batch of 2 samples"):
        checks.check(config.parse({"tune": {"space": space}, "compute": {"trial": {"workers": 3}}}))
    with pytest.raises(ConfigError, match=r"each of 2 workers needs one of its own, got 0\.5"):
        config.parse({"compute": {"trial": {"workers": 2, "gpus": 0.5}}})
