"""A generator of sounds as a registered model: packed, proved, read without being loaded, and loaded by a stranger."""

import io
import re
import subprocess
import sys
import wave

import mlflow
import numpy as np
import pytest
import yaml
from packages import FILM, SOUND, TEXT, package

from ganops.kinds import KINDS, image, sound, text, video
from ganops.registry import packing
from ganops.registry.card import CLIPS, model_card
from ganops.registry.model_version import Registered

NAME = "digits"
RATE, SAMPLES = SOUND["rate"], SOUND["samples"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return package(tmp_path_factory.mktemp("trained"), kind="sound")


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "model"
    packing.build(made, NAME, folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return mlflow.pyfunc.load_model(str(folder))


def read(content):
    """Rate and samples int16 [T] of a WAV."""
    with wave.open(io.BytesIO(content) if isinstance(content, bytes) else str(content)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_the_kind_and_the_rate_are_read_without_loading(folder, tmp_path):
    content = yaml.safe_load((folder / "MLmodel").read_text())
    assert content["metadata"] == {"kind": "sound", "rate": RATE}
    assert mlflow.models.get_model_info(str(folder)).metadata == {"kind": "sound", "rate": RATE}
    (output,) = mlflow.models.get_model_info(str(folder)).signature.outputs.inputs
    assert (output.type, output.shape) == (np.int16, (-1, SAMPLES))


def test_a_model_of_sounds_is_heard_beside_its_picture(folder, model):
    rate, heard = read(folder / "artifacts" / "samples.wav")
    clips, gap = model.predict(np.arange(CLIPS)), round(0.1 * RATE)
    assert rate == RATE
    assert len(heard) == CLIPS * SAMPLES + (CLIPS - 1) * gap
    for i, clip in enumerate(clips):
        start = i * (SAMPLES + gap)
        assert np.array_equal(heard[start : start + SAMPLES], clip)
        assert not heard[start + SAMPLES : start + SAMPLES + gap].any()
    assert (folder / "artifacts" / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_of_images_has_no_such_file(tmp_path):
    packing.build(package(tmp_path), NAME, tmp_path / "model")
    names = {path.name for path in (tmp_path / "model" / "artifacts").iterdir()}
    assert "samples.png" in names
    assert not any(name.endswith(".wav") for name in names)
    assert mlflow.models.get_model_info(str(tmp_path / "model")).metadata == {"kind": "image"}


def test_a_clip_is_the_same_int16_alone_in_a_batch_and_to_a_stranger(made, folder, model, tmp_path):
    assert packing.prove(made, folder) > 0  # neither ganops nor torch there
    seeds = np.array([5, -1, 0, 2**62, 5])
    clips = model.predict(seeds, params={"truncation": 0.8})
    assert (clips.dtype, clips.shape) == (np.int16, (5, SAMPLES))
    alone = [model.predict(seeds[i : i + 1], params={"truncation": 0.8}) for i in range(5)]
    assert np.concatenate(alone).tobytes() == clips.tobytes()
    assert clips[0].tobytes() == clips[4].tobytes() != clips[1].tobytes()
    assert np.abs(clips.astype(int)).max() > 100
    program = f"""
import sys
sys.modules["ganops"] = sys.modules["torch"] = sys.modules["PIL"] = None
import mlflow, numpy as np
model = mlflow.pyfunc.load_model({str(folder)!r})
sys.stdout.buffer.write(model.predict(np.array([5, -1]), params={{"truncation": 0.8}}).tobytes())
"""
    told = subprocess.run([sys.executable, "-I", "-B", "-c", program], cwd=tmp_path, capture_output=True, check=True)
    assert told.stdout == clips[:2].tobytes()


def test_the_graph_gives_what_is_stored_and_the_vocoder_the_rest(made, folder, model):
    drawer, seeds = Registered(folder), np.arange(3)
    stored = drawer.sample(seeds)
    assert (stored.dtype, stored.shape) == (np.uint8, (3, *made.spec.shape))
    assert drawer.shown(stored).tobytes() == model.predict(seeds).tobytes() == sound.shown(stored, SOUND).tobytes()


def test_a_version_is_shown_by_the_vocoder_that_it_was_registered_with(folder, tmp_path, monkeypatch):
    """A later ganops may have a better one: who asks for the version's clips gets the version's."""
    drawer = Registered(folder)
    stored = drawer.sample(np.arange(2))
    before = drawer.shown(stored)
    monkeypatch.setattr(sound, "ITERATIONS", 1)
    assert drawer.shown(stored).tobytes() == before.tobytes() != drawer.spec.shown(stored).tobytes()


def test_the_card_speaks_of_clips_and_says_how_to_hear_one(made, model, tmp_path, monkeypatch):
    card = model_card(NAME, made)
    for words in (
        "A generator of 0.256 s clips at 8,000 Hz (16 mel bands, Griffin-Lim), trained as a GAN on `photos`.",
        "`samples.wav` has the first 16 of them, one after the other.",
        f'clips = model.predict(np.arange(16), params={{"truncation": 0.8}})     # seeds -> int16 [16, {SAMPLES}]',
        "one clip for one seed",
        "`generator.onnx` gives `clips`, uint8 [N, 1, 16, 16]: log mel spectrograms",
        "Griffin-Lim, numpy alone",
        "It invents its clips",
        "| facts.rate | 8000 |",
        "The training clips, `photos`: CC BY 4.0.",
    ):
        assert words in card, words
    assert "image" not in card.replace("(samples.png)", "")
    assert "picture" not in card
    assert "facts.mean" not in card
    _, listen = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    clips = model.predict(np.arange(1))
    exec(listen, {"clips": clips})
    rate, heard = read(tmp_path / "0.wav")
    assert (rate, heard.tobytes()) == (RATE, clips[0].tobytes())


def test_samples_of_each_kind_in_words():
    assert sound.words((1, 64, 64), SOUND | {"samples": 8192, "bands": 64}) == (
        "1.02 s clips at 8,000 Hz (64 mel bands, Griffin-Lim)"
    )
    assert image.words((1, 32, 32), {}) == "32x32 grey images"
    assert image.words((3, 64, 48), {}) == "64x48 colour images"
    assert text.words((3,), TEXT) == "texts of up to 3 words, of a vocabulary of 10"
    assert video.words((1, 8, 32, 32), {"fps": 8.0}) == "films of 8 32x32 grey frames, 8 a second"
    assert video.words((3, 16, 64, 48), FILM) == "films of 16 64x48 colour frames, 12.5 a second"
    facts = {**SOUND, **TEXT, **FILM}
    assert all(kind.UNIT in kind.words((1, 8, 32, 32)[-axes:], facts)
               for kind, axes in zip(KINDS.values(), (3, 3, 1, 4, 2), strict=True))  # fmt: skip


def test_clips_follow_one_another_and_images_do_not():
    clips = np.arange(6, dtype=np.int16).reshape(3, 2)
    suffix, media, content = sound.joined(clips, SOUND | {"rate": 20})
    assert (suffix, media) == (".wav", "audio/wav")
    rate, heard = read(content)
    assert (rate, heard.tolist()) == (20, [0, 1, 0, 0, 2, 3, 0, 0, 4, 5])
    assert len(read(sound.joined(clips[:0], SOUND)[2])[1]) == 0
    assert image.joined(np.zeros((2, 8, 8, 1), np.uint8), {}) is None
