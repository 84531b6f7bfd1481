"""Patterns with one group, which say of a sample's name the part that means something: its label, or its speaker."""

import re
from pathlib import PurePosixPath

PATTERN_LIMIT = 200
"""Characters of a pattern, at most."""

NAME_LIMIT = 1000
"""Characters of a name that is searched, at most: the time of a search can grow with every power of them."""


def compiled(value: str, words: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return a pattern, ready to be searched for; None for one of the words that may stand in its place.

    Raises:
        ValueError: it is no regular expression, or has not exactly one group.
    """
    if value in words:
        return None
    expected = rf"expected {', '.join(words)}, or a pattern with one group, the part of a name that counts: ^(\d)_"
    if len(value) > PATTERN_LIMIT:
        raise ValueError(f"{expected}; got {len(value):,} characters, at most {PATTERN_LIMIT} are taken")
    try:
        found = re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{expected}; got {value!r}, which is no regular expression: {error}") from None
    if found.groups != 1:
        raise ValueError(f"{expected}; got {value!r}, with {found.groups or 'none'}")
    return found


def part(pattern: re.Pattern[str], path: str, *, folders: bool) -> str | None:
    """Return the part of a path that a pattern's group matches first, None where it matches nothing.

    The suffix is left away, which a folder has not (its path ends with a slash); without `folders`, its parents too.
    """
    pure = PurePosixPath(path)
    name = pure.name if path.endswith("/") else pure.stem
    text = pure.parent.joinpath(name).as_posix() if folders else name
    found = pattern.search(text) if len(text) <= NAME_LIMIT else None
    return (found[1] or None) if found else None
