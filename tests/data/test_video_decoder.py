"""Every form a film comes in, against the frames it was made of; and every damage, against its reason."""

import io
import pickle
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import reels
import sounds
from PIL import Image

from ganops.core.errors import ConfigError
from ganops.data.decode import decode, decode_all
from ganops.data.image_decoder import PIXEL_LIMIT, ImageDecoder
from ganops.data.sources.item import ItemError
from ganops.data.video_decoder import VideoDecoder

DECODER = VideoDecoder(frames=4, resolution=16)
STILL = ImageDecoder(16, background="black", fit="pad")


def expected(frames, still=STILL):
    """Return each frame as the image decoder makes it: uint8 [C, T, H, W]."""
    return np.stack([still.decode(data)[0] for data in reels.stills(frames)], axis=1)


def reason(data, decoder=DECODER):
    with pytest.raises(ItemError) as error:
        decode(data, decoder)
    return str(error.value)


@pytest.mark.parametrize("form", ["webp", "apng"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_film_without_loss_is_its_frames_as_images_are_decoded(form, fit):
    film = reels.noise(0, count=4)
    got, notes = VideoDecoder(frames=4, resolution=16, fit=fit).decode(reels.animated(film, form))
    np.testing.assert_array_equal(got, expected(film, ImageDecoder(16, background="black", fit=fit)))
    assert got.dtype == np.uint8
    assert notes == ("10 frames a second",)


def test_a_gif_is_its_frames():
    film = np.repeat(reels.noise(1, 4, channels=3) // 64 * 64, 1, axis=0)  # 64 colours: its palette holds them all
    got, notes = DECODER.decode(reels.animated(film, "gif"))
    assert np.abs(got.astype(int) - expected(film)).max() <= 2
    assert "palette to RGB" in notes


@pytest.mark.parametrize("form", reels.CONTAINERS)
def test_every_container_is_read(form):
    film = reels.moving(6)
    got, notes = VideoDecoder(frames=6, resolution=32).decode(reels.contained(film, form))
    wanted = expected(film, ImageDecoder(32, 1 if form == "gray mkv" else "auto", "black", "pad"))
    assert got.shape == wanted.shape == (1 if form == "gray mkv" else 3, 6, 32, 32)
    lossless = "mkv" in form
    assert np.abs(got.astype(int) - wanted).mean() < (1 if lossless else 6)
    assert "10 frames a second" in notes


def test_the_beginning_of_a_longer_film_is_taken_and_the_last_frame_of_a_shorter_one_held():
    film = reels.noise(2, count=9)
    got, notes = DECODER.decode(reels.animated(film))
    np.testing.assert_array_equal(got, expected(film[:4]))
    assert notes == ("cut behind its first 4 frames", "10 frames a second")
    got, notes = DECODER.decode(reels.animated(film[:2]))
    np.testing.assert_array_equal(got, expected(film[[0, 1, 1, 1]]))
    assert notes == ("its last frame is held", "10 frames a second")


@pytest.mark.parametrize("every", [2, 3])
def test_one_frame_of_so_many_is_taken(every):
    film = reels.noise(3, count=4 * every)
    decoder = VideoDecoder(frames=4, every=every, resolution=16)
    got, notes = decoder.decode(reels.animated(film))
    np.testing.assert_array_equal(got, expected(film[::every]))
    assert notes == ("10 frames a second",)  # what is left out at its end does not make it longer
    np.testing.assert_array_equal(decoder.decode(film)[0], got)
    _, notes = decoder.decode(reels.animated(np.concatenate([film, film[:1]])))
    assert "cut behind its first 4 frames" in notes


@pytest.mark.parametrize(
    ("fps", "taken"),
    [(10, [0, 1, 2, 3]), (5, [0, 2, 4, 6]), (20, [0, 0, 1, 1]), (4, [0, 2, 5, 7]), (2.5, [0, 4, 4, 4])],
)
def test_at_a_rate_the_frame_that_is_shown_at_each_time_is_taken(fps, taken):
    film = reels.noise(4, count=8)  # of 100 ms each
    got, notes = VideoDecoder(frames=4, fps=fps, resolution=16).decode(reels.animated(film))
    np.testing.assert_array_equal(got, expected(film[taken]))
    assert ("its last frame is held" in notes) == (fps == 2.5)
    assert ("cut behind its first 4 frames" in notes) == (fps in (10, 20))


@pytest.mark.parametrize("form", ["webp", "apng", "gif"])
def test_a_variable_rate_is_followed(form):
    film = (reels.noise(5, count=4) // 64 * 64).astype(np.uint8)
    data = reels.animated(film, form, duration=[100, 300, 50, 100])
    decoder = VideoDecoder(frames=6, fps=10, resolution=16)
    one, notes = VideoDecoder(frames=4, resolution=16).decode(data)
    assert "10 frames a second" in notes, "that of most frames"
    np.testing.assert_array_equal(decoder.decode(data)[0], one[:, [0, 1, 1, 1, 2, 3]])


def test_times_of_a_container_are_followed():
    film = reels.moving(5)
    data = reels.contained(film, "mkv", times=[0, 100, 500, 600, 700])
    whole = VideoDecoder(frames=5, resolution=32).decode(data)[0]
    got, _ = VideoDecoder(frames=8, fps=10, resolution=32).decode(data)
    np.testing.assert_array_equal(got, whole[:, [0, 1, 1, 1, 1, 2, 3, 4]])


@pytest.mark.parametrize(("turned", "times"), [(90, 1), (-90, 3), (180, 2), (0, 0)])
def test_a_film_of_a_phone_is_turned_upright(turned, times):
    """`set_display_rotation` states by which angle players turn it, counterclockwise."""
    film = reels.moving(4)
    got, notes = VideoDecoder(frames=4, resolution=32).decode(reels.contained(film, "mp4", turned=turned))
    wanted, _ = VideoDecoder(frames=4, resolution=32).decode(reels.contained(np.rot90(film, times, (1, 2))))
    assert np.abs(got.astype(int) - wanted).mean() < 2
    assert ("turned upright by its metadata" in notes) == (turned != 0)


def test_pixels_that_are_not_square_are_made_so():
    film = reels.moving(4, height=32, width=32)
    got, notes = VideoDecoder(frames=4, resolution=32).decode(reels.contained(film, "mp4", square=2))
    assert "made of square pixels" in notes
    rows = got.max(axis=(0, 1, 3))
    assert (rows > 30).sum() == 16  # half as high as wide: the rest is background


def test_sound_beside_the_pictures_changes_nothing():
    film = reels.moving(4)
    one, other = (DECODER.decode(reels.contained(film, "mp4", sound=sound)) for sound in (False, True))
    np.testing.assert_array_equal(one[0], other[0])


def test_transparency_is_laid_on_the_background():
    frames = []
    for x in (0, 4):
        frame = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
        for left in (x, x + 8):
            frame.paste((255, 0, 0, 255), (left, 0, left + 4, 16))
        frames.append(frame)
    for form, kind in (("WEBP", {"lossless": True}), ("PNG", {}), ("GIF", {"disposal": 2})):
        frames[0].save(file := io.BytesIO(), form, save_all=True, append_images=frames[1:], duration=100, **kind)
        got, notes = VideoDecoder(frames=2, resolution=16, background="#00ff00").decode(file.getvalue())
        assert "transparency laid on the background" in notes, form
        for i, x in enumerate((0, 4)):
            wanted = np.zeros((3, 16, 16), np.uint8)
            wanted[1] = 255
            for left in (x, x + 8):
                wanted[:, :, left : left + 4] = np.array([255, 0, 0])[:, None, None]
            np.testing.assert_array_equal(got[:, i], wanted, err_msg=form)


def test_frames_of_a_gif_lie_over_one_another_where_they_ask_for_it():
    """Only the first frame is whole: the second one is a patch (disposal 1: what was there stays)."""
    whole = np.zeros((2, 16, 16, 3), np.uint8)
    whole[:, :8] = [255, 255, 255]
    whole[1, 10:12, 3:5] = [255, 255, 255]
    got, _ = VideoDecoder(frames=2, resolution=16).decode(reels.animated(whole, "gif", disposal=1))
    np.testing.assert_array_equal(got, whole.transpose(3, 0, 1, 2))


def test_the_still_of_an_apng_for_other_readers_is_no_frame():
    film = reels.noise(6, count=3)
    cover, *frames = [Image.fromarray(frame) for frame in film]
    cover.save(file := io.BytesIO(), "PNG", save_all=True, append_images=frames, default_image=True, duration=100)
    np.testing.assert_array_equal(VideoDecoder(frames=2, resolution=16).decode(file.getvalue())[0], expected(film[1:]))


def test_frames_that_state_no_time_are_shown_as_browsers_show_them():
    assert "10 frames a second" in DECODER.decode(reels.animated(reels.noise(7), "gif", duration=0))[1]


def test_gray_stays_gray_and_colour_becomes_gray_where_it_is_asked_for():
    gray = reels.noise(8, channels=1)
    assert DECODER.decode(reels.animated(gray, "apng"))[0].shape == (1, 4, 16, 16)
    mixed = iter([*reels.stills(gray)[:2], *reels.stills(reels.noise(9))[:2]])
    assert DECODER.decode(mixed)[0].shape == (3, 4, 16, 16)
    luma, notes = VideoDecoder(frames=4, resolution=16, channels=1).decode(reels.animated(reels.noise(9)))
    assert luma.shape == (1, 4, 16, 16)
    assert "colour to luma" in notes
    assert DECODER.common([(1, 4, 16, 16), (3, 4, 16, 16)]) == ((3, 4, 16, 16), {"gray to RGB": 1})


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_numbered_images_are_a_film(kind):
    film = reels.noise(10, count=4)
    got, notes = DECODER.decode(iter(reels.stills(film, kind)))
    np.testing.assert_array_equal(got, expected(film))
    assert notes == ()


def test_arrays_are_films():
    film = reels.noise(11, count=4)
    np.testing.assert_array_equal(DECODER.decode(film)[0], expected(film))
    gray = film[..., :1]
    np.testing.assert_array_equal(DECODER.decode(gray[..., 0])[0], DECODER.decode(gray)[0])
    for wrong in (film.astype(float), film[0, 0], film[..., :2]):
        assert "expected uint8 [T, H, W] or [T, H, W, 1 or 3], got" in reason(wrong)


def test_a_film_is_the_same_alone_and_in_any_company():
    datas = [reels.contained(reels.moving(6, seed=i), form) for i, form in enumerate(reels.CONTAINERS)]
    datas += [reels.animated(reels.noise(i), form) for i, form in enumerate(reels.ANIMATED)]
    together = decode_all(datas, DECODER)
    for data, (film, notes) in zip(datas, together, strict=True):
        alone, said = decode(data, pickle.loads(pickle.dumps(DECODER)))
        assert alone.tobytes() == film.tobytes()
        assert said == notes


def test_rates_of_the_set():
    counts = {"24 frames a second": 5, "30 frames a second": 7, "palette to RGB": 99}
    finish = VideoDecoder(frames=2).finish
    assert finish([], (1, 2, 32, 32), counts)[1] == {"fps": 30}
    assert finish([], (1, 2, 32, 32), {})[1] == {"fps": 8}
    assert VideoDecoder(every=4).finish([], (1, 8, 32, 32), counts)[1] == {"fps": 7.5}
    assert VideoDecoder(every=2, fps=10).finish([], (1, 8, 32, 32), counts)[1] == {"fps": 5}
    assert VideoDecoder(every=30, fps=1).finish([], (1, 8, 32, 32), counts)[1] == {"fps": 0.0333}
    assert VideoDecoder(every=4, fps=0.0004).finish([], (1, 8, 32, 32), counts)[1] == {"fps": 0.0001}
    shape, _, store, notes = finish([], (1, 2, 32, 32), {})
    film = np.zeros(shape, np.uint8)
    assert store(film) is film
    assert notes == {}


def test_ten_hours_take_no_longer_than_their_beginning(tmp_path):
    """36,000 frames at one a second: neither time nor memory is that of the whole film."""
    film = np.broadcast_to(reels.moving(2, 16, 16)[np.arange(36_000) % 2], (36_000, 16, 16, 3))
    data = reels.contained(film, "mpeg4", fps=1)
    tracemalloc.start()
    started = time.process_time()
    _, notes = DECODER.decode(data)
    assert time.process_time() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    tracemalloc.stop()
    assert notes == ("cut behind its first 4 frames", "1 frames a second")


def test_frames_of_4k_are_decoded_one_after_the_other():
    film = np.zeros((4, 2160, 3840, 3), np.uint8)
    film[:, :, :1920] = 200
    got, _ = DECODER.decode(reels.contained(film, "mpeg4"))
    assert got[:, :, 8, 3].min() > 190
    assert got[:, :, 8, 12].max() < 10
    assert got[:, :, 0].max() == 0  # 16 to 9: the border is the background


def test_what_lies_behind_the_frames_that_are_taken_may_be_damaged(tmp_path):
    data = reels.contained(reels.moving(40), "webm")
    assert DECODER.decode(data[: len(data) * 3 // 4])[1][0] == "cut behind its first 4 frames"


@pytest.mark.parametrize("form", ["webm", "avi", "mp4"])
def test_a_truncated_container_is_refused(form, tmp_path):
    options = {"movflags": "faststart"} if form == "mp4" else {}
    data = reels.contained(reels.moving(40), form, options=options, path=tmp_path / "film")
    for share in (0.2, 0.5, 0.75):
        words = reason(data[: round(share * len(data))], VideoDecoder(frames=40))
        assert "truncated" in words or "damaged" in words, (share, words)


@pytest.mark.parametrize("form", reels.ANIMATED)
def test_a_truncated_animation_is_refused(form):
    data = reels.animated(reels.noise(12, count=4), form)
    assert any(word in reason(data[: len(data) // 2]) for word in ("damaged", "truncated"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty, 0 bytes"),
        (b"a text named .mp4", "no MP4, MOV, WebM, Matroska, AVI, GIF, WebP or APNG: 17 bytes that start with b'a te"),
        (b"#EXTM3U\nhttp://127.0.0.1:9/x.mp4\n", "no MP4, MOV, WebM"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "no MP4, MOV, WebM"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "damaged or truncated MP4"),
        (b"\x1aE\xdf\xa3" + bytes(40), "damaged or truncated WebM"),
        (b"RIFF\x24\0\0\0AVI " + bytes(40), "damaged or truncated AVI"),
        (b"GIF89a" + bytes(10), "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged"),
    ],
)  # fmt: skip
def test_what_is_no_film_is_refused_in_words(data, words):
    assert words in reason(data)


def test_stills_and_sounds_are_no_films():
    film = reels.noise(13)
    for still in (*(reels.animated(film[:1], form) for form in reels.ANIMATED), reels.contained(reels.moving(1))):
        assert reason(still) == "one frame: expected a film, got a still"
        for decoder in (VideoDecoder(every=9), VideoDecoder(fps=100)):
            assert reason(still, decoder) == "one frame: expected a film, got a still"
    assert reason(iter(reels.stills(film[:1]))) == "one frame: expected a film, got a still"
    assert "data.every and data.fps leave others out" in reason(reels.animated(film), VideoDecoder(every=9))
    assert reason(reels.silent_pictures()) == "no pictures in it, only audio"
    assert "no MP4, MOV, WebM" in reason(sounds.wav(sounds.sine(440)))


def test_frames_of_one_film_have_one_size():
    mixed = [*reels.stills(reels.noise(14)), *reels.stills(reels.noise(14, height=8))]
    assert reason(iter(mixed), VideoDecoder(frames=8)) == "changes its size from 30 x 20 to 30 x 8 pixels"


def test_a_frame_that_is_no_image_is_named():
    good = reels.stills(reels.noise(15))
    assert reason(iter([good[0], b"text"])).startswith("frame 2: no intact image")
    assert reason((good[0], ItemError("neither a file nor a link to one"))) == "neither a file nor a link to one"


def test_a_film_of_too_many_pixels_takes_no_memory():
    """A small file can state any size: an APNG, and a video whose codec would reserve memory for a frame."""
    side = 10_000
    data = bytearray(reels.animated(reels.noise(16), "apng"))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    tracemalloc.start()
    assert f"10000 x 10000 pixels: from 1 to {PIXEL_LIMIT:,} are decoded" in reason(bytes(data))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"frames": 1}, "data.frames: expected at least 2, got 1"),
        ({"every": 0}, "data.every: expected at least 1, got 0"),
        ({"fps": 0}, "data.fps: expected auto, or frames a second above 0, got 0"),
        ({"fps": "fast"}, "data.fps: expected auto, or frames a second above 0, got 'fast'"),
        ({"resolution": 0}, "data.resolution: expected at least 1 pixel, got 0"),
        ({"fit": "zoom"}, "data.fit: expected one of crop, pad, stretch, got 'zoom'"),
        ({"background": "invisible"}, "data.background: expected a colour name"),
    ],
)
def test_parameters_that_are_not_possible_are_refused(keys, words):
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        VideoDecoder(**keys)
