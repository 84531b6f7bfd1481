"""The laws of the augmentations."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms.v2 import functional as vision

from ganops import config
from ganops.core.errors import ConfigError
from ganops.core.randomness import Draws
from ganops.data.augment import NAMES, PRESETS, TRANSFORMS, Augmentation, Drawn, adapt, apply, draw, names_of
from ganops.experiment import build

GRAY_IDENTITY = {"hue", "saturation", "diff_saturation"}


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(count=8, channels=3, height=16, width=16, dtype=torch.float32):
    return torch.rand(count, channels, height, width, generator=source(1), dtype=dtype) * 2 - 1


def smooth(count=2, size=32):
    x, y = torch.meshgrid(torch.linspace(0, 3, size), torch.linspace(0, 2, size), indexing="xy")
    return torch.stack([x.sin() * y.cos(), x.cos() + y.sin() - 1, (x * y / 6) - 0.5]).expand(count, 3, size, size)


def always(x, **transforms):
    return draw(transforms, len(x), x.shape[1:], 1.0, generator=source())


def made(name, x, *numbers):
    """The draws of one transform of x whose random numbers are known."""
    transform = next(transform for transform in TRANSFORMS if transform.name == name)
    matrices = {
        "colour": transform.colour and transform.colour(x.shape[1:], *numbers)[:, :-1],
        "affine": transform.geometry and transform.geometry(x.shape[1:], *numbers)[:, :-1],
        "holes": transform.hole and transform.hole(x.shape[1:], *numbers),
    }
    return Drawn(len(x), tuple(x.shape[1:]), whole=transform.whole, **matrices)


def turned(x, angle):
    return made("rotate", x, torch.full((len(x),), (angle / math.pi + 1) / 2))


def each(*values):
    return torch.tensor(values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_every_transform(name, channels, dtype):
    x = samples(32, channels, 12, 16, dtype)
    y = apply(x, always(x, **{name: 1}))
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert y.isfinite().all()
    nothing = name in {1: GRAY_IDENTITY, 3: set(), 4: {"hue"}}[channels]
    assert torch.equal(x, y) == nothing


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_strength_0_is_the_identity_bit_for_bit(name, channels):
    x = samples(8, channels, 12, 16)
    assert torch.equal(apply(x, draw({name: 1}, 8, (channels, 12, 16), 0.0, generator=source())), x)


@pytest.mark.parametrize("name", PRESETS)
def test_strength_0_of_a_preset(name):
    x = samples()
    assert torch.equal(apply(x, draw(PRESETS[name], 8, (3, 16, 16), torch.tensor(0.0), generator=source())), x)


def test_none_is_the_identity_at_any_strength():
    x = samples()
    assert torch.equal(apply(x, draw(PRESETS["none"], 8, (3, 16, 16), 1.0, generator=source())), x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PRESETS)
def test_slices_of_the_draws_are_the_workers(name, channels):
    x = samples(8, channels)
    draws = draw(PRESETS[name], 8, (channels, 16, 16), 0.8, generator=source())
    assert [len(draws[rows]) for rows in (slice(0, 4), slice(4, 8), slice(6, 20))] == [4, 4, 2]
    parts = [apply(x[rows], draws[rows]) for rows in (slice(0, 4), slice(4, 8))]
    assert torch.equal(torch.cat(parts), apply(x, draws))


@pytest.mark.parametrize("name", PRESETS)
def test_the_generator_decides(name):
    x = samples()
    one, same, other = (apply(x, draw(PRESETS[name], 8, (3, 16, 16), generator=source(s))) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (name == "none")


def test_strength_decides_which_samples_not_how():
    shape = (3, 32, 32)
    weak, strong = (draw({"scale": 1}, 500, shape, p, generator=source()).affine for p in (torch.tensor(0.3), 0.7))
    off = weak[:, 0, 0] == 1
    assert 0.6 < off.float().mean() < 0.8
    assert torch.equal(weak[~off], strong[~off])


class Calls(TorchDispatchMode):
    """The names of all operations of torch."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **kwargs or {})


def test_nothing_waits_for_the_device():
    """No value is read back, no shape depends on a value, no constant is copied over."""
    x, p = samples(), torch.tensor(0.5)
    with Calls() as calls:
        for name in PRESETS:
            apply(x, draw(PRESETS[name], 8, (3, 16, 16), p, generator=source()))
    assert "gather" in calls.names
    assert not calls.names & {"_local_scalar_dense", "nonzero", "masked_select", "index", "lift_fresh"}


