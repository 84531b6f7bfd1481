"""Augmentations of samples [N, C, H, W] in [-1, 1] on the device, inside the graph.

Films are [N, C, T, H, W], all frames of one augmented alike, and waves [N, 1, T].

D is shown augmented samples only, real and generated ones alike, so that G is not taught the augmentations (Karras et
al. 2020, "Training Generative Adversarial Networks with Limited Data", section 2; Zhao et al. 2020, "Differentiable
Augmentation for Data-Efficient GAN Training"). `draw` makes the parameters of the whole batch of a step, of which each
worker takes its slice; `apply` is affine in x and can be differentiated any number of times.

One draw is for a whole film: all its frames are changed alike, so that it moves as before, seen from another side.

The order is colour, geometry, cutout. ADA puts geometry first; its colour acts on each pixel alone and thus commutes
with any resampling. All geometry of a sample is one affine matrix and one bilinear resampling, all colour one matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganops.core.collective import mean_over_workers
from ganops.core.errors import ConfigError
from ganops.core.randomness import Draws
from ganops.data.transforms import (
    NAMES,
    PRESETS,
    STRENGTHS,
    TRANSFORMS,
    Shape,
    Strength,
    Transform,
    names_of,
)  # fmt: skip

__all__ = [
    "NAMES", "PRESETS", "STRENGTHS", "TRANSFORMS", "Augmentation", "Drawn", "Transform", "adapt", "apply", "draw",
    "names_of",
]  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """Transforms drawn for each of N samples; a slice holds those of a part of the samples."""

    count: int
    shape: Shape
    colour: Tensor | None = None
    """[N, C, C + 1]: matrix and offset."""
    pivot: Tensor | None = None
    """[N, C, C]: what of the sample's own mean colour [C] is added besides."""
    affine: Tensor | None = None
    """[N, 2, 3]: the place (x, y) in pixels from the centre at which an output pixel reads."""
    whole: bool = False
    """All places are whole pixels: nothing has to be interpolated."""
    holes: Tensor | None = None
    """[N, K, 4]: rectangles (left, top, right, bottom) in pixels that become 0, mid-gray."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> "Drawn":
        drawn = {name: getattr(self, name) for name in ("colour", "pivot", "affine", "holes")}
        cut = {name: values[rows] for name, values in drawn.items() if values is not None}
        return replace(self, count=len(range(self.count)[rows]), **cut)


def draw(
    transforms: Mapping[str, float], count: int, shape: Shape, p: Strength = 1.0, *, generator: torch.Generator,
    wave: bool = False,
) -> Drawn:  # fmt: skip
    """The parameters of `count` samples.

    All is drawn as if every transform were on, and p decides afterwards: it changes which samples are transformed, not
    how. With a generator that is fresh for each step and purpose, the parameters of sample i of step t follow from
    (seed, t, i) for any number of workers: draw for the whole batch, then slice.

    Args:
        transforms: name -> factor of p in [0, 1], as in `PRESETS`. 0: off.
        count: samples of the step over all workers.
        shape: of a sample, or of a frame of a film.
        p: strength in [0, 1].
        generator: the only source of randomness, of the CPU.
        wave: the samples are waves.

    Raises:
        ConfigError: A name is not in `TRANSFORMS`.
    """
    chosen = _chosen(transforms)
    return _decided(chosen, transforms, _numbers(chosen, count, shape, generator, wave=wave), shape, p)


class Numbers(NamedTuple):
    """The matrices of T transforms for each of N samples, drawn as if all were on, and what decides whether they are.

    Of a part of the transforms, such as those of colour, they stand in the order in which they act.
    """

    chances: Tensor
    """[N, T] in [0, 1): on where it is below the chance of the transform."""
    colour: Tensor
    """[N, of colour, C + 1, C + 1]."""
    spread: Tensor
    """The same for what differs from the sample's mean colour; empty where no transform treats that apart."""
    geometry: Tensor
    """[N, of geometry, 3, 3]."""
    holes: Tensor
    """[N, K, 4]."""


