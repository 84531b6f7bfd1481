"""Reconstructions of held-out samples by an autoencoder, their error, and a bound of their likelihood.

None of it is a metric: a GAN has no such number, so no gate, comparison or table takes one.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganops.core.cores import in_pieces
from ganops.core.devices import exact
from ganops.core.randomness import Draws
from ganops.data import Prepared
from ganops.evaluation.verdict import HELD_OUT
from ganops.generator import Generator
from ganops.generator.encoder import WEIGHTS, Encoder
from ganops.kinds.text import END
from ganops.losses.autoencoding import COLLAPSED, SILENT_TEXT, normal_nats, sampled
from ganops.losses.likelihood import nll
from ganops.metrics.intervals import Interval
from ganops.metrics.texts import spoken

PIECE = 50
"""Samples whose random numbers are drawn as one, and which are looked at as one where the memory holds them."""
REPETITIONS = 1000
"""Bootstrap samples behind an interval."""
LEVELS = {"uint8": 127.5, "int16": 32768.0}
"""Levels of stored samples, by their type, in a unit of the numbers that networks see."""

ERROR = (
    "Root of the mean squared error of a number in grey levels of 255, over all samples of the split; the code is the "
    "encoder's mean."
)
BOUND = (
    "An upper bound of -log2 p(x) for each number of a sample, {bits} bits each, {of}: its levels are given uniform "
    "noise of one level (Theis et al. 2016, section 3.1), and the evidence bound (Kingma & Welling 2014, equation 3) "
    "is that of the averaged decoder with the encoder, the divergence with weight 1, one code a sample."
)
WORDS = (
    "Share of the words that differ at their place, over those of the longer of a text and its reconstruction, mean of "
    "all texts of the split; the code is the encoder's mean, and each word the likeliest after those before it."
)
BOUND_OF_TEXTS = (
    "An upper bound of -log p(x) of a text in nats, of all its places{of}: the evidence bound (Kingma & Welling 2014, "
    "equation 3) of the averaged decoder with the encoder, the divergence with weight 1, one code a text, no word left "
    "out. The nll_test of a model without a code counts the same places and is exact: it may be less for that alone."
)
"""Words of what was computed."""


def look(folder: Path, generator: Generator, prepared: Prepared, *, seed: int) -> tuple[dict[str, Any], Any]:
    """Figures of the held-out samples, and what a picture of the reconstructions shows.

    Args:
        folder: Place of the generator, beside which the encoder lies.
        generator: The generator.
        prepared: The real samples.
        seed: Draws noise, codes and bootstrap samples.

    Returns:
        `reconstruction` and, where the codes have distributions, `bound`, each with `what` was computed in words, or
        `left_out`: the reason why there is none; and the reconstructions, stored, of the samples in their
        order. Nothing where a game was trained. Of texts `reconstruction` has `whole` too, the share that comes back
        word for word, and `bound` the `divergence`, and an `alarm` where that is near 0.

    Raises:
        UserError: The encoder's file is damaged.
    """
    if not generator.description.code:
        return {}, None
    if not (folder / WEIGHTS).is_file():
        return {"reconstruction": {"left_out": f"there is no {WEIGHTS} beside the generator"}}, None
    encoder = Encoder.load(folder, generator)
    samples, labels = prepared.measured(HELD_OUT)
    labels = labels if generator.classes else None
    again = encoder.decode(encoder.encode(samples, labels), labels)
    about = {"samples": len(samples), "split": HELD_OUT}
    if generator.spec.kind == "text":
        texts = wrong(samples, again, ends=generator.spec.facts["words"][0] == END)
        error = _mean(texts, seed)
        said = {"error": error.value, "interval": error.ends, "whole": float((texts == 0).mean()), "what": WORDS}
        found = {"reconstruction": said | about, "bound": bound_of_texts(encoder, samples, labels, seed=seed) | about}
        return found, again
    error = _mean(errors(samples, again), seed, of=math.sqrt)
    found = {"reconstruction": {"error": error.value, "interval": error.ends, "what": ERROR, **about}}
    if encoder.variance:
        found["bound"] = bound(encoder, samples, labels, seed=seed) | about
    return found, again


def wrong(texts: NDArray[Any], again: NDArray[Any], *, ends: bool) -> NDArray[np.float64]:
    """Share of the words of each text that differ at their place, over those of the longer one, [N, L] -> [N]."""
    lengths = [max(map(len, pair), default=0) for pair in zip(spoken(texts, ends), spoken(again, ends), strict=True)]
    shares: NDArray[np.float64] = (texts != again).sum(1) / np.maximum(1, lengths)
    return shares


def bound_of_texts(
    encoder: Encoder, texts: NDArray[Any], labels: NDArray[np.int64] | None, *, seed: int
) -> dict[str, Any]:
    """The mean bound in `nats` of a text, its `interval`, the mean `divergence` in it, an `alarm`, and `what` it is."""
    words, divergence = nats_of_texts(encoder, texts, labels, seed=seed)
    mean, said = _mean(words + divergence, seed), float(divergence.mean())
    of = ", given its class" if encoder.description.classes else ""
    return {
        "nats": mean.value,
        "interval": mean.ends,
        "divergence": said,
        **({"alarm": COLLAPSED} if said < SILENT_TEXT else {}),
        "what": BOUND_OF_TEXTS.format(of=of),
    }


def nats_of_texts(
    encoder: Encoder, texts: NDArray[Any], labels: NDArray[np.int64] | None, *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimates of -E_q log P(x | code), and KL(q(code | x) || N(0, 1)) in nats, uint16 [N, L] -> two times [N].

    Their sum is at least -log P(x), but for the chance of the one code that is drawn for each text.
    """
    weight = next(encoder.network.parameters())

    @torch.no_grad()  # of each thread
    def read(piece: slice) -> NDArray[np.float64]:
        x = encoder.description.spec.floats(torch.from_numpy(np.array(texts[piece])).to(weight.device), weight.dtype)
        y = None if labels is None else torch.from_numpy(np.array(labels[piece], np.int64)).to(weight.device)
        draws = _draws(seed, piece, len(texts))
        code, divergence = sampled(exact(encoder.network(x, y)).cpu(), draws, "code")
        logits = exact(encoder.decoder(code.to(weight), y, given=x))
        words = nll(logits, x.to(logits.device))
        found: NDArray[np.float64] = torch.stack([words.cpu(), divergence]).numpy()
        return found

    found = np.concatenate(list(in_pieces(read, len(texts), PIECE, weight.device.type)), 1)
    return found[0], found[1]