@pytest.mark.parametrize("name", NAMES)
def test_double_backward(name):
    x = samples(3, 3, 5, 6, torch.float64).requires_grad_()
    draws = always(x, **{name: 1})
    assert torch.autograd.gradcheck(lambda x: apply(x, draws), x, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: apply(x, draws), x, fast_mode=True)


def test_the_penalty_of_a_linear_critic_goes_through_the_augmentations():
    """D(x) = w·T(x) with T affine: the gradient is its matrix, transposed, times w."""
    x, w = samples(2, 3, 6, 6, torch.float64), torch.randn(3, 6, 6, generator=source(), dtype=torch.float64)
    w, x = w.requires_grad_(), x.requires_grad_()
    draws = always(x, **PRESETS["r3gan"])
    (gradient,) = torch.autograd.grad((apply(x, draws) * w).sum(), x, create_graph=True)
    (of_penalty,) = torch.autograd.grad(gradient.square().sum(), w)
    matrix = torch.autograd.functional.jacobian(lambda x: apply(x, draws).sum(0), x.detach()).flatten(3)
    matrix = matrix.reshape(w.numel(), len(x), -1)
    expected = 2 * torch.einsum("ins,jns,j->i", matrix, matrix, w.detach().flatten())
    assert torch.allclose(of_penalty.flatten(), expected)


@pytest.mark.parametrize("name", ["ada", "diffaugment"])
def test_autocast_changes_nothing(name):
    x = samples()
    with torch.autocast("cpu", torch.bfloat16):
        inside = apply(x, draw(PRESETS[name], 8, (3, 16, 16), generator=source()))
        narrow = apply(x.bfloat16(), draw(PRESETS[name], 8, (3, 16, 16), generator=source()))
    assert torch.equal(inside, apply(x, draw(PRESETS[name], 8, (3, 16, 16), generator=source())))
    assert narrow.dtype == torch.float32


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("name", PRESETS)
def test_the_memory_format_stays(name, layout):
    x = samples().contiguous(memory_format=layout)
    assert apply(x, always(x, **PRESETS[name])).is_contiguous(memory_format=layout)


SHAPE, MANY = (3, 32, 64), 20_000


def many(p=1.0, **transforms):
    return draw(transforms, MANY, SHAPE, p, generator=source(3))


def expect(values, *, mean, std):
    assert values.mean().item() == pytest.approx(mean, abs=4 * std / math.sqrt(MANY))
    assert values.std().item() == pytest.approx(std, rel=0.03)


def uniform(width):
    return width / math.sqrt(12)


# --- geometry


@pytest.mark.parametrize("channels", [1, 3])
def test_flips_are_exact(channels):
    x = samples(2, channels, 7, 10)
    for name, axis in (("xflip", 3), ("yflip", 2)):
        for whole in (True, False):
            y = apply(x, replace(made(name, x, each(0.2, 0.7)), whole=whole))
            assert torch.equal(y[0], x[0])
            assert torch.equal(y[1], x[1].flip(axis - 1))


def test_quarter_turns_are_exact():
    x = samples(4)
    for whole in (True, False):
        y = apply(x, replace(made("rot90", x, each(0.1, 0.3, 0.6, 0.9)), whole=whole))
        for quarter in range(4):
            assert torch.equal(y[quarter], x[quarter].rot90(-quarter, (1, 2)))


def test_whole_pixels_are_moved_exactly_and_reflect():
    x = samples(1, 3, 16, 32)
    for u, v, right, down in ((0.0, 0.5, -4, 0), (0.75, 0.0, 2, -2), (0.99, 0.99, 4, 2)):
        for whole in (True, False):
            y = apply(x, replace(made("xint", x, each(u), each(v)), whole=whole))
            padded = F.pad(x, (4, 4, 2, 2), mode="reflect")
            assert torch.equal(y, padded[:, :, 2 - down : 18 - down, 4 - right : 36 - right])


