from unittest import mock
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ganops.core.errors import FeatureError
from ganops.core.files import hash_file
from ganops.metrics.extractors.inception import FILE, Inception, fid_inception, find_weights
from ganops.metrics.extractors.inception_bf16 import InceptionBF16
from ganops.metrics.frechet import Statistics, frechet_distance

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 1, 40, 32), np.uint8)


@pytest.fixture
def extractor(torch_home, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    return Inception.make(IMAGES, None, IMAGES, None, seed=0)


def test_the_network_is_that_of_pytorch_fid_bit_for_bit(torch_home, monkeypatch):
    from pytorch_fid.inception import fid_inception_v3

    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    theirs, ours = fid_inception_v3().eval(), fid_inception()  # theirs finds the same file by its own way
    ours.load_state_dict(torch.load(torch_home / "hub" / "checkpoints" / FILE, weights_only=True))
    assert repr(ours) == repr(theirs)
    with torch.no_grad():
        x = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(0))
        assert torch.equal(ours(x), theirs(x))


def test_agrees_with_pytorch_fid_and_comes_back_from_its_folder(extractor, tmp_path):
    from pytorch_fid.inception import InceptionV3

    features, probabilities = extractor.features(IMAGES)
    peer = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()  # finds the same file by its own way
    with torch.no_grad():
        expected = peer(torch.from_numpy(IMAGES.repeat(3, axis=1)) / 255)[0].flatten(1).numpy()
    assert expected.std() > 0.1
    assert np.linalg.norm(features - expected) < 3e-6 * np.linalg.norm(expected)
    assert probabilities.shape == (2, 1008)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)

    extractor.save(tmp_path)
    loaded = Inception.load(tmp_path)
    assert (loaded.hash, loaded.published) == (extractor.hash, False)
    np.testing.assert_array_equal(loaded.features(IMAGES)[0], features)


def test_norms_are_folded_but_what_is_kept_are_the_tensors_of_the_file(extractor, torch_home, tmp_path):
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in extractor.network.modules())
    file = torch_home / "hub" / "checkpoints" / FILE
    assert extractor.hash == hash_file(file)
    extractor.save(tmp_path)
    published, kept = torch.load(file, weights_only=True), load_file(tmp_path / "weights.safetensors")
    assert published.keys() == kept.keys()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in published.items())


def test_the_distance_is_that_of_pytorch_fid(extractor):
    """Of every eighth feature, so that the test is quick."""
    from pytorch_fid.inception import InceptionV3

    images = np.random.default_rng(1).integers(0, 256, (24, 3, 32, 32), np.uint8)
    images[12:] //= 2
    peer = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    with torch.no_grad():
        expected = peer(torch.from_numpy(images) / 255)[0].flatten(1).numpy()
    found, expected = (
        frechet_distance(Statistics.of(x[:12, ::8]), Statistics.of(x[12:, ::8]))
        for x in (extractor.features(images)[0], expected)
    )
    assert found == pytest.approx(expected, rel=1e-5)


def test_reduced_precision_says_how_far_it_is_off_and_is_never_fid(torch_home, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    exact, rounded = (kind.make(IMAGES, None, IMAGES, None, seed=0) for kind in (Inception, InceptionBF16))
    one, two = exact.features(IMAGES)[0], rounded.features(IMAGES)[0]
    error = np.linalg.norm(two - one) / np.linalg.norm(one)
    assert 1e-4 < error < 0.03
    assert rounded.card["feature_error"] == pytest.approx(error)
    assert rounded.card["feature_error_images"] == len(IMAGES)
    assert rounded.hash != exact.hash

    rounded.save(tmp_path)
    loaded = InceptionBF16.load(tmp_path)
    assert (loaded.hash, loaded.card) == (rounded.hash, rounded.card)
    np.testing.assert_array_equal(loaded.features(IMAGES)[0], two)
    rounded.hash = "6726825d" + "0" * 56
    assert not rounded.published


def test_weights_are_found_by_path_before_the_cache(torch_home, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    path = tmp_path / "mine.pth"
    path.touch()
    assert find_weights(str(path)) == path
    assert find_weights(None) == torch_home / "hub" / "checkpoints" / FILE
    with pytest.raises(FeatureError, match="there is no file"):
        find_weights(str(tmp_path / "absent.pth"))


def test_without_weights_the_error_names_the_three_ways(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with (
        mock.patch("torch.hub.download_url_to_file", side_effect=URLError("no route to host")) as download,
        pytest.raises(FeatureError, match=r"features\.weights(.|\n)*checkpoints(.|\n)*https://"),
    ):
        find_weights(None)
    assert download.call_args.kwargs["hash_prefix"] == "6726825d"


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, 3, None])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "other.pth"
    torch.save(content, path) if content else path.write_bytes(b"not a file of torch")
    with pytest.raises(FeatureError, match="expected the weights of pytorch-fid's Inception"):
        Inception.make(IMAGES, None, IMAGES, None, seed=0, weights=str(path))


def test_only_the_published_file_is_fid(extractor):
    assert not extractor.published
    extractor.hash = "6726825d" + "0" * 56
    assert extractor.published
