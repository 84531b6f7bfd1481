"""A generator of texts as a registered model: packed, proved, and loaded by a stranger."""

import json

import mlflow
import numpy as np
import onnxruntime
import pytest
from packages import TEXT, package

from ganops.kinds import text
from ganops.registry import packing
from ganops.registry.card import CLIPS, model_card
from ganops.registry.model_version import Registered


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return package(tmp_path_factory.mktemp("trained"), kind="text")


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "model"
    packing.build(made, "phrases", folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return mlflow.pyfunc.load_model(str(folder))


def test_seeds_become_strings_that_a_stranger_gets_as_well(made, folder, model):
    assert packing.prove(made, folder) > 0  # neither ganops nor torch there
    seeds = np.array([5, -1, 0, 2**62, 5])
    texts = model.predict(seeds, params={"truncation": 0.8})
    assert (texts.dtype.kind, texts.shape) == ("U", (5,))
    assert texts[0] == texts[4]
    assert all(set(each.split()) <= {*TEXT["words"]} for each in texts.tolist())
    alone = [model.predict(seeds[i : i + 1], params={"truncation": 0.8}) for i in range(5)]
    assert np.concatenate(alone).tobytes() == texts.tobytes(), "of one width, whatever is in the batch"
    assert len({*model.predict(np.arange(200)).tolist()}) > 20
    assert len({*model.predict(np.arange(200), params={"truncation": 0.0}).tolist()}) <= 3, "one for each label"
    assert model.predict(np.arange(0)).shape == (0,)


def test_the_signature_says_strings(folder):
    info = mlflow.models.get_model_info(str(folder))
    (output,) = info.signature.outputs.inputs
    assert (output.type, output.shape) == (np.dtype(str), (-1,))
    assert info.metadata == {"kind": "text"}


def test_samples_can_be_read_beside_the_model(folder, model):
    lines = (folder / "artifacts" / "samples.txt").read_text(encoding="utf-8").split("\n")
    assert lines == [*model.predict(np.arange(CLIPS)).tolist(), ""]
    assert (folder / "artifacts" / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_who_has_the_graph_alone_finds_the_words(folder, model):
    config = json.loads((folder / "artifacts" / "config.json").read_text(encoding="utf-8"))
    stored = Registered(folder).sample(np.arange(9))
    assert (stored.dtype, stored.shape) == (np.uint16, (9, 3))
    assert config["facts"] == TEXT
    assert text.shown(stored, config["facts"]).tolist() == model.predict(np.arange(9)).tolist()
    session = onnxruntime.InferenceSession(folder / "artifacts" / "generator.onnx", providers=["CPUExecutionProvider"])
    (output,) = session.get_outputs()
    assert (output.name, output.type) == ("texts", "tensor(uint16)")


def test_the_card_speaks_of_texts(made):
    card = model_card("phrases", made)
    for words in (
        "A generator of texts of up to 3 words, of a vocabulary of 10, trained as a GAN on `photos`.",
        "`samples.txt` has the first 16 of them, a line each.",
        'texts = model.predict(np.arange(16), params={"truncation": 0.8})     # seeds -> str [16]',
        "one text for one seed",
        "is the temperature of each word's probabilities",
        "`generator.onnx` gives `texts`, uint16 [N, 3]: the numbers of their words.",
        "the 10 words\nin `config.json`, under `facts.words`",
        "`<unk>` stands for",
        "It invents its texts",
    ):
        assert words in card, words
    assert not {"image", "picture", "clip"} & {*card.replace("(samples.png)", "").split()}
    assert "facts.words |" not in card