@pytest.mark.parametrize("size", [16, 13])
def test_translate_moves_0_in(size):
    x, reach = samples(1, 3, size, size), int(size / 8 + 0.5)
    padded = F.pad(x, (reach,) * 4)
    seen = set()
    for u, v in torch.rand(60, 2, generator=source()):
        (right, down) = (math.floor(number * (2 * reach + 1)) - reach for number in (u, v))
        y = apply(x, made("translate", x, u[None], v[None]))
        assert torch.equal(y, padded[:, :, reach - down :, reach - right :][:, :, :size, :size])
        seen |= {right, down}
    assert seen == set(range(-reach, reach + 1))


def test_half_a_turn_is_both_flips():
    x = samples(dtype=torch.float64)
    assert torch.allclose(apply(x, turned(x, math.pi)), x.flip(2, 3), atol=1e-4)


def test_four_quarter_turns_and_a_turn_back():
    x = y = smooth()
    for _ in range(4):
        y = apply(y, turned(x, math.pi / 2))
    assert torch.allclose(y, x, atol=1e-3)
    inner = slice(8, 24)
    back = apply(apply(x, turned(x, 0.4)), turned(x, -0.4))
    assert torch.allclose(back[:, :, inner, inner], x[:, :, inner, inner], atol=0.01)
    assert not torch.allclose(apply(x, turned(x, 0.4)), x, atol=0.1)


def test_rotation_agrees_with_torchvision():
    x = samples(2, 3, 32, 32)
    inner = slice(8, 24)  # torchvision fills what lies outside
    y = apply(x, turned(x, math.radians(25)))
    theirs = vision.rotate(x, -25, interpolation=vision.InterpolationMode.BILINEAR)
    assert torch.allclose(y[:, :, inner, inner], theirs[:, :, inner, inner], atol=1e-4)


@pytest.mark.parametrize("stretch", ["scale", "xfrac", "shear", "aniso"])
def test_resampling_agrees_with_grid_sample(stretch):
    x = samples(16, 3, 12, 20, torch.float64)
    draws = always(x, xint=1, rotate=1, **{stretch: 1})
    half = torch.tensor([(20 - 1) / 2, (12 - 1) / 2], dtype=torch.float64)
    theta = draws.affine.double() * torch.cat([half, torch.ones(1)]) / half[:, None]
    grid = F.affine_grid(theta, list(x.shape), align_corners=True)
    theirs = F.grid_sample(x, grid, padding_mode="reflection", align_corners=True)
    assert torch.allclose(apply(x, draws), theirs)


def test_geometry_acts_in_the_order_of_the_table():
    """The whole pixels of xint come before the rotation, the fractions of xfrac after it."""
    before, after = many(xint=1, rotate=1).affine[:, :, 2], many(rotate=1, xfrac=1).affine[:, :, 2]
    assert torch.equal(before, before.round())
    for offset in after.unbind(1):  # seen through a rotation, both axes have the mean variance
        expect(offset, mean=0, std=math.sqrt((8**2 + 4**2) / 2))


def test_scales_seen():
    """A scale of 2 shows the middle twice as large, aniso's stretches x and shrinks y."""
    x = smooth(1)
    z = each(5.0)  # 2^(0.2 * 5) = 2
    middle = slice(8, 24)
    for name in ("scale", "zoom"):
        shrunk = F.avg_pool2d(apply(x, made(name, x, z)), 2)
        assert torch.allclose(shrunk, x[:, :, middle, middle], atol=0.01)
    stretched = apply(x, made("aniso", x, z))
    assert torch.allclose(F.avg_pool2d(stretched, (1, 2))[:, :, 10:22], _rows(x)[:, :, 10:22], atol=0.02)


def _rows(x):
    """The inner half of the columns, every second row about the middle."""
    rows = (2 * (torch.arange(32) - 15.5) + 15.5).clamp(0, 31)
    low = rows.floor().long().clamp(max=30)
    return torch.lerp(x[:, :, low], x[:, :, low + 1], (rows - low)[:, None])[:, :, :, 8:24]


def test_a_shear_moves_rows_by_their_height():
    x = samples(1, 1, 9, 9)
    y = apply(x, made("shear", x, each(5.0)))  # by one pixel a row
    assert torch.equal(y[0, 0, 4], x[0, 0, 4])
    assert torch.equal(y[0, 0, 5, 1:], x[0, 0, 5, :-1])
    assert torch.equal(y[0, 0, 3, :-1], x[0, 0, 3, 1:])


# --- colour


