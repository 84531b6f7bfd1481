"""`ganops toy oracle`: the folder of an oracle, from the command to a prepared set."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ganops.cli import app
from ganops.core import oracle
from ganops.core.errors import UserError
from ganops.core.oracle import OracleNetwork
from ganops.data import SPLITS, Prepared, prepare
from ganops.data.text_decoder import TextDecoder


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Estimates of the first round."""
    monkeypatch.setattr(oracle, "ROUNDS", 1)


def invoke(*arguments):
    return CliRunner().invoke(app, ["toy", "oracle", *map(str, arguments)])


def test_an_oracle_becomes_a_prepared_set_of_its_words(tmp_path):
    folder = tmp_path / "toy oracle"
    sizes = ("--words", 9, "--length", 4, "--hidden", 5, "--embedding", 3, "--seed", 7, "--count", 300)
    done = invoke(folder, *sizes)
    assert done.exit_code == 0, done.exception
    said = done.output.replace("\n", " ")
    assert "300 texts of 4 words, of a vocabulary of 9; entropy" in said
    assert f"next, in params.yaml: data: {{kind: text, source: {folder}, length: 4, words: 9}}" in said
    assert f"features: {{extractor: oracle, weights: {folder}}}; model: {{architecture: lstm, latent: 8}}" in said
    about = json.loads((folder / "oracle.json").read_text())
    assert {name: about[name] for name in ("words", "length", "hidden", "embedding", "seed", "count")} == {
        "words": 9, "length": 4, "hidden": 5, "embedding": 3, "seed": 7, "count": 300,
    }  # fmt: skip
    assert 0 < about["floor"]["word"] < np.log(9) < about["uniform"]["word"]
    prepare(folder, tmp_path / "set", tmp_path / "preview.png", TextDecoder(length=4, words=9))
    prepared, model = Prepared.open(tmp_path / "set"), OracleNetwork.load(folder)
    stored = np.concatenate([prepared.samples(split) for split in SPLITS]).astype(np.int64)
    assert sorted(stored.tolist()) == sorted(model.sample(300, 7).tolist())
    nll = model.nll(torch.from_numpy(stored))
    error = np.hypot(about["floor"]["error"], float(nll.std()) / np.sqrt(300))
    assert abs(nll.mean() - about["floor"]["text"]) < 4 * error
    again = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert invoke(folder, *sizes).exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == again


def test_published_arrays_have_their_own_sizes(tmp_path):
    rng = np.random.default_rng(0)
    for name, shape in oracle._shapes(6, 3, 2).items():
        np.savez(tmp_path / f"{name}.npz", rng.normal(size=shape))
    done = invoke(tmp_path / "made", "--arrays", tmp_path, "--count", 10)
    assert done.exit_code == 0, done.exception
    assert "10 texts of 20 words, of a vocabulary of 6" in done.output.replace("\n", " ")
    refused = invoke(tmp_path / "other", "--arrays", tmp_path, "--words", 6).exception
    assert "--words: expected no sizes beside --arrays" in str(refused)


def test_what_cannot_become_an_oracle_is_refused_in_words(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        error = invoke(folder).exception
        assert isinstance(error, UserError)
        assert "expected a new folder, an empty one or that of an oracle" in str(error)
    error = invoke(tmp_path / "empty", "--arrays", tmp_path / "mine").exception
    assert isinstance(error, UserError)
    assert "--arrays: " in str(error)
    assert "expected embedding.npz or embedding.npy" in str(error)
    for option in (("--words", 1), ("--length", 0), ("--hidden", 0), ("--count", 0), ("--seed", -1)):
        assert invoke(tmp_path / "new", *option).exit_code == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "mine", "thesis.txt"]