def _chosen(transforms: Mapping[str, float]) -> list[Transform]:
    """Return the transforms that are on, in the order in which they act; ConfigError where a name is not known."""
    unknown = sorted(transforms.keys() - set(NAMES))
    if unknown:
        raise ConfigError(f"augmentation {', '.join(unknown)} is not known; known: {', '.join(NAMES)}")
    return [transform for transform in TRANSFORMS if transforms.get(transform.name, 0) > 0]


def _numbers(
    chosen: Sequence[Transform], count: int, shape: Shape, generator: torch.Generator, *, wave: bool
) -> Numbers:
    """Draw on the CPU, so that a GPU gets the very matrices: sines and powers of two are not the same there."""
    uniform = iter(torch.rand(sum(1 + t.uniform for t in chosen), count, generator=generator))
    normal = iter(torch.randn(sum(t.normal for t in chosen), count, generator=generator))
    chances, colour, spread, geometry, holes = [torch.empty(count, 0)], [], [], [], [torch.empty(count, 0, 4)]
    for transform in chosen:
        chances.append(next(uniform)[:, None])
        numbers = [next(uniform) for _ in range(transform.uniform)] + [next(normal) for _ in range(transform.normal)]
        if coloured := (transform.of_wave if wave else None) or transform.colour:
            colour.append(coloured(shape, *numbers))
            spread.append(transform.spread(shape, *numbers) if transform.spread else colour[-1])
        if transform.geometry:
            geometry.append(transform.geometry(shape, *numbers))
        if transform.hole:
            holes.append(transform.hole(shape, *numbers))
    apart = spread if any(transform.spread for transform in chosen) else []
    stacks = [torch.stack(each, 1) if each else torch.empty(count, 0) for each in (colour, apart, geometry)]
    return Numbers._make([torch.cat(chances, 1), *stacks, torch.cat(holes, 1)])


def _decided(
    chosen: Sequence[Transform], factors: Mapping[str, float], numbers: Numbers, shape: Shape, p: Strength
) -> Drawn:
    """Put the identity in the place of the transforms that are off."""
    if not chosen:
        return Drawn(len(numbers.chances), shape)
    chances = [transform.chance(p * factors[transform.name]) for transform in chosen]
    below = torch.stack(chances) if isinstance(p, Tensor) else torch.tensor(chances)  # type: ignore[arg-type]
    on = [*zip(chosen, (numbers.chances < below).unbind(1), strict=True)]
    colour = [each for transform, each in on if transform.colour]
    geometry = [each for transform, each in on if transform.geometry]
    holes = [each for transform, each in on if transform.hole for _ in range(transform.holes)]
    means = _where(colour, numbers.colour)
    matrix, pivot = _colours(means, _where(colour, numbers.spread) if numbers.spread.numel() else means)
    return Drawn(
        len(numbers.chances),
        shape,
        matrix,
        pivot,
        affine=_product(_where(geometry, numbers.geometry))[:, :-1] if geometry else None,
        whole=all(transform.whole for transform in chosen if transform.geometry),
        holes=numbers.holes * torch.stack(holes, 1)[..., None] if holes else None,
    )


def apply(x: Tensor, draws: Drawn) -> Tensor:
    """The augmented samples, in the memory format of x [N, C, H, W] or [N, C, T, H, W] and at least float32.

    Outside, an image is continued by reflection about its outermost pixels. On CUDA the gradient is summed in an order
    that may vary, unless `torch.use_deterministic_algorithms` is on.
    """
    if x.dim() not in (4, 5) or (*x.shape[:2], *x.shape[-2:]) != (len(draws), *draws.shape):
        raise ValueError(f"the draws are for samples {[len(draws), *draws.shape]}, got {list(x.shape)}")
    planar = x.dim() == 4
    last = planar and x.is_contiguous(memory_format=torch.channels_last)
    layout, shape = torch.channels_last if last else torch.contiguous_format, x.shape
    x = (x if x.dtype == torch.float64 else x.float()).contiguous()  # plane by plane is faster here
    if draws.colour is not None:  # the frames of a film below one another: their mean colour is that of the film
        x = _recolour(x if planar else x.flatten(2, 3), draws.colour, draws.pivot)
    x = x.reshape(shape[0], -1, *shape[-2:])  # the frames of a film beside one another, as channels
    if draws.affine is not None:
        x = _resample(x, draws.affine, whole=draws.whole)
    if draws.holes is not None:
        x = x.masked_fill(_inside(draws.holes, draws.shape), 0)
    return x.reshape(shape).contiguous(memory_format=layout)


