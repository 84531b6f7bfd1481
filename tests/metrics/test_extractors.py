import numpy as np
import pytest

from ganops.metrics.extractors import EXTRACTORS
from ganops.metrics.extractors.extractor import Extractor, hash_weights


@pytest.mark.parametrize("name", EXTRACTORS)
def test_every_extractor_keeps_the_contract(name):
    extractor = EXTRACTORS[name]
    assert issubclass(extractor, Extractor)
    assert extractor.name == name
    assert extractor.dimensions > 0
    assert not getattr(extractor, "__abstractmethods__", None)


def test_the_hash_is_of_the_values_not_of_their_order():
    import torch

    a, b = torch.arange(6.0).reshape(2, 3), torch.ones(2)
    assert hash_weights({"a": a, "b": b}) == hash_weights({"b": b, "a": a})
    assert hash_weights({"a": a.T.contiguous().T, "b": b}) == hash_weights({"a": a, "b": b})
    others = [{"a": a + 1, "b": b}, {"c": a, "b": b}, {"a": a.reshape(3, 2), "b": b}, {"a": a.double(), "b": b}]
    assert hash_weights({"a": a, "b": b}) not in {hash_weights(other) for other in others}
    assert len(np.unique([hash_weights(other) for other in others])) == 4
