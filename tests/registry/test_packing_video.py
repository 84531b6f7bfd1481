"""A generator of films as a registered model: packed, proved, read without being loaded, and loaded by a stranger."""

import re
import subprocess
import sys

import mlflow
import numpy as np
import onnxruntime
import pytest
from packages import FILM, LATENT, package
from PIL import Image

from ganops.kinds import video
from ganops.registry import packing
from ganops.registry.card import CLIPS, model_card
from ganops.registry.model_version import Registered


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return package(tmp_path_factory.mktemp("trained"), kind="video")


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "model"
    packing.build(made, "films", folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return mlflow.pyfunc.load_model(str(folder))


def test_the_kind_the_rate_and_the_shape_are_read_without_loading(folder):
    info = mlflow.models.get_model_info(str(folder))
    assert info.metadata == {"kind": "video", "fps": FILM["fps"]}
    (output,) = info.signature.outputs.inputs
    assert (output.type, output.shape) == (np.uint8, (-1, 3, 8, 8, 3))


def test_a_film_is_the_same_uint8_alone_in_a_batch_and_to_a_stranger(made, folder, model, tmp_path):
    assert packing.prove(made, folder) > 0  # neither ganops nor torch there
    seeds = np.array([5, -1, 0, 2**62, 5])
    films = model.predict(seeds, params={"truncation": 0.8})
    assert (films.dtype, films.shape) == (np.uint8, (5, 3, 8, 8, 3))
    alone = [model.predict(seeds[i : i + 1], params={"truncation": 0.8}) for i in range(5)]
    assert np.concatenate(alone).tobytes() == films.tobytes()
    assert films[0].tobytes() == films[4].tobytes() != films[1].tobytes()
    program = f"""
import sys
sys.modules["ganops"] = sys.modules["torch"] = sys.modules["PIL"] = None
import mlflow, numpy as np
model = mlflow.pyfunc.load_model({str(folder)!r})
sys.stdout.buffer.write(model.predict(np.array([5, -1]), params={{"truncation": 0.8}}).tobytes())
"""
    told = subprocess.run([sys.executable, "-I", "-B", "-c", program], cwd=tmp_path, capture_output=True, check=True)
    assert told.stdout == films[:2].tobytes()
    assert model.predict(np.arange(0)).shape == (0, 3, 8, 8, 3)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_graph_takes_any_number_of_latents(folder, count):
    session = onnxruntime.InferenceSession(folder / "artifacts" / "generator.onnx")
    (output,) = session.get_outputs()
    assert output.name == "films"
    z = np.random.default_rng(0).normal(size=(count, LATENT)).astype(np.float32)
    ones, labels = np.ones(count, np.float32), np.zeros(count, np.int64)
    (films,) = session.run(None, {"z": z, "truncation": ones, "labels": labels})
    assert (films.dtype, films.shape) == (np.uint8, (count, 3, 8, 8, 3))


def test_what_is_stored_has_its_channels_first(made, folder, model):
    drawer, seeds = Registered(folder), np.arange(3)
    stored = drawer.sample(seeds)
    assert (stored.dtype, stored.shape) == (np.uint8, (3, *made.spec.shape))
    assert drawer.shown(stored).tobytes() == model.predict(seeds).tobytes() == video.shown(stored, FILM).tobytes()


def test_films_move_beside_the_model(folder, model):
    with Image.open(folder / "artifacts" / "samples.webp") as moving:
        assert moving.n_frames == 3
        moving.seek(1)
        seen = np.asarray(moving.convert("RGB"))
    for i, film in enumerate(model.predict(np.arange(CLIPS))):
        top, left = i // 8 * 72, i % 8 * 72
        assert np.array_equal(seen[top : top + 64 : 8, left : left + 64 : 8], film[1])
    assert (folder / "artifacts" / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_speaks_of_films_and_says_how_to_write_one(made, model, tmp_path, monkeypatch):
    card = model_card("films", made)
    for words in (
        "A generator of films of 3 8x8 colour frames, 12.5 a second, trained as a GAN on `photos`.",
        "`samples.webp` has the first 16 of them, side by side.",
        'films = model.predict(np.arange(16), params={"truncation": 0.8})     # seeds -> uint8 [16, T, H, W, C]',
        "one film for one seed",
        "It invents its films",
        "| facts.fps | 12.5 |",
        "The training films, `photos`: CC BY 4.0.",
    ):
        assert words in card, words
    assert "picture" not in card
    _, write = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    films = model.predict(np.arange(1))
    exec(write, {"films": films})
    with Image.open("0.webp") as film:
        assert (film.n_frames, film.size) == (3, (8, 8))
        film.seek(2)
        assert np.array_equal(np.asarray(film.convert("RGB")), films[0, 2])
        assert film.info["duration"] == 80
