"""Patterns over names: which are taken, and what they find."""

import pytest

from ganops.core import patterns

WORDS = ("auto", "none")


@pytest.mark.parametrize(
    ("pattern", "path", "folders", "expected"),
    [
        (r"^(\d)_", "fsdd/7_jackson_32.wav", False, "7"),
        (r"_([a-z]+)_\d+$", "fsdd/7_jackson_32.wav", True, "jackson"),
        ("^([^/]+)/", "kit-3/snare/a.flac", True, "kit-3"),
        ("^([^/]+)/", "kit-3/snare/a.flac", False, None),
        ("(snare|kick)", "kit-3/snare/a.flac", False, None),
        (r"(\d+)$", "a/take.2024.wav", False, "2024"),
        ("(wav)", "a/b.wav", True, None),
        ("(x*)", "abc.wav", False, None),
        ("a|(b)", "abc.wav", False, None),
        ("(ü+)", "müll/tür.wav", False, "ü"),
        ("(.)$", ".hidden", False, "n"),
        (r"\.(\d+)$", "cat/take.07/", False, "07"),
        ("^(.*)$", "cat/take.07/", True, "cat/take.07"),
    ],
)
def test_the_group_is_searched_in_the_path_without_its_suffix(pattern, path, folders, expected):
    assert patterns.part(patterns.compiled(pattern, WORDS), path, folders=folders) == expected


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_no_pattern(word):
    assert patterns.compiled(word, WORDS) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"^\d_", r"got '\^\\\\d_', with none"),
        ("(a)(b)", r"got '\(a\)\(b\)', with 2"),
        ("(a", "no regular expression: missing"),
        ("(*)", "no regular expression: nothing to repeat"),
        ("(a{99999999999})", "no regular expression"),
        ("(" * 150 + ")" * 50, "no regular expression"),
        ("(" + "a" * 200 + ")", "got 202 characters, at most 200"),
        ("", "with none"),
        ("Auto", "with none"),
    ],
)
def test_what_is_no_pattern_with_one_group_is_refused(pattern, words):
    with pytest.raises(ValueError, match=rf"^expected auto, none, or a pattern with one group, .*{words}"):
        patterns.compiled(pattern, WORDS)


def test_a_name_longer_than_any_file_has_is_not_searched():
    pattern = patterns.compiled("(a)", WORDS)
    assert patterns.part(pattern, "a" * patterns.NAME_LIMIT, folders=False) == "a"
    assert patterns.part(pattern, "a" * (patterns.NAME_LIMIT + 1), folders=False) is None
