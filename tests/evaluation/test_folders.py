"""Two folders of images, against pytorch-fid's own code and command."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytorch_fid.fid_score import IMAGE_EXTENSIONS, calculate_activation_statistics
from typer.testing import CliRunner

from ganops.cli import app
from ganops.core.errors import DataError, FeatureError, UserError
from ganops.evaluation import folders
from ganops.evaluation.folders import Folder
from ganops.metrics.extractors.inception import FILE, Inception
from ganops.metrics.frechet import Statistics, frechet_distance


def fill(folder, count, seed, size=(32, 24)):
    """Pictures of several types and modes; returns the folder."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(seed)
    for i in range(count):
        mode, ending = (("RGB", "png"), ("L", "jpg"), ("RGBA", "webp"), ("P", "bmp"))[i % 4]
        pixels = generator.integers(0, 256, (*size[::-1], 3), np.uint8) // (1 + seed)
        Image.fromarray(pixels).convert(mode).save(folder / f"{i:03}.{ending}")
    return folder


@pytest.fixture
def weights(torch_home):
    return torch_home / "hub" / "checkpoints" / FILE


@pytest.fixture
def pair(tmp_path):
    return fill(tmp_path / "a", 4, 0), fill(tmp_path / "b", 3, 1)


def test_types_are_those_of_pytorch_fid():
    assert set(folders.TYPES) == IMAGE_EXTENSIONS


def test_agrees_with_the_code_of_pytorch_fid(pair, weights, torch_home, monkeypatch):
    """File types, modes, scaling, resizing and the network; the distance is ours, because its own takes long."""
    from pytorch_fid.inception import InceptionV3

    found = folders.distance(*map(Folder.open, pair), weights=weights)
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]])
    sides = []
    for folder, count in zip(pair, found["images"], strict=True):
        files = sorted(file for ending in IMAGE_EXTENSIONS for file in folder.glob(f"*.{ending}"))
        mean, covariance = calculate_activation_statistics(files, network, batch_size=count, num_workers=0)
        sides.append(Statistics(count, mean, covariance))
    assert found["images"] == [4, 3]
    assert found["value"] == pytest.approx(frechet_distance(*sides), rel=1e-5)
    assert (found["metric"], found["singular"]) == ("fd_inception", True)
    assert 0 < found["seconds"] < 600


def test_reduced_precision_has_its_own_name_and_is_near(pair, weights):
    a, b = map(Folder.open, pair)
    exact, reduced = (folders.distance(a, b, weights=weights, reduced=reduced) for reduced in (False, True))
    assert reduced["metric"] == "fd_inception_bf16"
    assert reduced["weights"] != exact["weights"]
    assert reduced["value"] == pytest.approx(exact["value"], rel=0.2)


def test_only_the_published_weights_are_fid(pair, weights, monkeypatch):
    a, b = map(Folder.open, pair)
    monkeypatch.setattr(folders, "frechet_between", lambda *_: 1.0)
    monkeypatch.setattr(Inception, "features", lambda *_: (np.ones((4, 2048), np.float32), None))
    monkeypatch.setattr(Inception, "published", property(lambda self: True))
    found = folders.distance(a, b, weights=weights)
    assert found["metric"] == "fid"
    assert not any("not FID" in line or "several sizes" in line for line in folders.summary(found))
    assert folders.distance(a, b, weights=weights, reduced=True)["metric"] == "fd_inception_bf16"


def test_images_of_different_sizes_pass_one_by_one(pair, weights, monkeypatch):
    fill(pair[0], 1, 5, size=(40, 40))
    a, b = map(Folder.open, pair)
    assert (a.even, b.even) == (False, True)
    batches = []

    def features(self, images):
        batches.append(images.shape)
        return np.ones((len(images), 2048), np.float32), None

    monkeypatch.setattr(folders, "frechet_between", lambda *_: 1.0)
    monkeypatch.setattr(Inception, "features", features)
    found = folders.distance(a, b, weights=weights)
    assert any("pytorch-fid fails on them" in line for line in folders.summary(found))
    assert batches == [(1, 3, 40, 40), *[(1, 3, 24, 32)] * 3, (3, 3, 24, 32)]


