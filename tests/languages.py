"""A small language whose probabilities are known: texts of a Markov chain, and an extractor that has learnt it."""

from functools import cache

import numpy as np

from ganops.metrics.extractors import Language

WORDS, LENGTH = 14, 10
FACTS = {"words": ["", "<unk>", *(f"w{i}" for i in range(WORDS - 2))], "by": "words"}


@cache
def transitions():
    """Probability of each next word (its end among them) after each word: [1 + WORDS, WORDS]; row 0 begins a text."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(WORDS, 0.15), WORDS + 1)
    shares[:, 1] = 0
    shares[:, 0] = 0.12
    shares[0, 0] = 0
    shares[:, 2:] *= ((1 - shares[:, 0]) / shares[:, 2:].sum(1))[:, None]
    return shares


def chain(count, seed, temperature=1.0):
    """Texts of the chain, uint16 [count, LENGTH], at a temperature."""
    shares = transitions() ** (1 / temperature)
    cumulative = (shares / shares.sum(1, keepdims=True)).cumsum(1)
    rng, texts = np.random.default_rng(seed), np.zeros((count, LENGTH), np.uint16)
    state, ended = np.zeros(count, np.int64), np.zeros(count, bool)
    for place in range(LENGTH):
        word = (cumulative[state] <= rng.random((count, 1))).sum(1).clip(0, WORDS - 1)
        ended |= word == 0
        texts[:, place] = np.where(ended, 0, word)
        state = word + 1
    return texts


def nll(texts):
    """-log p of each text under the chain, in nats: [N]."""
    found, state = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    for place in range(LENGTH):
        ended = (texts[:, :place] == 0).any(1)
        found -= np.where(ended, 0, np.log(transitions()[state, texts[:, place]]))
        state = texts[:, place].astype(np.int64) + 1
    return found


@cache
def extractor():
    """The language extractor of the chain."""
    return Language.make(chain(1500, 0), None, chain(400, 1), None, seed=0, facts=FACTS)
