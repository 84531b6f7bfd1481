import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganops.kinds import KINDS, image

GENERATOR = np.random.default_rng(0)
GREY, COLOUR = (GENERATOR.integers(0, 256, (3, channels, 4, 6), np.uint8) for channels in (1, 3))


def test_it_is_a_kind():
    assert KINDS["image"] is image
    assert image.STORED == "uint8"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_comes_back(dtype):
    levels = torch.arange(256, dtype=torch.uint8)
    floats = image.floats(levels, {}, dtype)
    assert floats.dtype == dtype
    assert (floats.min(), floats.max()) == (-1, 1)
    assert torch.equal(image.stored(floats, {}), levels)
    assert torch.equal(image.stored(torch.tensor([-9.0, 9.0]), {}), torch.tensor([0, 255], dtype=torch.uint8))


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_a_reader_gets_channels_last_and_pages_the_images_themselves(images):
    shown = image.shown(images, {})
    assert shown.flags.c_contiguous
    assert np.array_equal(shown, images.transpose(0, 2, 3, 1))
    assert np.array_equal(image.look(images, {}), images)


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_the_file_is_a_png_of_the_same_pixels(images):
    suffix, media, content = image.file(image.shown(images, {})[0], {})
    assert (suffix, media) == (".png", "image/png")
    assert np.array_equal(np.array(Image.open(io.BytesIO(content))).reshape(4, 6, -1), images[0].transpose(1, 2, 0))


def test_runtimes_may_differ_by_one_grey_level():
    other = np.where(GREY < 255, GREY + 1, GREY - 1).astype(np.uint8)
    assert image.agree(GREY, other) is None
    other[1, 0, 2, 2] = 3 if GREY[1, 0, 2, 2] > 127 else 250
    difference = abs(int(other[1, 0, 2, 2]) - int(GREY[1, 0, 2, 2]))
    assert image.agree(GREY, other) == f"{difference} grey levels, more than the 1 of rounding"
    assert image.agree(GREY[:0], GREY[:0]) is None
