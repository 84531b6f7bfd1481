"""Texts to words and characters, against what the rule says of each script."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganops.core.errors import ConfigError, DataError
from ganops.data import decoders
from ganops.data.sources.item import ItemError
from ganops.data.sources.lines import LINE_LIMIT, Language
from ganops.data.text_decoder import EMPTY, LONGEST_WORD, TextDecoder, words
from ganops.kinds import KINDS


def text_of(raw):
    return raw.tobytes().decode()


def decoded(text, **options):
    return text_of(TextDecoder(**options).decode(text)[0])


def test_the_table_of_decoders_knows_texts():
    assert decoders.DECODERS["text"] is TextDecoder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't panic.", ["Don't", "panic", "."]),
        ("a well-known rock ’n’ roll", ["a", "well-known", "rock", "’", "n", "’", "roll"]),
        ("'quoted' (twice)--so", ["'", "quoted", "'", "(", "twice", ")", "-", "-", "so"]),
        ("3.50 snake_case", ["3", ".", "50", "snake_case"]),
        ("Ὀδυσσεύς έφη·", ["Ὀδυσσεύς", "έφη", "·"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # vowel signs are marks, which no \w matches
        ("שָׁלוֹם, עולם", ["שָׁלוֹם", ",", "עולם"]),
        ("می‌خواهم", ["می‌خواهم"]),  # with a joiner that keeps two letters apart
        ("你好，世界", ["你好", "，", "世界"]),
        ("ok 👍🏽👨‍👩‍👧!", ["ok", "👍🏽", "👨‍👩‍👧", "!"]),
        ("", []),
    ],
)
def test_words_of_any_script(text, expected):
    assert words(text) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_words_are_all_of_a_text_but_its_white_space(text):
    assert "".join(words(text)) == "".join(text.split())


@given(st.text(st.sampled_from("ab é'-.,👍🏽\u200d你 \t"), max_size=30), st.sampled_from(["words", "characters"]))
def test_a_text_that_was_decoded_stays_as_it_is(text, by):
    once = decoded(text, by=by, length=64)
    assert decoded(once, by=by, length=64) == once


def test_the_same_text_in_other_forms_is_the_same_sample():
    forms = ["Une caf\u00e9  noire", "Une cafe\u0301 noire", " Une\tcaf\u00e9 noire ", "Une caf\u00e9\u00a0noi\u00adre",
             "Une\u3000caf\u00e9\u200bnoire", "\ufeffUne caf\u00e9 \u202enoire\u202c"]  # fmt: skip
    assert {decoded(form) for form in forms} == {"Une café noire"}
    assert {decoded(form, by="characters", length=99) for form in forms} == {"Une café noire"}
    assert decoded("Une CAFÉ", lower=True) == "une café"


def test_raw_samples_are_the_utf8_of_the_first_words():
    raw, notes = TextDecoder(length=3).decode("one, two three")
    assert (raw.dtype, raw.tobytes()) == (np.uint8, b"one , two")
    assert notes == ("cut behind its first 3 words",)
    assert TextDecoder(length=4).decode("one, two three")[1] == ()
    assert TextDecoder(by="characters", length=3).decode("čáry")[0].tobytes() == "čár".encode()
    assert TextDecoder(by="characters", length=3).decode("čáry")[1] == ("cut behind its first 3 characters",)


@pytest.mark.parametrize("text", ["", " \t", "\u00a0\u3000", "\u200b\ufeff"])
@pytest.mark.parametrize("by", ["words", "characters"])
def test_texts_without_a_word_are_passed_over(text, by):
    raw, notes = TextDecoder(by=by).decode(text)
    assert (raw.size, notes) == (0, (EMPTY,))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\0b", "holds NUL, as no text does"),
        ("a\x1b[31mb", r"holds the control character U\+001B"),
        ("a\x93b", r"holds the control character U\+0093"),
        ("caf\ufffd", "bytes that are no UTF-8"),
        ("a\ud800b", "half a character"),
        ("a" * (LONGEST_WORD + 1), "a word of 101 characters, at most 100 are taken; data.by: characters takes texts"),
        ("a " * LINE_LIMIT, "131,072 characters: at most 65,536 are read"),
        (b"bytes", "no text"),
        (np.zeros(3), "no text"),
    ],
)
def test_what_is_no_text_is_rejected(text, reason):
    with pytest.raises(ItemError, match=reason):
        TextDecoder().decode(text)


def test_unspaced_texts_go_by_characters():
    assert decoded("你好世界" * 50, by="characters", length=4) == "你好世界"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 0}, "data.length: expected from 1 to 1,024, got 0"),
        ({"length": 1025}, "data.length: expected from 1 to 1,024, got 1025"),
        ({"words": 3}, "data.words: expected from 4 to 65,536, got 3"),
        ({"words": 2**16 + 1}, "data.words: expected from 4 to 65,536, got 65537"),
        ({"by": "lines"}, "data.by: expected words or characters, got 'lines'"),
    ],
)
def test_impossible_values_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        TextDecoder(**options)


def finished(texts, **options):
    decoder = TextDecoder(**options)
    return decoder, *decoder.finish((decoder.decode(text)[0] for text in texts), (), {})


def test_the_vocabulary_are_the_commonest_words_and_ties_go_by_alphabet():
    texts = ["b a", "a b c", "z c", "é z"]
    _, shape, facts, store, notes = finished(texts, length=4, words=6)
    assert facts == {"words": ["", "<unk>", "a", "b", "c", "z"], "by": "words"}  # 2, 2, 2, 2; é 1
    assert shape == (4,)
    assert notes == {"unknown words of train": 1}
    raw, _ = TextDecoder().decode("z new a")
    assert store(raw).tolist() == [5, 1, 2, 0]
    assert str(store(raw).dtype) == KINDS["text"].STORED == "uint16"


def test_the_order_of_texts_changes_no_vocabulary():
    texts = [f"{chr(97 + i % 7)} {chr(97 + i % 5)} {chr(97 + i % 3)}" for i in range(40)]
    assert finished(texts, length=3)[2] == finished(texts[::-1], length=3)[2]


@pytest.mark.parametrize("by", ["words", "characters"])
def test_shown_texts_are_those_that_were_decoded(by):
    texts = ["one, two", "👨‍👩‍👧 two one", "שלום one two", "two"] * 3
    decoder, shape, facts, store, _ = finished(texts, by=by, length=20)
    stored = np.stack([store(decoder.decode(text)[0]) for text in texts])
    assert stored.shape == (12, *shape)
    assert KINDS["text"].shown(stored, facts).tolist() == [text_of(decoder.decode(text)[0]) for text in texts]


def test_texts_of_one_word_are_refused():
    with pytest.raises(DataError, match=r"all texts consist of one of the words, 'ho': expected two or more"):
        finished(["ho ho", "ho", "ho ho ho"])


def test_texts_of_which_most_words_are_unknown_are_refused():
    """The share of words that were seen once (Good 1953) is that of new words, here and there."""
    unspaced = [f"{chr(0x4E00 + i % 10)}{chr(0x4E00 + i % 9)}好" for i in range(20)]
    assert max(Counter(word for text in unspaced for word in words(text)).values()) == 1
    with pytest.raises(
        DataError, match=r"100% of the words of a new text would .*: expected more texts or data\.by: characters"
    ):
        finished(unspaced)
    finished(unspaced, by="characters", length=4)


def test_too_small_a_vocabulary_is_refused_in_words():
    texts = [f"w{i} w{i + 1}" for i in range(40)]
    finished(texts)
    with pytest.raises(DataError, match=r"data\.words: 9\d% of the words of a new text would be unknown.*above 4"):
        finished(texts, words=4)


ORACLE = Language(("w0", "w1", "w2"), 2)


def test_the_words_of_an_oracle_are_in_its_order_without_an_end():
    decoder = TextDecoder(length=2, words=4, oracle=ORACLE)
    shape, facts, store, notes = decoder.finish(iter([]), (), {})
    assert (shape, facts, notes) == ((2,), {"words": ["w0", "w1", "w2"], "by": "words"}, {})
    assert store(decoder.decode("w2 w0")[0]).tolist() == [2, 0]
    for text, reason in {"w1": "expected 2 words", "w1 w0 w1": "got 3", "w1 w9": "'w9' is no word of the"}.items():
        with pytest.raises(ItemError, match=reason):
            decoder.decode(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 3}, "data.length: expected 2 for the texts of this oracle, got 3"),
        ({"length": 2, "by": "characters"}, "data.by: expected words for"),
        ({"length": 2, "lower": True}, "data.lower: expected False"),
    ],
)
def test_an_oracle_has_its_own_parameters(options, words):
    with pytest.raises(ConfigError, match=words):
        TextDecoder(oracle=ORACLE, **options)
    with pytest.raises(ConfigError, match=r"data\.words: expected at least 5, the words of this oracle, got 4"):
        TextDecoder(length=2, words=4, oracle=Language(tuple("abcde"), 2))


def test_parameters_are_shown_as_they_are_given():
    assert TextDecoder(length=2, oracle=ORACLE).shown() == {"by": "words", "length": 2, "words": 5000, "lower": False}


def test_a_long_run_of_marks_takes_no_time():
    """To compose characters sorts the marks of each, which takes the square of their number."""
    with pytest.raises(ItemError, match="more than 30 marks on one character"):
        TextDecoder(by="characters").decode("e" + "\u0301\u0323" * 20_000)
    assert decoded("e" + "\u0301" * 30, length=1) == "é" + "\u0301" * 29