def adapt(p: Tensor, signs: Tensor, *, images: int, target: float = 0.6, per_images: int = 500_000) -> Tensor:
    """The next strength p in [0, 1] of ADA: up if D overfits, down if it does not (Karras et al. 2020, section 3).

    Args:
        p: [], the strength so far.
        signs: [], the mean sign of D's decision on all real samples since the last change: r_t of equation 1. It is
            that of D(x) where the objective gives D(x) a level (see `losses/adversarial.py`).
        images: real samples since then; the paper changes p every 4 batches.
        target: of the mean sign.
        per_images: samples in which p can go from 0 to 1.
    """
    return (p + torch.sign(signs - target) * (images / per_images)).clamp(0, 1)


ADAPT_STEPS = 4
"""Discriminator steps between two changes of an adaptive strength."""


@dataclass(frozen=True)
class Augmentation:
    """Transforms of the samples that D is shown; their strength is part of the state of a training."""

    transforms: Mapping[str, float]
    """Name -> factor of the strength, as in `PRESETS`."""
    adaptive: bool = False
    """The strength starts at 0 and follows from how far D overfits; else whoever runs the training sets it."""
    target: float = 0.6
    per_images: int = 500_000
    memory: dict[str, Tensor] = field(default_factory=dict)
    """`strength`, and `signs`: the sum of the mean signs since its last change."""

    @classmethod
    def on(cls, device: torch.device, transforms: Mapping[str, float], **options: Any) -> "Augmentation":
        """Return an augmentation whose memory lies on the device."""
        return cls(transforms, **options, memory={key: torch.zeros((), device=device) for key in ("strength", "signs")})

    def __call__(self, x: Tensor, draws: Draws, name: str) -> Tensor:
        """Return this worker's samples [N, C, H, W], films or waves, augmented by what the step draws by a name."""
        wave = x.ndim == 3  # known here, as draws keep the function below: with x it would keep a step's graph
        planes = x.unsqueeze(2) if wave else x
        channels, height, width = planes.shape[1], *planes.shape[-2:]
        chosen, shape = _chosen(self.transforms), (channels, height, width)
        numbers = draws.of(f"augment {name}", lambda source: _numbers(chosen, draws.batch, shape, source, wave=wave))
        drawn = _decided(chosen, self.transforms, Numbers._make(numbers), shape, self.memory["strength"])
        return apply(planes, drawn).view(x.shape)

    def moves(self, turn: int) -> bool:
        """Return True where the strength follows from the signs after a turn of D."""
        return self.adaptive and turn % ADAPT_STEPS == ADAPT_STEPS - 1

    def observe(self, turn: int, signs: Tensor, batch: int) -> None:
        """Note after each step of D how sure it is of this worker's real samples: the mean sign, in [-1, 1]."""
        if not self.adaptive:
            return
        self.memory["signs"].add_(mean_over_workers(signs))
        if self.moves(turn):
            strength, mean = self.memory["strength"], self.memory["signs"] / ADAPT_STEPS
            strength.copy_(
                adapt(strength, mean, images=ADAPT_STEPS * batch, target=self.target, per_images=self.per_images)
            )
            self.memory["signs"].zero_()


