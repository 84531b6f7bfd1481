from itertools import pairwise, product

import numpy as np
import pytest
import torch
from languages import FACTS, LENGTH, WORDS, chain, extractor, nll

from ganops.core.errors import FeatureError
from ganops.metrics.extractors import Domain, Language, language
from ganops.metrics.extractors.language import Network


def make(count=100, labels=None, seed=0, **options):
    held_out = None if labels is None else chain(60, 1)[:, 0] % 2
    return Language.make(chain(count, 0), labels, chain(60, 1), held_out, seed=seed, facts=FACTS, **options)


def test_it_learns_the_language():
    """Gibbs' inequality: no model's nats of its texts are below the language's own, and this one's are near them."""
    texts = chain(2000, 5)
    truth, found = nll(texts).mean(), extractor().nll(texts).mean()
    uniform = (np.minimum((texts > 0).sum(1) + 1, LENGTH) * np.log(WORDS)).mean()
    assert truth < found < truth + 0.1 * (uniform - truth)


@pytest.mark.parametrize("ends", [True, False])
def test_the_likelihood_is_a_distribution(ends):
    """Over all texts, padded behind their end where they have one, the probabilities sum to 1."""
    torch.manual_seed(0)
    texts = np.array(list(product(range(4), repeat=3)), np.uint16)
    if ends:
        texts = texts[[all(b == 0 for a, b in pairwise(t) if a == 0) for t in texts.tolist()]]
    card = {"vocabulary": 4, "length": 3, "ends": ends, "classes": 0}
    assert np.exp(-Language(Network(4, 0, ends), "", card, "cpu").nll(texts)).sum() == pytest.approx(1, rel=1e-5)


def test_padding_enters_no_figure():
    """Two texts that differ behind their end alone are one text."""
    text = chain(1, 0)
    text[0, 4:] = 0
    other = text.copy()
    other[0, 5:] = 3
    assert extractor().nll(text) == extractor().nll(other)
    assert (extractor().features(text)[0] == extractor().features(other)[0]).all()


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path, monkeypatch):
    monkeypatch.setattr(language, "ROUNDS", 1)
    one, two, other = make(), make(), make(seed=1)
    texts = chain(30, 2)
    assert one.hash == two.hash != other.hash
    one.save(tmp_path)
    loaded = Language.load(tmp_path)
    for again in (two, loaded):
        assert (again.features(texts)[0] == one.features(texts)[0]).all()
        assert (again.nll(texts) == one.nll(texts)).all()
    assert loaded.card == one.card


def test_features_have_unit_variance_and_do_not_depend_on_the_batch():
    features, probabilities = extractor().features(chain(1500, 0))
    assert probabilities is None
    assert np.abs(features.mean(0)).max() < 1e-3
    assert np.abs(features.std(0) - 1).max() < 1e-2
    assert extractor().features(chain(1500, 0), batch=7)[0] == pytest.approx(features, abs=1e-4)


def test_the_card_says_how_good_it_is():
    card = extractor().card
    assert card["vocabulary"] == WORDS
    assert card["perplexity"] == pytest.approx(np.exp(card["nll_word"]))
    lengths = np.minimum((chain(400, 1) > 0).sum(1) + 1, LENGTH)  # its end is a word that it must expect
    assert card["nll_word"] == pytest.approx(card["nll"] / lengths.mean())
    assert card["nll"] == pytest.approx(extractor().nll(chain(400, 1)).mean())


def test_with_labels_it_is_a_classifier(monkeypatch):
    monkeypatch.setattr(language, "ROUNDS", 3)
    labels = chain(400, 0)[:, 0] % 2
    made = make(400, labels)
    _, probabilities = made.features(chain(60, 1))
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    assert made.card["accuracy"] > made.card["chance"]


def test_what_it_cannot_read_is_refused_in_words():
    texts = chain(20, 0)
    with pytest.raises(FeatureError, match=r"expected texts uint16 \[N, L\], N >= 1; got int64"):
        extractor().features(texts.astype(np.int64))
    with pytest.raises(FeatureError, match="reads texts of 10 words of a vocabulary of 14, got 9 words"):
        extractor().features(texts[:, :9])
    with pytest.raises(FeatureError, match="numbers up to 99"):
        extractor().nll(np.full_like(texts, 99))
    with pytest.raises(FeatureError, match="at least 10 texts, got 5"):
        make(5)
    with pytest.raises(FeatureError, match="domain extractor has no likelihood"):
        Domain.nll(object.__new__(Domain), texts)
