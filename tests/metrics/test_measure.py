"""Figures of texts in a measurement: their likelihood with floor and interval, and exact copies."""

import numpy as np
import pytest
from languages import FACTS, chain, extractor

from ganops.core.errors import FeatureError
from ganops.metrics.extractors import EXTRACTORS
from ganops.metrics.measure import Generated, compare, floors, measure
from ganops.metrics.reference import Reference, build


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "features"
    splits = {"train": chain(1500, 0), "validation": chain(400, 1), "test": chain(400, 2)}
    made = extractor()  # trained once for all files
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EXTRACTORS["language"], "make", lambda *_, **__: made)
        card = build(splits, {}, folder, extractor="language", seed=0, kind="text", facts=FACTS)
    assert card["protocol"]["quantisation"] == "words, numbers"
    return Reference.open(folder)


def looked(texts):
    features, _ = extractor().features(texts)
    return Generated(features, texts=texts, nll=extractor().nll(texts))


def test_texts_and_their_likelihood_lie_beside_the_features(reference):
    assert (reference.texts("test") == chain(400, 2)).all()
    assert reference.nll("test") == pytest.approx(extractor().nll(chain(400, 2)))
    assert "nll_language" in reference.blind
    assert "fd_language" not in reference.blind
    assert "on these texts" in reference.summary("text")


def test_the_likelihood_stands_beside_its_floor_and_in_an_interval(reference):
    found = measure(looked(chain(400, 7)), reference, "test", seed=0)
    floor = floors(reference, "test", 400, seed=0)
    assert floor["nll_language"] == reference.nll("test").mean()
    low, high = found["intervals"]["nll_language"]
    assert low < found["nll_language"] < high
    # as wide as the standard error of a mean says
    error = extractor().nll(chain(400, 7)).std() / 20
    assert (high - low) / 2 == pytest.approx(1.98 * error, rel=0.3)
    assert found["protocol"]["texts"]["copied_ngrams"] == 4


def test_copies_of_training_texts_are_all_found(reference):
    found = measure(looked(chain(1500, 0)[:300]), reference, "test", seed=0)
    assert found["exact_copies"] == found["copied_ngrams"] == 1
    assert found["exact_copies_held_out"] < 1
    honest = measure(looked(chain(400, 2)), reference, "test", seed=0)
    for name in ("exact_copies", "copied_ngrams", "self_bleu"):
        assert honest[name] == honest[f"{name}_held_out"]


def test_two_generators_are_compared_in_it(reference):
    cold = compare(looked(chain(400, 7)), looked(chain(400, 7, 0.6)), reference, "test", seed=0)
    assert cold["nll_language"].by.high < 0 < cold["fd_language"].by.low


def test_an_extractor_that_does_not_read_texts_is_refused(tmp_path):
    with pytest.raises(FeatureError, match=r"features\.extractor: expected language or oracle for texts, got domain"):
        build({"train": chain(50, 0)}, {}, tmp_path / "out", extractor="domain", seed=0, kind="text", facts=FACTS)
    images = {"train": np.zeros((50, 1, 16, 16), np.uint8)}
    with pytest.raises(FeatureError, match="for images, got language"):
        build(images, {}, tmp_path / "out", extractor="language", seed=0)
