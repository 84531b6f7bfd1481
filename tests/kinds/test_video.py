import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganops.kinds import KINDS, Spec, video

FACTS = {"fps": 12.5}
GENERATOR = np.random.default_rng(0)
GREY, COLOUR = (GENERATOR.integers(0, 256, (3, channels, 5, 4, 6), np.uint8) for channels in (1, 3))


def frames(content):
    """uint8 [T, H, W, 3], and the milliseconds for which each frame is shown."""
    found, shown = [], []
    with Image.open(io.BytesIO(content)) as film:
        assert film.info["loop"] == 0
        for number in range(film.n_frames):
            film.seek(number)
            found.append(np.asarray(film.convert("RGB")))
            shown.append(film.info["duration"])
    return np.stack(found), shown


def test_it_is_a_kind():
    assert KINDS["video"] is video
    assert (video.UNIT, video.STORED, video.LAST) == ("film", "uint8", True)
    spec = Spec("video", (1, 5, 4, 6), 3, FACTS)
    assert (spec.noun, spec.unit, spec.variety, spec.joined_format) == ("film", "film", "truncation", "webp")
    assert spec.words == "1 x 5 x 4 x 6 films"
    assert spec.described == "films of 5 4x6 grey frames, 12.5 a second"
    assert (spec.inputs, spec.played, spec.strips) == ((1, 5, 4, 6), True, True)
    assert [Spec(kind, ()).played for kind in ("image", "sound", "text")] == [False, True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_comes_back(dtype):
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 4, 8, 8)
    floats = video.floats(levels, FACTS, dtype)
    assert floats.dtype == dtype
    assert (floats.min(), floats.max()) == (-1, 1)
    assert torch.equal(video.stored(floats, FACTS), levels)
    assert torch.equal(video.stored(torch.tensor([-9.0, 9.0]), FACTS), torch.tensor([0, 255], dtype=torch.uint8))


@pytest.mark.parametrize("films", [GREY, COLOUR])
def test_a_reader_gets_channels_last_and_pages_film_strips(films):
    shown = video.shown(films, FACTS)
    assert shown.flags.c_contiguous
    assert np.array_equal(shown, films.transpose(0, 2, 3, 4, 1))
    strips = video.look(films, FACTS)
    assert strips.shape == (3, films.shape[1], 4, 5 * 6 + 4)
    for i in range(5):
        assert np.array_equal(strips[..., 7 * i : 7 * i + 6], films[:, :, i])
        assert (strips[..., 7 * i + 6 : 7 * i + 7] == 128).all()


@pytest.mark.parametrize("films", [GREY, COLOUR])
def test_the_file_is_an_animated_webp_of_the_same_pixels(films):
    suffix, media, content = video.file(video.shown(films, FACTS)[0], FACTS)
    assert (suffix, media) == (".webp", "image/webp")
    seen, shown = frames(content)
    assert np.array_equal(seen, np.broadcast_to(films[0].transpose(1, 2, 3, 0), (5, 4, 6, 3)))
    assert shown == [80] * 5


@pytest.mark.parametrize("fps", [3, 7, 29.97, 60])
def test_times_are_whole_milliseconds_that_do_not_drift(fps):
    film = GENERATOR.integers(0, 256, (90, 4, 4, 1), np.uint8)
    _, shown = frames(video.file(film, {"fps": fps})[2])
    assert np.abs(np.cumsum(shown) - 1000 * np.arange(1, 91) / fps).max() <= 0.5


def test_a_film_alone_is_the_film_in_a_batch():
    together = video.shown(COLOUR, FACTS)
    for i in range(3):
        assert video.shown(COLOUR[i : i + 1], FACTS).tobytes() == together[i : i + 1].tobytes()
        assert video.look(COLOUR[i : i + 1], FACTS).tobytes() == video.look(COLOUR, FACTS)[i : i + 1].tobytes()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (3, 3), (8, 8), (20, 8), (100, 10)])
def test_films_play_side_by_side(count, columns):
    films = GENERATOR.integers(0, 256, (count, 5, 4, 6, 1), np.uint8)
    suffix, media, content = video.joined(films, FACTS)
    assert (suffix, media) == (".webp", "image/webp")
    seen, _ = frames(content)
    factor = 64 // 6
    assert seen.shape[1:] == ((-(-count // columns) * 5 - 1) * factor, (columns * 7 - 1) * factor, 3)
    for i in range(count):
        top, left = i // columns * 5 * factor, i % columns * 7 * factor
        piece = seen[:, top : top + 4 * factor : factor, left : left + 6 * factor : factor, :1]
        assert np.array_equal(piece, films[i])


def test_the_slowest_films_play_as_slowly_as_their_format_can():
    films = GENERATOR.integers(0, 256, (1, 5, 4, 6, 1), np.uint8)
    content = video.joined(films, {**FACTS, "fps": 1e-6})[2]
    assert len(frames(content)[0]) == 5


def test_of_no_films_there_is_no_picture():
    assert video.joined(GREY[:0], FACTS) == (".webp", "image/webp", b"")


def test_many_large_films_make_no_large_file():
    films = GENERATOR.integers(0, 256, (64, 2, 64, 64, 3), np.uint8).repeat(8, axis=1)
    assert video.beside(films).nbytes > video.EXACT
    content = video.joined(films, FACTS)[2]
    assert len(content) < films.nbytes // 4
    assert frames(content)[0].shape[1:] == (519, 519, 3)


def test_runtimes_may_differ_by_one_grey_level():
    other = np.where(GREY < 255, GREY + 1, GREY - 1).astype(np.uint8)
    assert video.agree(GREY, other) is None
    other[1, 0, 2, 2] = 255 - GREY[1, 0, 2, 2]
    assert "grey levels, more than the 1 of rounding" in video.agree(GREY, other)
    assert video.agree(GREY[:0], GREY[:0]) is None


def test_a_copy_needs_numpy_alone(tmp_path):
    """The copy in a registered model needs no more: neither ganops nor torch nor Pillow is there."""
    (tmp_path / "kind.py").write_bytes(Path(video.__file__).read_bytes())
    program = """
import sys
from pathlib import Path
for name in ("ganops", "torch", "PIL"):
    sys.modules[name] = None
import numpy as np, kind
assert kind.shown(np.zeros((2, 1, 5, 4, 6), kind.STORED), {"fps": 8}).shape == (2, 5, 4, 6, 1)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


def test_a_batch_takes_one_copy_of_its_samples():
    stored = torch.randint(0, 256, (16, 3, 8, 32, 32), dtype=torch.uint8)
    with torch.profiler.profile(profile_memory=True) as profile:
        x = video.floats(stored, FACTS, torch.float32)
    taken = sum(event.self_cpu_memory_usage for event in profile.events() if event.self_cpu_memory_usage > 0)
    assert x.nbytes <= taken < 1.1 * x.nbytes
    assert torch.equal(x, stored.float() / 127.5 - 1)
