from unittest import mock
from urllib.error import URLError

import numpy as np
import pytest
import torch

from ganops.errors import FeatureError
from ganops.metrics.extractors.inception import FILE, Inception, find_weights

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 1, 40, 32), np.uint8)


def random_state():
    """Seeded weights for pytorch-fid's network; of such a size that the signal survives its depth."""
    from pytorch_fid import inception

    with mock.patch.object(inception, "load_state_dict_from_url"), mock.patch("torch.nn.Module.load_state_dict"):
        state = inception.fid_inception_v3().state_dict()
    generator = torch.Generator().manual_seed(0)
    for tensor in state.values():
        if tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
    return state


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A hub cache that holds random weights under the published name."""
    home = tmp_path_factory.mktemp("torch")
    (home / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(random_state(), home / "hub" / "checkpoints" / FILE)
    return home


@pytest.fixture
def extractor(home, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(home))
    return Inception.make(IMAGES, None, IMAGES, None, seed=0)


def test_agrees_with_pytorch_fid_and_comes_back_from_its_folder(extractor, tmp_path):
    from pytorch_fid.inception import InceptionV3

    features, probabilities = extractor.features(IMAGES)
    peer = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()  # finds the same file by its own way
    with torch.no_grad():
        expected = peer(torch.from_numpy(IMAGES.repeat(3, axis=1)) / 255)[0].flatten(1).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(features, expected, atol=1e-5 * expected.max())
    assert probabilities.shape == (2, 1008)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)

    extractor.save(tmp_path)
    loaded = Inception.load(tmp_path)
    assert (loaded.hash, loaded.published) == (extractor.hash, False)
    np.testing.assert_array_equal(loaded.features(IMAGES)[0], features)


def test_weights_are_found_by_path_before_the_cache(home, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(home))
    path = tmp_path / "mine.pth"
    path.touch()
    assert find_weights(str(path)) == path
    assert find_weights(None) == home / "hub" / "checkpoints" / FILE
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


def test_only_the_published_file_is_fid():
    network = torch.nn.Identity()
    assert Inception(network, "6726825d" + "0" * 56, {}, "cpu").published
    assert not Inception(network, "0" * 64, {}, "cpu").published
