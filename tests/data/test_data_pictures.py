"""Pictures that a person names, read as `prepare` reads them."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from ganops.core.errors import DataError
from ganops.data import Prepared, prepare
from ganops.data.image_decoder import ImageDecoder
from ganops.data.pictures import read


@pytest.fixture
def folder(tmp_path):
    """Pictures of several sizes and modes."""
    random = np.random.default_rng(0)
    (tmp_path / "some").mkdir()
    for i, (width, height, mode) in enumerate([(40, 30, "RGB"), (16, 16, "L"), (9, 25, "L"), (70, 20, "RGBA")] * 6):
        channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
        pixels = random.integers(0, 256, (height, width, *channels), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "some" / f"{i:02}.png")
    (tmp_path / "some" / "notes.txt").write_text("no picture")
    return tmp_path / "some"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("fit", "resize"), [("pad", "lanczos"), ("crop", "box")])
def test_pictures_are_the_samples_that_prepare_makes(folder, tmp_path, channels, fit, resize):
    ways = {"background": "#204060", "fit": fit, "resize": resize}
    prepare(folder, tmp_path / "out", tmp_path / "p.png", ImageDecoder(16, channels, **ways), validation=0, test=0)
    made = Prepared.open(tmp_path / "out")
    expected = np.concatenate([made.samples(split) for split in ("train", "validation", "test")])
    names, images = read([folder], ImageDecoder(16, channels, **ways))
    assert images.shape == (24, channels, 16, 16)
    assert names == tuple(f"some/{i:02}.png" for i in range(24))
    assert sorted(each.tobytes() for each in images) == sorted(each.tobytes() for each in expected)


def test_files_folders_archives_and_arrays_are_read_in_their_order(folder, tmp_path):
    recipe = ImageDecoder(16)
    files = sorted(folder.glob("*.png"))[:3]
    names, images = read(files[::-1], recipe)
    assert names == ("02.png", "01.png", "00.png")
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
    np.save(tmp_path / "a.npy", images.transpose(0, 2, 3, 1))
    np.save(tmp_path / "grey.npy", images[:, 0])
    np.save(tmp_path / "one.npy", images[:, 0, :, :, None])
    names, again = read([tmp_path / "some.zip", *(tmp_path / f"{name}.npy" for name in ("a", "grey", "one"))], recipe)
    assert names[:4] == ("some.zip/00.png", "some.zip/01.png", "some.zip/02.png", "a.npy[0]")
    np.testing.assert_array_equal(again[:3], images[::-1])
    np.testing.assert_array_equal(again[3:6], images)
    for part in (again[6:9], again[9:]):
        np.testing.assert_array_equal(part, images[:, :1].repeat(3, 1))


def test_what_is_no_picture_is_refused_by_its_name(folder, tmp_path):
    recipe = ImageDecoder(16)
    (tmp_path / "empty").mkdir()
    (folder / "00.png").write_bytes(b"no picture")
    np.save(tmp_path / "float.npy", np.zeros((2, 16, 16)))
    np.save(tmp_path / "first.npy", np.zeros((2, 3, 16, 16), np.uint8))
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    np.save(tmp_path / "none.npy", np.zeros((0, 16, 16), np.uint8))
    for name, words in {
        "nowhere": "nowhere does not exist",
        "empty": "empty holds no images",
        "some": "some/00.png: not a readable image",
        "some/notes.txt": "notes.txt: not a readable image",
        "float.npy": "expected uint8 .* got float64",
        "first.npy": r"expected uint8 .* got uint8 \(2, 3, 16, 16\)",
        "objects.npy": "is no intact file of an array",
        "none.npy": "none.npy holds no images",
    }.items():
        with pytest.raises(DataError, match=words):
            read([tmp_path / name], recipe)
