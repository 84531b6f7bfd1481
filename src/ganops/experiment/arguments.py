"""Checks of what a caller asks a generator for: seeds, labels, truncation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import InputError
from ganops.experiment.samples import as_array
from ganops.generator import Generator


def seeds(given: Any) -> NDArray[np.int64]:
    """Return seeds as int64 [N]; a number N stands for 0 ... N-1.

    Raises:
        InputError: They are not whole numbers, or none.
    """
    array = as_array(given, "seeds")
    if array.dtype.kind not in "iu" or array.ndim > 1 or (array.dtype.kind == "u" and array.max(initial=0) >= 2**63):
        got = next((each for each in array.ravel().tolist() if not isinstance(each, int) or isinstance(each, bool)),
                   f"{array.dtype} {array.shape}")  # fmt: skip
        raise InputError(f"seeds: expected whole numbers, one for each sample, or their number; got {got!r}")
    if array.ndim == 1:
        return array.astype(np.int64)
    if array < 1:
        raise InputError(f"seeds: expected 1 or more, or a list of them; got {array}")
    return np.arange(int(array))


def truncation(given: Any) -> float:
    """Return a truncation.

    Raises:
        InputError: It is not a number from 0 to 1.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | np.number) or not 0 <= given <= 1:
        raise InputError(f"truncation: expected a number from 0 to 1, where 1 is what was learnt; got {given!r}")
    return float(given)


def labels(given: Any, count: int, generator: Generator, *, one: bool = False) -> NDArray[np.int64] | None:
    """Return numbers of so many labels, numbers or names, which go first; None where the generator learnt without.

    Args:
        given: Numbers or names.
        count: The samples.
        generator: What knows the classes.
        one: One label may stand for all, and none for classes in turn.

    Raises:
        InputError: They are not labels of its classes, or not as many.
    """
    classes, names = generator.classes, generator.description.class_names
    if given is None and (one or not classes):
        return None
    if not classes:
        if one:
            raise InputError("labels: expected none, since it has learnt without; fit(samples, labels) learns them")
        return None
    known = f"integers from 0 to {classes - 1}" + (f" or {', '.join(names)}" if _named(names) else "")
    if given is None:
        raise InputError(f"labels: expected {known}, one for each {generator.spec.noun}, got none")
    array = as_array(given, "labels")
    array = np.broadcast_to(array, (count,)) if one and array.shape in ((), (1,)) else array
    if array.shape != (count,):
        raise InputError(f"labels: expected {count}{' or one' * one}, got {array.dtype} {array.shape}")
    numbers = [names.index(str(each)) if str(each) in names else each for each in array.tolist()]
    for each in numbers:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < classes:
            raise InputError(f"labels: expected {known}, got {each!r}")
    return np.array(numbers, np.int64)


def _named(names: Sequence[str]) -> bool:
    """Return True where classes have names of their own, and not their numbers."""
    return names != tuple(map(str, range(len(names))))
