"""Samples of data sets that others made: of Hugging Face's `datasets`, which is not imported, and of torch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ganops.core.errors import InputError
from ganops.experiment.samples import EXPECTED, as_array, numbered
from ganops.kinds import KINDS

FORMS = {"image": {"Image", "Array2D", "Array3D", "List", "LargeList", "Sequence", "list"}, "text": {"Value"}}
"""Kind -> names of the types that a column of its samples has in a `datasets.Dataset`."""
LABELS = ("label", "labels")
"""Names of a column of labels that is no ClassLabel."""


class Opened(NamedTuple):
    """Samples of a data set, with its own labels where it has such."""

    samples: Any
    labels: Sequence[Any] | None = None
    """Numbers or strings, one for each sample."""
    names: tuple[str, ...] = ()
    """Class names that labels are numbers of; empty: labels stand for themselves."""

    @property
    def named(self) -> Sequence[Any] | None:
        """Labels by name where classes have names.

        Raises:
            InputError: They are no numbers of these.
        """
        if self.labels is None or not self.names:
            return self.labels
        numbers, names = numbered(self.labels, len(self.labels), self.names)
        return [names[y] for y in numbers]


def opened(samples: Any, kind: str) -> Opened:
    """Return the samples and labels of a data set; anything else as it is, without labels.

    Args:
        samples: A `datasets.Dataset` with a column of images or texts, the first of which is taken, and perhaps one of
            labels; or a map-style `torch.utils.data.Dataset` of (sample, label) pairs, or of samples alone. Each
            sample is read once, so that what a data set draws at random is drawn once.
        kind: Of the samples.

    Raises:
        InputError: It is a data set without such samples, without a length, or several in one; or a sparse array.
    """
    if isinstance(samples, Mapping):
        raise InputError(f"{KINDS[kind].UNIT}s: expected samples, got a mapping of {', '.join(map(str, samples))}: "
                         f"name one, as fit(data[{next(iter(samples), '')!r}])")  # fmt: skip
    if hasattr(samples, "toarray"):
        raise InputError(f"{KINDS[kind].UNIT}s: expected {EXPECTED[kind]}, got a sparse array: fit(samples.toarray())")
    ours = isinstance(samples, torch.utils.data.Dataset)
    if ours and not hasattr(samples, "__len__"):
        raise InputError(f"{KINDS[kind].UNIT}s: expected a data set with a length, whose samples have numbers; "
                         f"got {type(samples).__name__}, which is a stream")  # fmt: skip
    if isinstance(getattr(samples, "features", None), Mapping) and hasattr(samples, "column_names"):
        return _of_columns(samples, kind)
    return _of_pairs(samples) if ours else Opened(samples)


def _of_columns(data: Any, kind: str) -> Opened:
    """Return a column of samples, and that of labels, of a `datasets.Dataset`."""
    classes = [name for name, feature in data.features.items() if hasattr(feature, "names")]
    label = next((name for name in (*classes, *LABELS) if name in data.features), None)
    found = [name for name, feature in data.features.items() if name != label and _holds(feature, kind)]
    if not found:
        columns = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in data.features.items())
        raise InputError(f"{KINDS[kind].UNIT}s: a data set with the columns {columns}, none of which is read as "
                         f"{KINDS[kind].UNIT}s; expected {EXPECTED[kind]}, as fit(data[COLUMN])")  # fmt: skip
    labels = None if label is None else [_scalar(each) for each in data[label]]
    names = data.features[label].names if label in classes else ()
    return Opened([_plain(each) for each in data[found[0]]], labels, tuple(names))


def _plain(sample: Any) -> Any:
    """Return what a tensor holds; a picture, a text or an array as it is."""
    return as_array(sample) if isinstance(sample, torch.Tensor) else sample


def _holds(feature: Any, kind: str) -> bool:
    """Return True where a column of that type holds samples of a kind."""
    is_scalar_number = kind == "text" and "string" not in str(getattr(feature, "dtype", ""))
    return type(feature).__name__ in FORMS.get(kind, ()) and not is_scalar_number


def _of_pairs(data: Any) -> Opened:
    """Return what a map-style data set of torch holds."""
    items = [data[i] for i in range(len(data))]
    parts = [each if isinstance(each, tuple | list) else (each,) for each in items]
    samples, widths = [_plain(each[0]) for each in parts], {len(each) for each in parts}
    if widths <= {1}:
        return Opened(samples)
    if widths != {2}:
        raise InputError(f"data set: expected (sample, label) pairs, got tuples of {max(widths)}")
    return Opened(samples, [_scalar(each[1]) for each in parts], _classes(data))


def _scalar(label: Any) -> Any:
    """Return the number that a tensor or array of one number holds; anything else as it is."""
    return label.item() if getattr(label, "ndim", None) == 0 else label


def _classes(data: Any) -> tuple[str, ...]:
    """Return the names of classes as torchvision's data sets state them, also of a subset of one.

    Labels that a data set changes on their way are numbers of no names.
    """
    if isinstance(data, torch.utils.data.Subset):
        return _classes(data.dataset)
    ways = (data, getattr(data, "transforms", None))
    names = None if any(getattr(way, "target_transform", None) for way in ways) else getattr(data, "classes", None)
    is_named = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_named and names is not None else ()