def test_brightness_adds_a_constant():
    x = samples()
    draws = always(x, brightness=1)
    offset = draws.colour[:, :1, -1:, None]
    assert offset.std() > 0.05
    assert torch.equal(apply(x, draws), x + offset)


def test_contrast_multiplies():
    x = samples()
    y = apply(x, made("contrast", x, torch.linspace(-2, 2, 8)))
    assert torch.allclose(y, x * 2 ** torch.linspace(-1, 1, 8)[:, None, None, None])


def test_saturation_keeps_the_mean_and_scales_the_rest():
    x = samples(3)
    y = apply(x, made("saturation", x, each(-1.0, 0.0, 1.0)))
    mean = x.mean(1, keepdim=True)
    assert torch.allclose(y, mean + each(0.5, 1.0, 2.0)[:, None, None, None] * (x - mean), atol=1e-6)


def test_saturation_0_is_gray():
    x = samples(2)
    y = apply(x, made("diff_saturation", x, torch.zeros(2)))
    assert torch.allclose(y, x.mean(1, keepdim=True).expand_as(x), atol=1e-6)
    x = samples(2, 1)
    assert torch.equal(apply(x, made("diff_saturation", x, torch.zeros(2))), x)


def test_luma_flip_mirrors_the_gray_axis():
    for channels in (1, 3, 4):
        x = samples(2, channels)
        y = apply(x, made("lumaflip", x, each(0.1, 0.9)))
        assert torch.equal(y[0], x[0])
        assert torch.allclose(y[1], x[1] - 2 * x[1].mean(0, keepdim=True), atol=1e-6)


def test_hue_keeps_the_mean_and_the_norm():
    x = samples()
    y = apply(x, always(x, hue=1))
    assert torch.allclose(y.mean(1), x.mean(1), atol=1e-6)
    assert torch.allclose(y.square().sum(1), x.square().sum(1), atol=1e-5)
    assert not torch.allclose(y, x, atol=0.1)


def test_a_third_of_a_turn_of_hue_permutes_the_channels():
    x = samples(2)
    y = apply(x, made("hue", x, each(5 / 6, 1 / 6)))
    assert torch.allclose(y[0], x[0].roll(1, 0), atol=1e-6)
    assert torch.allclose(y[1], x[1].roll(-1, 0), atol=1e-6)


def test_contrast_about_the_mean_agrees_with_torchvision():
    """On gray samples, whose mean is the same for both, and away from where torchvision clamps."""
    x = 0.5 + 0.1 * samples(4, 1)
    draws = always(x, diff_contrast=1)
    factors = draws.colour[:, 0, 0]
    assert factors.std() > 0.1
    theirs = [vision.adjust_contrast(sample, factor.item()) for sample, factor in zip(x, factors, strict=True)]
    assert torch.allclose(apply(x, draws), torch.stack(theirs), atol=1e-6)


def test_contrast_about_the_mean_of_all_channels():
    x = samples(4)
    draws = always(x, diff_brightness=1, diff_contrast=1)
    y, mean = apply(x, draws), x.mean((1, 2, 3), keepdim=True)
    factor, offset = draws.colour[:, :1, :1, None], y.mean((1, 2, 3), keepdim=True) - mean
    assert torch.allclose(y, mean + offset + factor * (x - mean), atol=1e-5)


def test_colours_act_in_the_order_of_the_table():
    """Brightness before contrast: the constant is multiplied, too."""
    x = samples()
    both, brightness = always(x, brightness=1, contrast=1), always(x, brightness=1)
    assert not torch.allclose(both.colour[:, :, -1], brightness.colour[:, :, -1])
    assert torch.allclose(
        apply(-x, both) + apply(x, both), 2 * both.colour[:, :, -1, None, None].expand_as(x), atol=1e-5
    )
    wide = draw({"brightness": 1, "contrast": 1}, 20_000, (1, 4, 4), generator=source()).colour[:, 0]
    assert (wide[:, 1] / wide[:, 0]).std().item() == pytest.approx(0.2, rel=0.03)


# --- holes


