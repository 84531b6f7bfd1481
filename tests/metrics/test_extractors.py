import numpy as np
import pytest

from ganops.core.errors import FeatureError
from ganops.metrics.extractors import EXTRACTORS
from ganops.metrics.extractors.extractor import Extractor, hash_weights

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 1, 32, 32), np.uint8)


@pytest.mark.parametrize("name", [name for name, extractor in EXTRACTORS.items() if "image" in extractor.kinds])
def test_every_extractor_of_images_keeps_the_contract(name, torch_home, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    made = EXTRACTORS[name].make(IMAGES, None, IMAGES, None, seed=0)
    assert isinstance(made, Extractor)
    assert made.name == name
    assert not made.published
    features, probabilities = made.features(IMAGES[:3])
    assert features.dtype == np.float32
    assert features.shape == (3, made.dimensions)
    assert made.classifier or probabilities is None
    # in any batch: processors round differently, reduced precision the most
    np.testing.assert_allclose(made.features(IMAGES[2:5])[0][0], features[2], rtol=0.1, atol=0.02 * features.max())

    made.save(tmp_path)
    loaded = EXTRACTORS[name].load(tmp_path)
    assert (loaded.hash, loaded.card, loaded.dimensions) == (made.hash, made.card, made.dimensions)
    np.testing.assert_array_equal(loaded.features(IMAGES[:3])[0], features)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(FeatureError, match="is missing"):
        EXTRACTORS[name].load(tmp_path)


def test_the_hash_is_of_the_values_not_of_their_order():
    import torch

    a, b = torch.arange(6.0).reshape(2, 3), torch.ones(2)
    assert hash_weights({"a": a, "b": b}) == hash_weights({"b": b, "a": a})
    assert hash_weights({"a": a.T.contiguous().T, "b": b}) == hash_weights({"a": a, "b": b})
    others = [{"a": a + 1, "b": b}, {"c": a, "b": b}, {"a": a.reshape(3, 2), "b": b}, {"a": a.double(), "b": b}]
    assert hash_weights({"a": a, "b": b}) not in {hash_weights(other) for other in others}
    assert len(np.unique([hash_weights(other) for other in others])) == 4
