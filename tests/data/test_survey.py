"""A look at a source, before anything is decided."""

import numpy as np
import pytest
from PIL import Image

from ganops.core.errors import DataError
from ganops.data.image_decoder import ImageDecoder
from ganops.data.survey import LOOKED_AT, background, sizes, survey
from ganops.data.text_decoder import TextDecoder

IMAGES, TEXTS = ImageDecoder(16), TextDecoder()


def test_samples_classes_and_sizes_are_those_of_the_files(lay, pictures):
    found = survey(str(lay(pictures)), [IMAGES])
    assert (found.count, dict(found.classes)) == (40, {"a": 20, "b": 20})
    assert set(sizes(found.looked_at)) == {(10, 12)}
    notes, rejected, shapes = found.results(IMAGES)
    assert (set(shapes), not notes, not rejected) == ({(3, 16, 16)}, True, True)


def test_labels_that_some_samples_lack_are_none(lay, pictures):
    assert not survey(str(lay({**pictures, "beside.png": pictures["a/00.png"]})), [IMAGES]).classes


def test_what_cannot_be_used_is_counted_with_its_reason(lay, pictures):
    found = survey(str(lay({**pictures, "a/empty.png": b"", "b/words.png": b"no picture at all"})), [IMAGES])
    _, rejected, shapes = found.results(IMAGES)
    assert (found.count, len(shapes), sum(rejected.values())) == (42, 40, 2)
    assert "empty, 0 bytes" in rejected


def test_of_many_samples_some_are_decoded_from_the_first_to_the_last(tmp_path):
    (tmp_path / "lines.txt").write_text("".join(f"text {i}\n\n" for i in range(2000)))
    found = survey(str(tmp_path / "lines.txt"), [IMAGES, TEXTS])
    assert found.decoder is TEXTS
    assert (found.count, len(found.looked_at)) == (2000, LOOKED_AT)
    for i in range(3 * LOOKED_AT):
        Image.new("L", (2, 2), i % 256).save(tmp_path / f"{i:04}.png")
    found = survey(str(tmp_path), [IMAGES])
    assert len(found.looked_at) == LOOKED_AT
    assert found.looked_at[-1].name == f"{3 * LOOKED_AT - 3:04}.png"


@pytest.mark.parametrize(("ink", "ground"), [(20, "white"), (230, "black")])
def test_a_transparent_ground_becomes_what_its_pictures_are_seen_on(ink, ground, lay, encode):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:5, 2:5] = (ink, ink, ink, 255)
    found = survey(str(lay({f"{i}.png": encode(pixels) for i in range(3)})), [IMAGES])
    assert background(found.looked_at) == ground


def test_pictures_without_a_transparent_ground_want_none(lay, pictures):
    assert background(survey(str(lay(pictures)), [IMAGES]).looked_at) is None


def test_a_source_without_samples_is_refused_in_words(lay):
    with pytest.raises(DataError, match=r"expected images, as files that end in \.jpg .*; got none"):
        survey(str(lay({"notes.pdf": b"?"})), [IMAGES])
    with pytest.raises(DataError, match="does not exist"):
        survey("/no/such/place", [IMAGES])
