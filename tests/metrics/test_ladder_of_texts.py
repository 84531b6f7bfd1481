"""The ladder of texts: what the distance and the likelihood see of each harm, and what neither may decide."""

import numpy as np
import pytest
from languages import FACTS, chain, extractor

from ganops.core.errors import FeatureError
from ganops.metrics import sight
from ganops.metrics.extractors import Oracle
from ganops.metrics.ladder import climb, judge, look


@pytest.fixture(scope="module")
def rungs():
    return look(extractor(), chain(1500, 0), chain(800, 3), None, seed=0, kind="text", facts=FACTS)


def test_distance_and_likelihood_climb(rungs):
    ladder = judge("language", rungs, "text")
    for ending in ("", "_nll"):
        step = {name.removesuffix(ending): value for name, value in ladder.items() if name.endswith(ending)}
        assert step["real"] < step["faint_replaced"] < step["strong_replaced"] < step["noise"]
        assert step["real"] < min(step["shuffled_words"], step["mixed_words"])
    assert ladder["repeated"] > ladder["strong_replaced"]


def test_the_likelihood_is_blind_to_one_text_repeated_and_the_distance_is_not(rungs):
    blind = sight.blind(sight.examine(rungs, seed=0))
    assert {"repeated", "few"} <= {*blind["nll"]}
    assert not {"noise", "mixed_words", "shuffled_words"} & {*blind["nll"]}
    assert "fd" not in blind
    assert sight.blindness(blind["nll"], "text").endswith("few repeated texts, one repeated text on these texts")


class Deaf:
    """Features that have nothing to do with the text, and a likelihood that is the same for all."""

    name = "deaf"

    def features(self, texts, batch=None):
        return np.random.default_rng(len(texts)).normal(size=(len(texts), 4)).astype(np.float32), None

    def nll(self, texts):
        return np.ones(len(texts))


def test_an_extractor_that_does_not_read_is_refused_in_words_that_fit_texts():
    expected = r"the extractor deaf does not deserve trust on these texts: (.|\n)*real_nll \(1\) is not below"
    with pytest.raises(FeatureError, match=expected) as refused:
        climb(Deaf(), chain(300, 0), chain(300, 1), seed=0, kind="text", facts=FACTS)
    assert "image" not in str(refused.value)
    with pytest.raises(FeatureError, match="needs 12 texts a side, got 300 and 5"):
        climb(Deaf(), chain(300, 0), chain(5, 1), seed=0, kind="text", facts=FACTS)


def test_the_true_model_holds_as_well(tmp_path):
    """An oracle's texts have no end: a 0 is a word of its own."""
    from ganops.core.oracle import OracleNetwork

    network = OracleNetwork.drawn(words=20, length=8, hidden=8, embedding=8, seed=0)
    network.save(tmp_path)
    real, held_out = network.sample(2000, 1).numpy().astype(np.uint16).reshape(2, 1000, 8)
    facts = {"words": [f"w{i}" for i in range(20)], "by": "words"}
    made = Oracle.make(real, None, held_out, None, seed=0, facts=facts, weights=str(tmp_path))
    ladder = climb(made, real, held_out, seed=0, kind="text", facts=facts)
    assert ladder["real_nll"] == pytest.approx(network.floor().text, rel=0.05)
    assert ladder["noise_nll"] == pytest.approx(network.uniform().text, rel=0.05)
