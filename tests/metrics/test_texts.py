import math

import numpy as np
import pytest

from ganops.metrics.texts import SMOOTHING, copied_ngrams, exact_copies, runs, self_bleu, spoken


def of(*lines, length=8):
    return np.array([[*line, *[0] * (length - len(line))] for line in lines], np.uint16)


def test_equal_texts_are_entirely_alike():
    assert self_bleu(of(*[(1, 2, 3, 4, 5)] * 3), True) == pytest.approx(1)


def test_self_bleu_by_hand():
    """Texts 1 2 3 4 5 and 1 2 3 9 5: 4 of 5 words, 2 of 4 pairs, 1 of 3 triples and no run of four are shared."""
    expected = (4 / 5 * 2 / 4 * 1 / 3 * SMOOTHING / 2) ** (1 / 4)
    assert self_bleu(of((1, 2, 3, 4, 5), (1, 2, 3, 9, 5)), True) == pytest.approx(expected)


def test_matches_are_clipped_and_short_texts_pay_by_the_nearest_length():
    """1 1 1 1 beside 1 1 2 2 2: two of its four words count, one of three pairs; and exp(1 - 5/4) for its shortness.

    The other, the longer one, pays nothing: two of its five words, one of four pairs, none of three triples.
    """
    one = math.exp(1 - 5 / 4) * (2 / 4 * 1 / 3 * SMOOTHING / 2 * SMOOTHING / 1) ** (1 / 4)
    two = (2 / 5 * 1 / 4 * SMOOTHING / 3 * SMOOTHING / 2) ** (1 / 4)
    assert self_bleu(of((1, 1, 1, 1), (1, 1, 2, 2, 2)), True) == pytest.approx((one + two) / 2)


def test_the_clip_is_by_the_most_that_one_other_text_has():
    """Both others have one 7; together they have two, but no text has."""
    texts = of((7, 7), (7, 1), (7, 2))
    first = (1 / 2 * SMOOTHING / 1) ** (1 / 2)
    rest = (1 / 2 * SMOOTHING / 1) ** (1 / 2)
    assert self_bleu(texts, True) == pytest.approx((first + 2 * rest) / 3)


def test_padding_is_no_word_and_zero_is_one_where_there_is_no_end():
    assert spoken(of((1, 2)), True) == [(1, 2)]
    assert spoken(of((1, 2), length=3), False) == [(1, 2, 0)]
    assert self_bleu(of((1, 2), (3, 4)), True) < self_bleu(of((1, 2), (3, 4)), False)


def test_texts_without_words_and_single_ones():
    assert self_bleu(of((), ()), True) == 0
    assert self_bleu(of((1, 2)), True) == 0
    assert copied_ngrams(of((1, 2, 3)), of((1, 2, 3)), True) == 0


def test_copies_are_found_exactly():
    train = of((1, 2, 3, 4, 5), (6, 7, 8, 9))
    texts = of((1, 2, 3, 4, 5), (1, 2, 3, 4, 6), (9, 8, 7, 6), (6, 7, 8))
    assert exact_copies(texts, train, True) == 1 / 4
    assert runs((1, 2, 3, 4, 5), 4) == [(1, 2, 3, 4), (2, 3, 4, 5)]
    # 1 2 3 4 and 2 3 4 5 of the first, 1 2 3 4 of the second; 2 3 4 6 and 9 8 7 6 are new; the last has none
    assert copied_ngrams(texts, train, True) == 3 / 5
    assert exact_copies(train, train, True) == copied_ngrams(train, train, True) == 1