def errors(images: NDArray[np.uint8], again: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared error of each sample in grey levels squared, [N, ...] -> [N]; 255 are the range of waves as well."""
    level = (np.iinfo(images.dtype).max - np.iinfo(images.dtype).min) / 255
    return np.array([np.square((x.astype(float) - y) / level).mean() for x, y in zip(images, again, strict=True)])


def bound(
    encoder: Encoder, images: NDArray[np.uint8], labels: NDArray[np.int64] | None, *, seed: int
) -> dict[str, Any]:
    """The mean bound in `nats` of a sample and in `bits_per_dimension`, its `interval`, and `what` it is."""
    values, numbers = nats(encoder, images, labels, seed=seed), math.prod(images.shape[1:])
    bits = _mean(values / (numbers * math.log(2)), seed)
    of = "given its class" if encoder.description.classes else "without labels"
    if encoder.description.prior:
        of += ", by the first stage alone"
    return {
        "bits_per_dimension": bits.value,
        "interval": bits.ends,
        "nats": float(values.mean()),
        "what": BOUND.format(of=of, bits=8 * images.dtype.itemsize),
    }


def nats(
    encoder: Encoder, images: NDArray[np.uint8], labels: NDArray[np.int64] | None, *, seed: int
) -> NDArray[np.float64]:
    """Estimates of an upper bound of -log P(x) in nats, stored samples [N, ...] -> [N]; their mean has no bias.

    P(x) is the chance that what the decoder's normal distribution gives is x when it is rounded to grey levels. With
    noise u of one level, -log P(x) <= -E_u log p(x + u) (Theis et al. 2016, "A note on the evaluation of generative
    models", section 3.1), and that is at most the evidence bound of x + u.
    """
    weight, variance = next(encoder.network.parameters()), torch.tensor(encoder.variance, dtype=torch.float64)
    spec, levels = encoder.description.spec, LEVELS[images.dtype.name]

    @torch.no_grad()  # of each thread
    def read(piece: slice) -> NDArray[np.float64]:
        x = torch.from_numpy(np.array(images[piece])).double()
        y = None if labels is None else torch.from_numpy(np.array(labels[piece], np.int64)).to(weight.device)
        draws = _draws(seed, piece, len(images))
        x = spec.floats(x + draws.uniform("level", *x.shape[1:]) - 0.5, torch.float64)
        code, divergence = sampled(exact(encoder.network(x.to(weight), y)).cpu(), draws, "code")
        again = exact(encoder.decoder(code.to(weight), y)).cpu()
        squares = (again - x).square().flatten(1)
        # a density of levels is that of the networks' numbers, so many times smaller in each
        density = normal_nats(squares.mean(1), variance, squares.shape[1]) + squares.shape[1] * math.log(levels)
        found: NDArray[np.float64] = (density + divergence).numpy()
        return found

    return np.concatenate(list(in_pieces(read, len(images), PIECE, weight.device.type)))


def _draws(seed: int, rows: slice, count: int) -> Draws:
    """Return the random numbers of some samples of a piece, of `count` samples: those of the piece, however few fit."""
    start = rows.start - rows.start % PIECE
    part = slice(rows.start - start, rows.stop - start)
    return Draws((seed, "bound", start), min(PIECE, count - start), part, torch.device("cpu"), torch.float64)


def _mean(values: NDArray[np.float64], seed: int, of: Callable[[float], float] = float) -> Interval:
    """A function of the mean, and its 95 % interval over the samples: the percentiles of the bootstrap."""
    rng = np.random.default_rng([seed, len(values)])
    means = [of(float(values[rng.integers(len(values), size=len(values))].mean())) for _ in range(REPETITIONS)]
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(of(float(values.mean())), float(low), float(high))