def test_cutout_clears_a_quarter_of_the_sample_and_nothing_else():
    x = samples(3, 3, 16, 32)
    y = apply(x, made("cutout", x, each(0.5, 0.0, 0.75), each(0.5, 0.0, 0.5)))
    hole = y == 0
    assert torch.equal(y[~hole], x[~hole])
    assert hole.float().mean((1, 2, 3)).tolist() == [1 / 4, 1 / 16, 1 / 4]
    assert hole[1, :, :4, :8].all()
    assert hole[2, :, 4:12, 16:].all()


# --- draws


def test_the_draws_of_geometry_have_the_published_spread():
    expect(-many(scale=1).affine[:, 0, 0].log2(), mean=0, std=0.2)
    aniso = many(aniso=1).affine
    expect(-aniso[:, 0, 0].log2(), mean=0, std=0.2)
    assert torch.allclose(aniso[:, 0, 0] * aniso[:, 1, 1], torch.ones(MANY))
    expect(-many(xfrac=1).affine[:, 0, 2], mean=0, std=64 / 8)
    expect(-many(xfrac=1).affine[:, 1, 2], mean=0, std=32 / 8)
    expect(many(xint=1).affine[:, 0, 2], mean=0, std=uniform(16))
    assert many(xint=1).affine[:, 1, 2].unique().tolist() == list(range(-4, 5))
    expect(many(translate=1).affine[:, 0, 2], mean=0, std=math.sqrt((17**2 - 1) / 12))
    expect(many(shear=1).affine[:, 0, 1], mean=0, std=0.2)
    zoom = -many(zoom=1).affine[:, 0, 0].log2()
    assert zoom.min() >= 0
    expect(zoom, mean=0.2 * math.sqrt(2 / math.pi), std=0.2 * math.sqrt(1 - 2 / math.pi))


def test_the_draws_of_colour_have_the_published_spread():
    expect(many(brightness=1).colour[:, 0, -1], mean=0, std=0.2)
    expect(many(contrast=1).colour[:, 0, 0].log2(), mean=0, std=0.5)
    matrix = many(saturation=1).colour
    expect((matrix[:, 0, 0] - matrix[:, 0, 1]).log2(), mean=0, std=1)
    matrix = many(hue=1).colour
    cosine, sine = (matrix[:, 0, 0] * 3 - 1) / 2, (matrix[:, 1, 0] - matrix[:, 0, 1]) * math.sqrt(3) / 2
    expect(torch.atan2(sine, cosine), mean=0, std=uniform(2 * math.pi))
    expect(many(diff_brightness=1).colour[:, 0, -1], mean=0, std=uniform(1))
    matrix = many(diff_saturation=1).colour
    expect(matrix[:, 0, 0] - matrix[:, 0, 1], mean=1, std=uniform(2))
    expect(many(diff_contrast=1).colour[:, 0, 0], mean=1, std=uniform(1))


def test_the_draws_of_holes_have_the_published_spread():
    left, top, right, bottom = many(cutout=1).holes[:, 0].unbind(1)
    assert torch.allclose(right - left, torch.tensor(32.0))
    assert torch.allclose(bottom - top, torch.tensor(16.0))
    expect(left + 16, mean=32, std=uniform(64))
    expect(top + 8, mean=16, std=uniform(32))


VISIBLE = {"xflip": 1 / 2, "yflip": 1 / 2, "rot90": 3 / 4, "lumaflip": 1 / 2, "xint": 1 - 1 / (16 * 8), "time": 15 / 16}
"""How often a transform that is on can be told from the identity; all others: always."""


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"rotate", "translate"}))
def test_strength_is_the_share_of_samples_that_are_transformed(name):
    expected = 0.3 * VISIBLE.get(name, 1)
    assert _share(many(0.6, **{name: 0.5})) == pytest.approx(expected, abs=0.015)


def test_one_of_two_rotations_is_on_with_chance_p():
    assert _share(many(0.6, rotate=0.5)) == pytest.approx(0.3, abs=0.015)
    assert _share(many(1.0, rotate=1)) == 1


def test_transforms_are_switched_on_independently():
    draws = many(0.5, scale=1, brightness=1)
    both = (draws.affine[:, 0, 0] != 1) & (draws.colour[:, 0, -1] != 0)
    assert both.float().mean().item() == pytest.approx(0.25, abs=0.015)


def _share(draws):
    """Of the samples that are not left alone."""
    if draws.holes is not None:
        changed = draws.holes.flatten(1) != 0
    else:
        matrix = draws.affine if draws.affine is not None else draws.colour
        changed = (matrix != torch.eye(matrix.shape[2])[:-1]).flatten(1)
    return changed.any(1).float().mean().item()


