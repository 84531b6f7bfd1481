"""Small images of every kind, and `prepare` with small defaults."""

import inspect
import io

import numpy as np
import pytest
from PIL import Image

from ganops.data import prepare
from ganops.data.image_decoder import ImageDecoder


@pytest.fixture
def encode():
    """An image or array, as the bytes of a file."""

    def encode(image, kind="PNG", **options):
        file = io.BytesIO()
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(file, kind, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def noise():
    """An RGB array [height, width, 3] of its own for each seed."""
    return lambda seed, height=12, width=10: np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def pictures(encode, noise):
    """Forty images in two classes: relative path -> PNG."""
    return {f"{'ab'[i % 2]}/{i:02}.png": encode(noise(i)) for i in range(40)}


@pytest.fixture
def lay(tmp_path):
    """Writes files, relative path -> bytes, into a folder."""

    def lay(files, name="faces"):
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        return tmp_path / name

    return lay


@pytest.fixture
def run(tmp_path):
    """`prepare` into tmp_path/out."""

    def run(source, **options):
        options = {"resolution": 8, "validation": 0.2, "test": 0.2, **options}
        ways = {name: options.pop(name) for name in inspect.signature(ImageDecoder).parameters if name in options}
        out = tmp_path / "out"
        return prepare(source, out / "prepared", out / "preview.png", ImageDecoder(**ways), **options)

    return run
