"""Harms: real images damaged on purpose, at five strengths each, to see which metric notices what.

Spectrograms, uint8 [N, 1, bands, frames], are images of one channel; some harms are theirs alone. Waves are int16
[N, 1, T]. Films are uint8 [N, C, T, H, W]: what damages images damages all their frames, and some harms break their
motion alone. Texts are numbers of words, uint16 [N, L]: their harms leave each as long as it is, and its padding where
it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import FeatureError
from ganops.kinds import Facts, sound, text

Images = NDArray[np.uint8]
Waves = NDArray[np.int16]
Levels = TypeVar("Levels", Images, Waves)
"""Images or waves."""
Texts = NDArray[np.uint16]
Labels = NDArray[np.integer[Any]]
Generator = np.random.Generator


@dataclass(frozen=True)
class Harm:
    """A damage that grows with its strength, an index from 0 to 4."""

    unit: str
    amounts: tuple[float, float, float, float, float]
    """Amount at each strength, the mildest first."""
    damage: Callable[[Images, Labels | None, float, Generator], Images]

    def __call__(self, images: Images, labels: Labels | None, strength: int, generator: Generator) -> Images:
        """The damaged images, uint8 [M, C, H, W]; M is N but for dropped classes.

        Args:
            images: uint8 [N, C, H, W].
            labels: int [N]; only dropped classes need them.
            strength: from 0, the mildest, to 4.
            generator: of all that is random.
        """
        return self.damage(images, labels, self.amounts[strength], generator)


def harms(train: Images) -> dict[str, Harm]:
    """The table of harms; `train` [T, C, H, W] are the images that can be memorised."""
    return {
        "noise": Harm("deviation, of the range", (0.02, 0.05, 0.1, 0.2, 0.4), lambda x, _, a, g: noise(x, a, g)),
        "blur": Harm("pixels of 32", (0.3, 0.6, 1, 1.5, 2.5), lambda x, _, a, g: blur(x, a)),
        "shift": Harm("pixels of 32", (1, 2, 3, 4, 6), lambda x, _, a, g: shift(x, a, g)),
        "dropped classes": Harm("share dropped", (0.1, 0.2, 0.3, 0.5, 0.7), lambda x, y, a, g: drop_classes(x, y, a)),
        "repeated images": Harm("times each", (2, 4, 8, 16, 32), lambda x, _, a, g: repeat(x, a, g)),
        "memorised images": Harm(
            "share copied", (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1), lambda x, _, a, g: memorise(x, train, a, g)
        ),
    }


def noise(images: Levels, amount: float, generator: Generator) -> Levels:
    """Gaussian noise with a standard deviation of `amount` of the range, of images or of waves."""
    levels = np.iinfo(images.dtype)
    return _quantise(images + generator.normal(0, amount * (int(levels.max) - levels.min), images.shape), images)


def blur(images: Images, amount: float) -> Images:
    """Gaussian blur of `amount` pixels at 32 x 32, and in proportion for larger images."""
    width = amount * _scale(images)
    from scipy.ndimage import gaussian_filter  # a fifth of a second, which only harms need wait

    return _quantise(gaussian_filter(images.astype(np.float32), (*[0] * (images.ndim - 2), width, width)), images)


def smear(spectra: Images, amount: float) -> Images:
    """Gaussian blur in time alone, of `amount` frames of 32, and in proportion for longer spectrograms."""
    from scipy.ndimage import gaussian_filter1d

    width = amount * max(1, spectra.shape[3] / 32)
    return _quantise(gaussian_filter1d(spectra.astype(np.float32), width, axis=3), spectra)


def low_pass(waves: Waves, share: float) -> Waves:
    """Waves without their high tones: a Gaussian filter that halves the power at a `share` of half the rate."""
    from scipy.ndimage import gaussian_filter1d

    width = math.sqrt(math.log(2)) / (math.pi * share)  # |exp(-(w f)^2 / 2)|^2 = 1 / 2 at f = pi share
    return _quantise(gaussian_filter1d(waves.astype(np.float32), width, axis=2), waves)


def overdrive(waves: Waves, factor: float) -> Waves:
    """Waves so many times as loud, of which the range takes what it can: clipped, as by a microphone too near."""
    return _quantise(waves.astype(np.float32) * factor, waves)


def shuffle_pieces(waves: Waves, count: int, generator: Generator) -> Waves:
    """Each wave cut into `count` pieces that change places; what is left over at the end stays where it is."""
    shuffled = waves.copy()
    length = waves.shape[2] // count
    pieces = shuffled[:, :, : count * length].reshape(len(waves), count, length)
    order = generator.permuted(np.tile(np.arange(count), (len(waves), 1)), axis=1)
    shuffled[:, 0, : count * length] = np.take_along_axis(pieces, order[:, :, None], axis=1).reshape(len(waves), -1)
    return shuffled


def silence_band(spectra: Images, share: float, generator: Generator) -> Images:
    """Spectrograms [N, 1, bands, frames], in each of which a `share` of the bands, side by side, is at its lowest."""
    bands = spectra.shape[2]
    missing = max(1, round(share * bands))
    above = np.arange(bands) - generator.integers(bands - missing + 1, size=(len(spectra), 1))
    silent = (above >= 0) & (above < missing)
    return np.where(silent[:, None, :, None], np.uint8(0), spectra)


def speak(spectra: Images, facts: Facts) -> Images:
    """Spectrograms [N, 1, bands, frames] of the clips by which readers hear them: what the vocoder alone changes."""
    spoken: Images = sound.quantised(sound.spectrogram(sound.shown(spectra, facts), facts), facts)
    return spoken


def low_rank(images: Levels, components: int) -> Levels:
    """The images rebuilt from their first principal components: shapeless blobs, as of a G in its first minutes.

    They are the components of these very images, uint8 [N, C, H, W], or waves, and at most N.
    """
    x = images.reshape(len(images), -1).astype(np.float32)
    mean = x.mean(axis=0)
    x -= mean
    # of the N x N products, since an image has far more pixels than a chunk has images
    vectors = np.linalg.eigh(x @ x.T)[1][:, -components:]
    return _quantise(vectors @ (vectors.T @ x) + mean, images).reshape(images.shape)


def shuffle_patches(images: Images, side: int, generator: Generator) -> Images:
    """Each image cut into `side` x `side` patches that change places: texture without shape.

    What is left over at the right and at the bottom, where the size is no multiple of `side`, stays as it is. All
    frames of a film are cut alike.
    """
    shuffled = images.reshape(len(images), -1, *images.shape[-2:]).copy()
    count, channels, height, width = shuffled.shape
    side = min(side, height, width)
    h, w = height // side, width // side
    whole = shuffled[:, :, : side * h, : side * w]
    patches = whole.reshape(count, channels, side, h, side, w).transpose(0, 2, 4, 1, 3, 5)
    order = generator.permuted(np.tile(np.arange(side * side), (count, 1)), axis=1)
    moved = patches.reshape(count, side * side, channels, h, w)[np.arange(count)[:, None], order]
    whole[:] = moved.reshape(patches.shape).transpose(0, 3, 1, 4, 2, 5).reshape(whole.shape)
    return shuffled.reshape(images.shape)


def shift(images: Images, amount: float, generator: Generator) -> Images:
    """Each image moved up, down, left or right by `amount` pixels as of `blur`; the edges are repeated."""
    height, width = images.shape[2:]
    step = round(amount * _scale(images))
    padded = np.pad(images, ((0, 0), (0, 0), (step, step), (step, step)), "edge")
    moved, direction = np.empty_like(images), generator.integers(4, size=len(images))
    for i, (top, left) in enumerate(((0, step), (2 * step, step), (step, 0), (step, 2 * step))):
        moved[direction == i] = padded[direction == i, :, top : top + height, left : left + width]
    return moved


def drop_classes(images: Images, labels: Labels | None, share: float) -> Images:
    """The images without a `share` of the classes, at least one; at least one class stays.

    Raises:
        FeatureError: There are no labels, or labels of one class only.
    """
    if labels is None or len(classes := np.unique(labels)) < 2:
        raise FeatureError("dropped classes: expected labels of at least two classes, got none or one; leave them out")
    kept = len(classes) - min(len(classes) - 1, max(1, round(share * len(classes))))
    return images[np.isin(labels, classes[:kept])]


def repeat(images: Images, times: float, generator: Generator) -> Images:
    """Return as many images as before, of which each stands there about `times` times."""
    few = generator.permutation(len(images))[: max(1, round(len(images) / times))]
    return images[few[np.arange(len(images)) % len(few)]]


def memorise(images: Images, train: Images, share: float, generator: Generator) -> Images:
    """The images, a `share` of them replaced by training images [T, C, H, W], pixel for pixel."""
    count = round(share * len(images))
    copies = train[generator.choice(len(train), count, replace=count > len(train))]
    return np.concatenate([copies, images[count:]])


def shuffle_frames(films: Images, generator: Generator) -> Images:
    """Films [N, C, T, H, W], each with its own frames in a random order, which is another one than theirs."""
    count, _, frames = films.shape[:3]
    order = generator.permuted(np.tile(np.arange(frames), (count, 1)), axis=1)
    same = (order == np.arange(frames)).all(1)
    order[same] = np.roll(order[same], 1, axis=1)
    return np.take_along_axis(films, order[:, None, :, None, None], axis=2)


def freeze(films: Images) -> Images:
    """Films [N, C, T, H, W] that stand still: the first frame of each, held."""
    return np.repeat(films[:, :, :1], films.shape[2], axis=2)


def reverse(films: Images) -> Images:
    """Films [N, C, T, H, W], played backwards."""
    return np.ascontiguousarray(films[:, :, ::-1])


def replace_words(texts: Texts, share: float, generator: Generator, facts: Facts) -> Texts:
    """The texts with a `share` of their words replaced, each by any word of the vocabulary, all equally likely."""
    first = int(_ends(facts))
    others = generator.integers(first, len(facts["words"]), texts.shape, np.uint16)
    return np.where(_words(texts, facts) & (generator.random(texts.shape) < share), others, texts)


def shuffle_words(texts: Texts, generator: Generator, facts: Facts) -> Texts:
    """Each text with its own words in a random order."""
    order = np.argsort(generator.random(texts.shape) + ~_words(texts, facts), axis=1)  # padding stays behind the words
    return np.take_along_axis(texts, order, axis=1)


def mix_words(texts: Texts, generator: Generator, facts: Facts) -> Texts:
    """Texts whose words have changed places with those of all the others: the right words, in no right place."""
    mixed, words = texts.copy(), _words(texts, facts)
    mixed[words] = generator.permutation(texts[words])
    return mixed


def repeat_likeliest(texts: Texts, facts: Facts) -> Texts:
    """Return one text in the place of each: that of the commonest words, as of a generator that has collapsed."""
    words = _words(texts, facts)
    shares = np.bincount(texts[words], minlength=len(facts["words"])) / words.sum()
    likelihood = np.where(words, np.log(np.maximum(shares, 1e-12))[texts], 0).sum(1) / words.sum(1).clip(1)
    return np.repeat(texts[[np.argmax(likelihood)]], len(texts), axis=0)


def _words(texts: Texts, facts: Facts) -> NDArray[np.bool_]:
    """True where a text has a word, and no padding: [N, L]."""
    return np.logical_and.accumulate((texts > 0) | (not _ends(facts)), axis=1)


def _ends(facts: Facts) -> bool:
    """Return True where the vocabulary has an end, number 0."""
    return bool(facts["words"][0] == text.END)


def _scale(images: Images) -> float:
    return float(max(1, min(images.shape[-2:]) / 32))


def _quantise(samples: NDArray[np.floating[Any]], like: Levels) -> Levels:
    levels = np.iinfo(like.dtype)
    quantised: Levels = np.rint(samples).clip(levels.min, levels.max).astype(like.dtype)
    return quantised