def test_masks_of_spectrograms_span_all_bands_or_all_frames_and_an_eighth_of_the_other_side():
    left, top, right, bottom = many(gap=1).holes[:, 0].unbind(1)
    assert (top == 0).all()
    assert (bottom == 32).all()
    expect(right - left, mean=4, std=uniform(8))
    left, top, right, bottom = many(band=1).holes[:, 0].unbind(1)
    assert (left == 0).all()
    assert (right == 64).all()
    expect(bottom - top, mean=2, std=uniform(4))


def test_sound_moves_in_time_alone_and_gain_is_one_number_for_all_bands():
    affine = many(time=1).affine
    assert (affine[:, 1, 2] == 0).all()
    assert affine[:, 0, 2].abs().max() == 8
    assert torch.equal(affine[:, 0, 2], affine[:, 0, 2].round())
    expect(many(gain=1).colour[:, 0, -1], mean=0, std=0.1)


def test_a_wave_moves_by_whole_samples_and_its_gain_is_a_factor():
    drawn = draw({"time": 1, "gain": 1}, MANY, (1, 1, 64), generator=source(), wave=True)
    moved = drawn.affine[:, 0, 2]
    assert drawn.whole
    assert torch.equal(moved, moved.round())
    assert moved.abs().max() == 8
    factors = drawn.colour[:, 0, 0].log2()
    expect(factors, mean=0, std=0.5)
    assert not drawn.colour[:, 0, 1].any(), "silence stays silent"


def louder(x):
    augment = Augmentation.on(torch.device("cpu"), {"gain": 1})
    augment.memory["strength"].fill_(1)
    return augment(x, Draws((0, 0), len(x), slice(None), x.device, x.dtype), "fake")


@pytest.mark.parametrize("bands", [1, 2])
def test_gain_is_a_sum_in_a_spectrogram_of_any_number_of_bands(bands):
    x = torch.linspace(-1, 1, 3 * bands * 8, dtype=torch.float64).view(3, 1, bands, 8)
    moved = (louder(x) - x).flatten(1)
    assert (moved.std(1) < 1e-6).all()
    assert (moved.mean(1).abs() > 1e-3).all()


def test_gain_is_a_factor_in_a_wave():
    x = torch.linspace(-1, 1, 3 * 8, dtype=torch.float64).view(3, 1, 8)
    factors = (louder(x) / x).flatten(1)
    assert (factors.std(1) < 1e-6).all()
    assert ((factors.mean(1) - 1).abs() > 1e-3).all()


def test_waves_are_augmented_as_rows_and_their_gradients_pass():
    x = torch.arange(24.0).view(2, 1, 12).requires_grad_()
    augment = Augmentation.on(torch.device("cpu"), {"time": 1})
    augment.memory["strength"].fill_(1)
    seen = augment(x, Draws((0, 0), 2, slice(None), x.device, torch.float32), "fake")
    assert seen.shape == x.shape
    middle = seen[:, 0, 2:-2].detach()
    assert torch.equal(middle[:, 1:] - middle[:, :-1], torch.ones(2, 7)), "each is moved as a whole"
    (gradient,) = torch.autograd.grad(seen.sum(), x)
    assert gradient.sum() == 24
    half = Draws((0, 0), 2, slice(1, 2), x.device, torch.float32)
    assert torch.equal(augment(x[1:], half, "fake"), seen[1:]), "a worker's share is moved as it is in the batch"


def test_flips_and_turns_are_not_for_sounds():
    assert set(names_of("wave")) == {"gain", "time"}
    assert set(names_of("sound")) == {"gain", "time", "gap", "band", "cutout"}
    assert set(names_of("image")) == set(NAMES) - {"gain", "time", "gap", "band"}


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match=r"xflop is not known; known: .*xflip"):
        draw({"xflop": 1}, 2, (1, 8, 8), generator=source())


def test_other_samples_are_refused():
    draws = always(samples(), **PRESETS["ada"])
    with pytest.raises(ValueError, match=r"\[8, 3, 16, 16\], got \[8, 1, 16, 16\]"):
        apply(samples(8, 1), draws)


