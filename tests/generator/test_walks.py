"""Moving pictures: their path, and files that other libraries read."""

import av
import numpy as np
import pytest
from PIL import Image

from ganops.core.errors import UserError
from ganops.core.latents import latents, normal_table
from ganops.generator import walks

STOPS = latents(np.arange(3), 64, normal_table())


def test_path_passes_its_stops_and_leads_back():
    z = walks.path(STOPS, 5)
    assert z.shape == (15, 64)
    np.testing.assert_array_equal(z[::5], STOPS)
    step = np.linalg.norm(np.diff(np.concatenate([z, z[:1]]), axis=0), axis=1)
    assert step.max() < 2 * step.min()  # nowhere a jump, also not from the last to the first
    assert walks.nearest(3, 4).tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0]


def test_slerp_is_the_great_circle():
    a, b = np.array([3.0, 0, 0]), np.array([0, 3.0, 0])
    third = walks.slerp(a, b, 1 / 3)
    np.testing.assert_allclose(third, [3 * np.cos(np.pi / 6), 3 * np.sin(np.pi / 6), 0], rtol=1e-6)
    halves = [walks.slerp(*STOPS[:2], share) for share in (0.25, 0.5, 0.75)]
    lengths = np.linalg.norm([*STOPS[:2], *halves], axis=1)
    assert lengths.min() > 0.9 * lengths[:2].min()  # a straight line would be 0.7 of it


@pytest.mark.parametrize("other", [[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]])
def test_slerp_without_a_great_circle_is_straight(other):
    a, b = np.array([1.0, 2.0]), np.array(other)
    np.testing.assert_allclose(walks.slerp(a, b, 0.5), (a + b) / 2, atol=1e-6)


class Source:
    """Draws the first number of a latent as grey, its label as the picture's corner."""

    latent = 4

    def __init__(self, classes, side=8, channels=1):
        self.classes, self.side, self.channels = classes, side, channels

    def render(self, z, labels, *, truncation=1.0):
        z = z * np.float32(truncation)
        images = np.empty((len(z), self.channels, self.side, self.side), np.uint8)
        images[:] = np.clip(128 + 40 * z[:, 0], 0, 255).astype(np.uint8)[:, None, None, None]
        images[:, :, 0, 0] = 0 if labels is None else labels[:, None]
        return images


def test_walk_shows_each_seed_at_its_stop_with_its_label():
    source = Source(classes=3)
    seeds = np.array([4, 5, 6, 7])
    frames = np.concatenate(list(walks.through(source, seeds, None, 0.5, frames=30)))  # in two pieces
    stops = source.render(latents(seeds, 4, normal_table()) * np.float32(0.5), seeds % 3)
    assert frames.shape == (120, 1, 8, 8)
    np.testing.assert_array_equal(frames[::30], stops)
    fixed = np.concatenate(list(walks.through(source, seeds, np.full(4, 2), 0.5, frames=30)))
    assert (fixed[:, 0, 0, 0] == 2).all()


def test_strip_begins_and_ends_in_its_seeds_with_their_labels():
    source, ends = Source(classes=3), (5, 7)
    strip = walks.between(source, ends, None, 0.5, steps=5)
    both = source.render(latents(np.array(ends), 4, normal_table()) * np.float32(0.5), np.array(ends) % 3)
    np.testing.assert_array_equal(strip[[0, -1]], both)
    assert strip[:, 0, 0, 0].tolist() == [2, 2, 2, 1, 1]
    assert (walks.between(source, ends, 0, 0.5, steps=5)[:, 0, 0, 0] == 0).all()
    assert walks.between(Source(classes=0), ends, None, 1.0, steps=4).shape == (4, 1, 8, 8)


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (9, 3), (300, 3), (301, 1)])
def test_film_has_every_frame(tmp_path, side, channels):
    levels = np.linspace(0, 250, 12).astype(np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (12, channels, side, side))
    walks.save(tmp_path / "walk.mp4", [images[:5], images[5:]], fps=20)
    with av.open(str(tmp_path / "walk.mp4")) as film:
        (stream,) = film.streams
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 20)
    assert min(shown[0].shape[:2]) >= 256
    assert np.abs(np.array([frame.mean() for frame in shown]) - levels).max() < 3


def test_gif_has_every_frame_and_repeats(tmp_path):
    levels = np.linspace(0, 250, 12).astype(np.uint8)
    walks.save(tmp_path / "walk.gif", [np.broadcast_to(levels[:, None, None, None], (12, 3, 8, 8))], fps=25)
    with Image.open(tmp_path / "walk.gif") as film:
        assert (film.n_frames, film.info["loop"], film.info["duration"], film.size) == (12, 0, 40, (256, 256))
        for i, level in enumerate(levels):
            film.seek(i)
            assert abs(np.asarray(film.convert("L")).mean() - level) < 2


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"ends in .gif, .mp4 or .webp, got .png"):
        walks.save(tmp_path / "walk.png", [], fps=25)