def _recolour(x: Tensor, colour: Tensor, pivot: Tensor | None) -> Tensor:
    """Sums of products, not a matrix product: autocast and TF32 would round it."""
    colour = colour.to(x.dtype)
    offset = colour[:, :, -1]
    if pivot is not None:
        offset = offset + (pivot.to(x.dtype) * x.mean((2, 3))[:, None]).sum(2)
    columns, planes = colour[:, :, :-1, None, None].unbind(2), x[:, None].unbind(2)
    return sum((a * b for a, b in zip(columns, planes, strict=True)), start=offset[..., None, None])


def _resample(x: Tensor, affine: Tensor, *, whole: bool) -> Tensor:
    """Bilinear interpolation as a weighted sum of pixels; `F.grid_sample` has no second derivative."""
    count, channels, height, width = x.shape
    u, v = _places(affine.to(x.dtype), height, width)
    left, top = ((u + 0.5).floor(), (v + 0.5).floor()) if whole else (u.floor(), v.floor())
    columns = [(_reflect(left, width), 1 - (u - left)), (_reflect(left + 1, width), u - left)]
    rows = [(_reflect(top, height) * width, 1 - (v - top)), (_reflect(top + 1, height) * width, v - top)]
    corners = [(row, column) for row in rows for column in columns][: 1 if whole else 4]
    index = torch.stack([row + column for (row, _), (column, _) in corners], 1).long()
    index = index.view(count, 1, -1).expand(-1, channels, -1)
    pixels = x.flatten(2).gather(2, index).view(count, channels, -1, height, width)
    if whole:
        return pixels[:, :, 0]
    weights = torch.stack([a * b for (_, a), (_, b) in corners], 1)
    return (pixels * weights[:, None]).sum(2)


def _places(affine: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the places that output pixels read: column and row, [N, H, W] each."""
    x = torch.arange(width, device=affine.device, dtype=affine.dtype) - (width - 1) / 2
    y = torch.arange(height, device=affine.device, dtype=affine.dtype)[:, None] - (height - 1) / 2
    u, v = (a * x + b * y + c for a, b, c in affine[..., None, None].permute(1, 2, 0, 3, 4))
    return u + (width - 1) / 2, v + (height - 1) / 2


def _reflect(place: Tensor, size: int) -> Tensor:
    """Whole places on an endless line, folded into [0, size): 2 1 | 0 1 2 3 | 2 1."""
    period = max(2 * (size - 1), 1)
    place = place.remainder(period)
    return torch.minimum(place, period - place)


def _inside(holes: Tensor, shape: Shape) -> Tensor:
    """Return a mask of the pixels whose middle lies in any rectangle: bool [N, 1, H, W]."""
    _, height, width = shape
    left, top, right, bottom = holes.unbind(2)
    x, y = (torch.arange(size, device=holes.device) + 0.5 for size in (width, height))
    column = (left[..., None] <= x) & (x < right[..., None])
    row = (top[..., None] <= y) & (y < bottom[..., None])
    return (row[..., :, None] & column[..., None, :]).any(1, keepdim=True)


def _colours(colour: list[Tensor], spread: list[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """S (x - μ) + M μ + b = S x + b + (M - S) μ, where μ is the mean colour of the sample itself."""
    if not colour:
        return None, None
    # a later entry acts on the result of the earlier ones
    mean, rest = _product(colour[::-1])[:, :-1], _product(spread[::-1])[:, :-1]
    matrix = torch.cat([rest[:, :, :-1], mean[:, :, -1:]], 2)
    return matrix, None if spread is colour else (mean - rest)[:, :, :-1]


def _product(matrices: list[Tensor]) -> Tensor:
    """Return the product of matrices [N, k, k], exact as float32: whole pixels stay whole under autocast and TF32."""
    total, *others = matrices
    for matrix in others:
        total = (total[:, :, :, None] * matrix[:, None]).sum(2)
    return total


def _where(on: list[Tensor], matrices: Tensor) -> list[Tensor]:
    """The matrices [N, k, k] of which there is one stack [N, T, k, k], or the identity where they are off."""
    if not on:
        return []
    there = torch.stack(on, 1)[..., None, None]
    return [*torch.where(there, matrices, torch.eye(matrices.shape[-1], device=matrices.device)).unbind(1)]