def test_what_cannot_be_used_is_named(tmp_path, pair, weights):
    (tmp_path / "one").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "one" / "a.png")
    (tmp_path / "one" / "A.PNG").touch()
    for name, words in (
        ("absent", "expected a folder of images, got nothing"),
        ("a/000.png", "got a file"),
        (".", r"at least 2 images, got none; files named \*\.bmp, .* and no folders below"),
        ("one", "at least 2 images, got 1;"),
    ):
        with pytest.raises(DataError, match=words):
            Folder.open(tmp_path / name)
    with pytest.raises(FeatureError, match=r"there is no file .*mine\.pth"):
        folders.distance(*map(Folder.open, pair), weights=tmp_path / "mine.pth")
    whole = (pair[1] / "000.png").read_bytes()
    (pair[1] / "000.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"000\.png: no readable image .*truncated.*; pytorch-fid would fail too"):
        folders.distance(*map(Folder.open, pair), weights=weights)
    (pair[1] / "000.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"000\.png: no readable image"):
        Folder.open(pair[1])


def test_features_that_are_not_finite(pair, weights, monkeypatch):
    monkeypatch.setattr(Inception, "features", lambda *_: (np.full((4, 2048), np.nan, np.float32), None))
    with pytest.raises(FeatureError, match="not finite"):
        folders.distance(*map(Folder.open, pair), weights=weights)


class Peer:
    """Stands for the process of pytorch-fid, and remembers how it was called."""

    def __init__(self, code=0, out="FID:  80.0\n", err=""):
        self.result = (code, out, err)

    def __call__(self, command, env, **_):
        self.command = command
        self.weights = (Path(env["TORCH_HOME"]) / "hub" / "checkpoints" / FILE).resolve()
        return subprocess.CompletedProcess(command, *self.result)


def test_pytorch_fid_is_given_the_same_folders_and_weights(pair, weights, monkeypatch):
    monkeypatch.setattr(folders.subprocess, "run", peer := Peer())
    a, b = map(Folder.open, pair)
    assert folders.pytorch_fid(a, b, weights=weights)["value"] == 80
    assert peer.weights == weights.resolve()
    assert peer.command[1:] == ["-m", "pytorch_fid", *map(str, pair), "--device", "cpu"]
    fill(pair[1], 1, 5, size=(40, 40))
    folders.pytorch_fid(a, Folder.open(pair[1]), weights=weights)
    assert peer.command[-2:] == ["--batch-size", "1"]


@pytest.mark.parametrize("peer", [Peer(1, "", "Traceback\nValueError: Imaginary component 3"), Peer(out="FID:  nan\n")])
def test_a_failure_of_pytorch_fid_is_told(pair, weights, monkeypatch, peer):
    monkeypatch.setattr(folders.subprocess, "run", peer)
    with pytest.raises(UserError, match=r"pytorch-fid failed on these folders: .*(Imaginary component 3|nan)"):
        folders.pytorch_fid(*map(Folder.open, pair), weights=weights)


def test_the_command_prints_both_and_their_difference(pair, weights, monkeypatch):
    monkeypatch.setattr(folders.subprocess, "run", Peer())
    monkeypatch.setattr(folders, "frechet_between", lambda *_: 100.0)
    command = ["evaluate", *map(str, pair), "--weights", str(weights), "--compare-with", "pytorch-fid"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "fd_inception 100  (4 and 3 images" in result.output
    assert "not FID" in result.output
    assert "mostly bias" in result.output
    assert re.search(r"pytorch-fid 80  \(\d+\.\d s\); relative difference 2\.5e-01", result.output)
    found = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    assert (found["value"], found["pytorch_fid"]["value"], found["relative_difference"]) == (100, 80, 0.25)


@pytest.mark.slow
def test_agrees_with_the_command_of_pytorch_fid(tmp_path, weights):
    a, b = (Folder.open(fill(tmp_path / name, 24, seed)) for seed, name in enumerate("ab"))
    found = folders.compared(folders.distance(a, b, weights=weights), folders.pytorch_fid(a, b, weights=weights))
    assert found["relative_difference"] < 1e-5
