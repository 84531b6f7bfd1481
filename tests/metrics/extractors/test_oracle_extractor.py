import numpy as np
import pytest
import torch

from ganops.core.errors import FeatureError
from ganops.core.oracle import OracleNetwork
from ganops.metrics.extractors import Oracle

WORDS, LENGTH = 7, 5
FACTS = {"words": [f"w{i}" for i in range(WORDS)], "by": "words"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("oracle")
    OracleNetwork.drawn(words=WORDS, length=LENGTH, hidden=4, embedding=3, seed=0).save(path)
    return path


def texts(count, seed):
    return np.random.default_rng(seed).integers(0, WORDS, (count, LENGTH)).astype(np.uint16)


def make(folder, **options):
    return Oracle.make(texts(200, 0), None, texts(50, 1), None, seed=0, facts=FACTS, weights=str(folder), **options)


def by_hand(network, text):
    """-log p of a text, and its features before they are scaled, by the equations of an LSTM, in float64."""
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    size, nats, states = network.hidden, 0.0, []
    h = c = np.zeros(size)
    for before, word in zip([0, *text], [*text, None], strict=True):
        gates = w["recurrent.weight_ih_l0"] @ w["embedding.weight"][before] + w["recurrent.bias_ih_l0"]
        gates = gates + w["recurrent.weight_hh_l0"] @ h + w["recurrent.bias_hh_l0"]
        i, f, g, o = gates.reshape(4, size)
        i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        states.append(h)
        if word is not None:
            logits = w["writer.weight"] @ h + w["writer.bias"]
            nats += np.log(np.exp(logits).sum()) - logits[word]
    return nats, np.append(np.mean(states[1:], axis=0), nats / len(text))


def test_likelihood_and_features_are_those_of_the_equations(folder):
    made, network, some = make(folder), OracleNetwork.load(folder), texts(5, 2)
    hand = [by_hand(network, text.tolist()) for text in some]
    assert made.nll(some) == pytest.approx([nats for nats, _ in hand], rel=1e-5)
    mean, deviation = made.scale.numpy()
    expected = (np.stack([features for _, features in hand]) - mean) / deviation
    assert made.features(some)[0] == pytest.approx(expected, abs=1e-4)


def test_features_have_unit_variance_and_there_are_no_classes(folder):
    features, probabilities = make(folder).features(texts(200, 0))
    assert probabilities is None
    assert features.std(0) == pytest.approx(np.ones(5), abs=1e-3)


def test_the_weights_travel_with_it(folder, tmp_path):
    made = make(folder)
    made.save(tmp_path)
    loaded = Oracle.load(tmp_path)
    assert loaded.hash == made.hash
    assert (loaded.nll(texts(9, 3)) == made.nll(texts(9, 3))).all()
    assert (loaded.features(texts(9, 3))[0] == made.features(texts(9, 3))[0]).all()
    assert torch.equal(loaded.network.embedding.weight, OracleNetwork.load(folder).embedding.weight)


def test_a_folder_that_holds_none_and_a_language_that_is_another_are_refused(folder, tmp_path):
    with pytest.raises(FeatureError, match=r"features\.weights: expected the folder of an oracle, got .*nowhere"):
        make(tmp_path / "nowhere")
    with pytest.raises(FeatureError, match=r"features\.weights: expected the folder of an oracle .*got none"):
        Oracle.make(texts(20, 0), None, texts(20, 1), None, seed=0, facts=FACTS)
    with pytest.raises(FeatureError, match="has texts of 5 of 7 words, the data are of 4 of 7"):
        Oracle.make(texts(20, 0)[:, :4], None, texts(20, 1)[:, :4], None, seed=0, facts=FACTS, weights=str(folder))
