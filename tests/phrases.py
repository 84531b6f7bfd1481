"""Phrases in memory, and the parameters of a short game of them behind a warm-up."""

import copy

import numpy as np

from ganops import config
from ganops.kinds import Spec

WORDS = ("", "<unk>", "a", "b", "c", "d")


class Phrases:
    """Up to four words, of which each is followed by the next one of the vocabulary."""

    spec = Spec("text", (4,), 2, {"words": list(WORDS), "by": "words"})
    class_names = ("short", "long")
    hash = "phrases"

    def samples(self, split):
        first, length = np.arange(60)[:, None] % 4, 1 + self.labels(split)[:, None] * 2
        place = np.arange(4)
        return np.where(place < length, 2 + (first + place) % 4, 0).astype(np.uint16)

    def labels(self, split):
        return np.arange(60) // 4 % 2

    def measured(self, split):
        return self.samples(split), self.labels(split)


PARAMS = {
    "data.kind": "text", "data.length": 4, "data.words": 6, "features.extractor": "language",
    "model.architecture": "lstm", "model.latent": 8,
    "model.options": {"width": 8, "embedding": 4}, "loss.name": "relativistic", "loss.r1": 0.01, "loss.r2": 0.01,
    "loss.warm_up": {"kimg": 0.12, "learning_rate": 0.02}, "train.batch": 10, "train.d_steps": 2, "train.kimg": 0.28,
    "train.tick_kimg": 0.04, "train.checkpoint_kimg": 0.04, "train.ema_kimg": 0.02, "tune.trials": 0,
}  # fmt: skip


def experiment(**params):
    return config.parse({}).override(copy.deepcopy({**PARAMS, **params}))


def strip(training):
    """The pictures of a training, wherever they are."""
    return {name: training.log.picture(name) for name in training.log.names}
