"""A generator of waves as a registered model: packed, proved, read without being loaded, and heard."""

import io
import re
import wave

import mlflow
import numpy as np
import pytest
from packages import WAVE, package

from ganops.kinds import KINDS
from ganops.registry import packing
from ganops.registry.card import CLIPS, model_card
from ganops.registry.model_version import Registered

NAME, RATE, SAMPLES = "drums", WAVE["rate"], WAVE["samples"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return package(tmp_path_factory.mktemp("trained"), kind="wave")


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "model"
    packing.build(made, NAME, folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return mlflow.pyfunc.load_model(str(folder))


def read(content):
    """Samples int16 [T] of a WAV."""
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_the_kind_and_the_rate_are_read_without_loading(folder):
    found = mlflow.models.get_model_info(str(folder))
    assert found.metadata == {"kind": "wave", "rate": RATE}
    (output,) = found.signature.outputs.inputs
    assert (output.type, output.shape) == (np.int16, (-1, SAMPLES))


def test_it_is_proved_where_neither_ganops_nor_torch_is(made, folder):
    assert packing.prove(made, folder) > 0


def test_a_seed_is_one_clip_in_any_batch_and_the_graph_gives_it_as_it_is(folder, model):
    seeds = np.arange(9)
    clips = model.predict(seeds, params={"truncation": 0.7})
    assert (clips.dtype, clips.shape) == (np.int16, (9, SAMPLES))
    for i in seeds:
        assert np.array_equal(model.predict(seeds[i : i + 1], params={"truncation": 0.7})[0], clips[i])
    drawer = Registered(folder)
    stored = drawer.sample(seeds, truncation=0.7)
    assert stored.shape == (9, 1, SAMPLES)
    assert np.array_equal(drawer.shown(stored), clips)
    assert np.array_equal(stored[:, 0], clips)


def test_a_model_of_waves_is_heard_beside_its_picture(folder, model):
    heard, gap = read((folder / "artifacts" / "samples.wav").read_bytes()), round(0.1 * RATE)
    assert len(heard) == CLIPS * SAMPLES + (CLIPS - 1) * gap
    assert np.array_equal(heard[:SAMPLES], model.predict(np.arange(1))[0])
    assert (folder / "artifacts" / "samples.png").is_file()


def test_the_card_says_how_to_hear_a_clip_and_speaks_of_no_vocoder(made, model, tmp_path, monkeypatch):
    card = model_card(NAME, made)
    for words in (
        "A generator of 0.016 s clips at 8,000 Hz (waveforms), trained as a GAN on `photos`.",
        f'clips = model.predict(np.arange(16), params={{"truncation": 0.8}})     # seeds -> int16 [16, {SAMPLES}]',
        "`samples.wav` has the first 16 of them",
        "| facts.rate | 8000 |",
    ):
        assert words in card, words
    assert "vocoder" not in card
    assert "spectrogram" not in card
    _, listen = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    clips = model.predict(np.arange(1))
    exec(listen, {"clips": clips})
    assert np.array_equal(read((tmp_path / "0.wav").read_bytes()), clips[0])


def test_waves_in_words():
    assert KINDS["wave"].words((1, 8192), {"rate": 8000}) == "1.02 s clips at 8,000 Hz (waveforms)"
