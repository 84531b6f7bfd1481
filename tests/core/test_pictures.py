"""Pictures as bytes and as files: the pixels that went in, and the same bytes both ways."""

import io

import numpy as np
import pytest
from PIL import Image

from ganops.core.pictures import grid, picture, save_grid, to_bytes


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_hold_the_pixels(channels):
    image = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), np.uint8)
    with Image.open(io.BytesIO(to_bytes(picture(image)))) as found:
        assert found.format == "PNG"
        assert np.array_equal(np.asarray(found).reshape(5, 7, channels), image.transpose(1, 2, 0))
    assert to_bytes(picture(image), "WEBP", quality=80)[8:12] == b"WEBP"


def test_files_are_these_bytes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), np.uint8)
    save_grid(tmp_path / "grid.png", images, 2)
    assert (tmp_path / "grid.png").read_bytes() == to_bytes(grid(images, 2))
    grid(images, 2).save(tmp_path / "direct.png")
    assert (tmp_path / "direct.png").read_bytes() == (tmp_path / "grid.png").read_bytes()
