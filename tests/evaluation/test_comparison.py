"""Two generators side by side, through the command line."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from ganops.cli import app
from ganops.core.errors import FeatureError, UserError
from ganops.core.labels import class_labels
from ganops.core.terminal import console
from ganops.evaluation.comparison import of_samplers
from ganops.generator import Description, Generator, generator_network
from ganops.kinds import Spec
from ganops.metrics.reference import Reference

DESCRIPTION = Description("dcgan", {"width": 4}, 8, 10, tuple("0123456789"), (1, 16, 16), 0.0, "f")


@pytest.fixture
def at_home(featured, tmp_path, monkeypatch):
    """A project's folder with two untrained generators of one shape and one of another in `tmp_path`."""
    monkeypatch.chdir(featured.folder)
    for name, resolution in (("one", 16), ("other", 16), ("large", 32)):
        description = dataclasses.replace(DESCRIPTION, shape=(1, resolution, resolution))
        Generator(generator_network(description), description).save(tmp_path / name)
    return tmp_path


@dataclasses.dataclass
class Drawer:
    """Draws noise, and notes for which labels."""

    classes: int
    class_counts: tuple[int, ...]
    spec: Spec = dataclasses.field(default_factory=lambda: Spec("image", (1, 16, 16)))
    asked: list = dataclasses.field(default_factory=list)

    def sample(self, seeds, labels=None):
        self.asked.append(labels)
        return np.random.default_rng([int(seeds[0])]).integers(0, 256, (len(seeds), 1, 16, 16), np.uint8)


@pytest.mark.parametrize(
    ("one", "other", "drawn"),
    [
        (Drawer(3, (1, 1, 1)), Drawer(3, (8, 1, 1)), [(8, 1, 1), (8, 1, 1)]),
        (Drawer(3, ()), Drawer(3, (8, 1, 1)), [(8, 1, 1), (8, 1, 1)]),
        (Drawer(3, (8, 1, 1)), Drawer(3, ()), [(8, 1, 1), (8, 1, 1)]),
        (Drawer(2, (9, 1)), Drawer(3, (8, 1, 1)), [(9, 1), (8, 1, 1)]),
        (Drawer(0, ()), Drawer(3, (8, 1, 1)), [None, (8, 1, 1)]),
    ],
)
def test_both_draw_the_labels_of_the_challengers_training(featured, one, other, drawn):
    reference = Reference.open(featured.folder / "artifacts/features")
    of_samplers(one, other, reference, samples=100, split="validation", seed=0)
    for side, counts in zip((one, other), drawn, strict=True):
        (labels,) = side.asked
        assert (
            labels is None if counts is None else np.array_equal(labels, class_labels(10**6 + np.arange(100), counts))
        )


def compare(*arguments):
    result = CliRunner().invoke(app, ["compare", *map(str, arguments), "--samples", "200"])
    console.quiet = False
    return result


def figures(*arguments):
    return json.loads(compare(*arguments, "--json").stdout)


def test_a_generator_differs_from_itself_by_nothing(at_home):
    for figure in figures(at_home / "one", at_home / "one")["metrics"].values():
        assert figure["interval"] == [0, 0]
        assert figure["other_is"] == "no difference shown"


def test_another_is_better_or_worse_or_neither(at_home):
    found = figures(at_home / "one", at_home / "other")
    assert (found["samples"], found["split"], found["singular"]) == (200, "validation", False)
    for figure in found["metrics"].values():
        low, high = figure["interval"]
        assert low <= figure["difference"] <= high
        assert figure["difference"] == pytest.approx(figure["other"] - figure["one"])
        assert (figure["other_is"] == "no difference shown") == (low <= 0 <= high)
    assert "fd_domain" in compare(at_home / "one", at_home / "other").stdout


def test_what_cannot_be_compared_is_refused(at_home):
    shapes = compare(at_home / "one", at_home / "large").exception
    assert isinstance(shapes, UserError)
    assert "expected samples of one shape, got 1 x 16 x 16 images and 1 x 32 x 32 images" in str(shapes)
    assert "holds no generator" in str(compare(at_home / "one", at_home / "none").exception)
    weights = at_home / "large" / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    damaged = compare(at_home / "one", at_home / "large").exception
    assert isinstance(damaged, UserError)
    assert "large holds a generator that is damaged or of another version" in str(damaged)
    split = compare(at_home / "one", at_home / "other", "--split", "tests").exception
    assert isinstance(split, FeatureError)
    assert "no reference features of the split 'tests'" in str(split)


def test_texts_of_two_vocabularies_are_not_compared():
    """A number is one word here and another there: features of the one would be nonsense of the other."""
    one, other = (
        SimpleNamespace(spec=Spec("text", (6,), 0, {"words": ["", "<unk>", *words], "by": "words"}), classes=0)
        for words in (("a", "dog"), ("dog", "a"))
    )
    assert one.spec.words == other.spec.words == "texts of 6 words"
    with pytest.raises(UserError, match="expected texts of one vocabulary, got two"):
        of_samplers(one, other, None, samples=40, split="test", seed=0)