def test_presets_hold_known_names_and_factors():
    for preset in PRESETS.values():
        assert set(preset) <= set(NAMES)
        assert all(0 < factor <= 1 for factor in preset.values())
    assert set(PRESETS["bgc"]) - set(PRESETS["ada"]) == {"xflip", "rot90", "lumaflip"}
    moves = dict.fromkeys(("xflip", "rot90", "xint", "scale", "rotate", "aniso", "xfrac", "cutout"), 1)
    assert PRESETS["r3gan"] == moves | dict.fromkeys(("brightness", "contrast", "lumaflip", "hue", "saturation"), 0.5)


# --- ADA


def test_the_strength_follows_the_signs():
    p = torch.tensor(0.5)
    assert adapt(p, torch.tensor(0.7), images=5000).item() == pytest.approx(0.51)
    assert adapt(p, torch.tensor(0.5), images=5000).item() == pytest.approx(0.49)
    assert adapt(p, torch.tensor(0.6), images=5000).item() == 0.5
    assert adapt(p, torch.tensor(0.5), images=5000, target=0.4, per_images=100_000).item() == pytest.approx(0.55)


def test_the_strength_stays_a_chance():
    assert adapt(torch.tensor(0.0), torch.tensor(-1.0), images=64).item() == 0
    assert adapt(torch.tensor(0.999), torch.tensor(1.0), images=5000).item() == 1


def test_the_strength_crosses_its_range_in_the_given_number_of_samples():
    p = torch.tensor(0.0)
    for _ in range(500):
        p = adapt(p, torch.tensor(1.0), images=900)
    assert p.item() == pytest.approx(0.9, abs=1e-3)


def films(count=4, channels=3, frames=5, size=16, dtype=torch.float64):
    return torch.rand(count, channels, frames, size, size, generator=source(1), dtype=dtype) * 2 - 1


def test_films_have_the_transforms_of_images_and_none_of_sounds():
    assert names_of("video") == names_of("image")
    given = {"data.kind": "video", "model.architecture": "mocogan", "model.latent": 112}
    experiment = config.parse({}).override({**given, "train.augment.transforms": {"time": 1, "xint": 1}})
    with pytest.raises(ConfigError, match=r"transforms: time would make something else of data\.kind: video"):
        build.augmentation(experiment, torch.device("cpu"))


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "none"])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_frames_of_a_film_are_augmented_alike(channels, preset):
    """A frame that is held is held afterwards, and each is what it would be as a picture, but for its own contrast."""
    still = films(6, channels)[:, :, :1].expand(-1, -1, 5, -1, -1)
    drawn = draw(PRESETS[preset], 6, (channels, 16, 16), 1.0, generator=source())
    augmented = apply(still, drawn)
    assert augmented.shape == still.shape
    assert (augmented == augmented[:, :, :1]).all()
    assert torch.allclose(augmented[:, :, 0], apply(still[:, :, 0], drawn), atol=1e-12)
    plain = {name: factor for name, factor in PRESETS[preset].items() if name != "diff_contrast"}
    drawn, moving = draw(plain, 6, (channels, 16, 16), 1.0, generator=source()), films(6, channels)
    frames = [apply(moving[:, :, t], drawn) for t in range(5)]
    assert torch.allclose(apply(moving, drawn), torch.stack(frames, 2), atol=1e-12)


def test_the_contrast_of_a_film_is_about_its_own_mean():
    x = films(3)
    drawn = always(x[:, :, 0], diff_contrast=1)
    low, high = (apply(x + by, drawn).mean((1, 2, 3, 4)) for by in (0, 0.5))
    assert torch.allclose(high - low, torch.full((3,), 0.5, dtype=x.dtype))


def test_the_gradient_of_the_gradient_of_augmented_films():
    x = films(2, 1, 3, 8).requires_grad_()
    drawn = draw(PRESETS["ada"], 2, (1, 8, 8), 1.0, generator=source())
    assert torch.autograd.gradcheck(lambda x: apply(x, drawn), x)
    assert torch.autograd.gradgradcheck(lambda x: apply(x, drawn).square(), x)


def test_draws_of_other_films_are_refused():
    x = films(2)
    with pytest.raises(ValueError, match=r"the draws are for samples \[2, 1, 16, 16\], got \[2, 3, 5, 16, 16\]"):
        apply(x, draw({"xint": 1}, 2, (1, 16, 16), generator=source()))
