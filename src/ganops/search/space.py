"""The space of a search: what may be tried together, and how trials are drawn from it.

The n-th random trial follows from the seed, its number and the names of the parameters alone, wherever it runs.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ganops.config import Space
from ganops.core.errors import ConfigError
from ganops.core.files import hash_json
from ganops.core.randomness import seed_of

Values = dict[str, Any]
"""Dotted paths of parameters and a value for each."""
Ordered = list[tuple[str, int, Space]]
"""Path, number of the alternative, and what it may be: conditions before those that depend on them."""
REPEATS = 1000
"""Draws in a row that are known already: after so many there is nothing new to draw."""
FEW = 16
"""Integers between two bounds of which each is checked before a search."""
LACKING: Any = object()
"""Placeholder of a parameter that a trial has not, where None is a value of it."""


def ordered(space: Mapping[str, Space | tuple[Space, ...]]) -> Ordered:
    """The parameters with all their alternatives, each behind those that its conditions name.

    Raises:
        ConfigError: A condition names what is no choice of the space, a value that is not in it, or itself.
    """
    kinds = {path: (kind,) if isinstance(kind, Space) else kind for path, kind in space.items()}
    for path, alternatives in kinds.items():
        for alternative in alternatives:
            for other, wanted in alternative.when.items():
                _check_condition(path, other, wanted, kinds)
    waiting, done = dict(kinds), []
    while waiting:
        ready = [path for path, kind in waiting.items() if not any({*each.when} & {*waiting} for each in kind)]
        if not ready:
            raise ConfigError(f"params.tune.space: conditions of {', '.join(waiting)} depend on one another")
        done += [(path, i, each) for path in ready for i, each in enumerate(waiting.pop(path))]
    return done


def _check_condition(path: str, other: str, wanted: Any, kinds: Mapping[str, tuple[Space, ...]]) -> None:
    where = f"params.tune.space.{path}.when.{other}"
    values = [value for each in kinds.get(other, ()) for value in each.choice or ()]
    if not values:
        choices = [name for name, kind in kinds.items() if any(each.choice for each in kind)]
        raise ConfigError(f"{where}: expected a choice of this space ({', '.join(choices) or 'there is none'})")
    for value in [wanted] if _among(wanted, values) else wanted if isinstance(wanted, list) else [wanted]:
        if not _among(value, values):
            raise ConfigError(f"{where}: {value!r} is not among its values {', '.join(map(str, values))}")


def is_active(space: Space, values: Values) -> bool:
    """Return True where a space's conditions hold for the values so far."""
    return all(
        path in values and (_same(values[path], wanted) or (isinstance(wanted, list) and _among(values[path], wanted)))
        for path, wanted in space.when.items()
    )


def _among(value: Any, values: Sequence[Any]) -> bool:
    return any(_same(value, each) for each in values)


def _same(one: Any, other: Any) -> bool:
    """Return True where values are equal as in the file: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def sequence(space: Mapping[str, Any], seed: int) -> Iterator[Values]:
    """Random trials, each unlike all before it; ends where there is nothing new.

    Raises:
        ConfigError: A condition is impossible, see `ordered`.
    """
    order, known, repeats = ordered(space), set(), 0
    for number in itertools.count(1):
        values = fill(order, partial(_random, seed, number))
        if (name := hash_json(values)) not in known:
            known.add(name)
            repeats = 0
            yield values
        elif (repeats := repeats + 1) > REPEATS:
            return


def fill(order: Ordered, pick: Callable[[str, int, Space], Any]) -> Values:
    """A value for each parameter whose conditions hold."""
    values: Values = {}
    for path, i, kind in order:
        if is_active(kind, values):
            values[path] = pick(path, i, kind)
    return values


def drawn(space: Space, *key: int | str) -> Any:
    """A random value that follows from the key."""
    share = random.Random(seed_of(*key)).random()
    if space.choice:
        return space.choice[int(share * len(space.choice))]
    if space.integer:
        low, high = space.integer
        return low + int(share * (high - low + 1))
    return _at(space, share)


def _at(space: Space, share: float) -> float:
    """The number at a share of a range, in [0, 1]."""
    assert space.bounds
    low, high = map(math.log, space.bounds) if space.log_uniform else space.bounds
    place = low + share * (high - low)
    return clipped(space, math.exp(place) if space.log_uniform else place)


def clipped(space: Space, value: float) -> float:
    """The nearest number within the bounds."""
    assert space.bounds
    return min(max(value, space.bounds[0]), space.bounds[1])


def grid(space: Mapping[str, Any]) -> Iterator[Values]:
    """Yield all combinations: the last parameter moves first.

    Raises:
        ConfigError: A range does not say how many of its points are meant.
    """
    order = ordered(space)
    for path, _, kind in order:
        if kind.bounds and not kind.integer and not kind.points:
            raise ConfigError(f"params.tune.space.{path}: a grid needs `points` of a range, such as points: 5")
    return _walk(order, _points, {})


def _points(space: Space) -> Sequence[Any]:
    if space.choice:
        return space.choice
    if space.integer:
        low, high = space.integer
        every = range(low, high + 1)
        if not space.points or space.points >= len(every):
            return every
        return sorted({round(low + i * (high - low) / (space.points - 1)) for i in range(space.points)})
    assert space.points
    return [_at(space, i / (space.points - 1)) for i in range(space.points)]


def corners(space: Mapping[str, Any], most: int = 300) -> Iterator[Values]:
    """Combinations of all choices and bounds: all of them, or `most` of them, in which each value is met.

    Then some of what lies between bounds: each integer where they are few, and one number that is no integer.

    Raises:
        ConfigError: The space contradicts itself.
    """
    order = ordered(space)
    sizes = [len(_ends(kind)) for _, _, kind in order]
    if math.prod(sizes) <= most:
        yield from _walk(order, _ends, {})
    else:
        for n in range(most):
            yield fill(order, partial(_corner, n, max(sizes)))
    for n in range(max((len(_within(kind)) for _, _, kind in order), default=0)):
        yield fill(order, partial(_inner, n))


def _random(seed: int, number: int, path: str, i: int, kind: Space) -> Any:
    return drawn(kind, seed, "trial", number, path, i)


def _corner(n: int, most: int, path: str, i: int, kind: Space) -> Any:
    """First all values in turn, then at random."""
    ends = _ends(kind)
    return ends[(n if n < most else seed_of("corner", n, path, i)) % len(ends)]


def _inner(n: int, path: str, i: int, kind: Space) -> Any:
    values = _within(kind) or _ends(kind)
    return values[n % len(values)]


def _within(space: Space) -> Sequence[Any]:
    """Values between the bounds."""
    if space.integer:
        low, high = space.integer
        return range(low + 1, high) if high - low <= FEW else ()
    return [_at(space, 0.618)] if space.bounds else ()


def _ends(space: Space) -> Sequence[Any]:
    return space.choice or space.bounds or ()


def _walk(order: Ordered, options: Callable[[Space], Sequence[Any]], values: Values) -> Iterator[Values]:
    if not order:
        yield values
        return
    (path, _, kind), *rest = order
    if not is_active(kind, values):
        yield from _walk(rest, options, values)
        return
    if path in values:
        where = ", ".join(f"{name} {value}" for name, value in values.items() if name != path) or "always"
        raise ConfigError(f"params.tune.space.{path}: two of its alternatives hold at once: {where}")
    for value in options(kind):
        yield from _walk(rest, options, {**values, path: value})
