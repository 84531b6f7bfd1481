"""Parquet files as Hugging Face lays them out: a column of images, and perhaps a column of labels.

An image is a struct of `bytes` and `path`, or plain binary. Class names come from the ClassLabel in the metadata of the
schema, else from the values themselves.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ganops.data.item import Item, ItemError, Source, reading
from ganops.errors import DataError

ACCEPTS = "a .parquet file (a column of images, perhaps a column `label`), or a folder of them"

_ROWS = 256  # held in memory at a time


def recognises(path: Path) -> bool:
    """A .parquet file, or a folder that holds some, itself or in a sub-folder `data`."""
    return bool(_files(path))


def read(path: Path) -> Source:
    """All rows of all files.

    Raises:
        DataError: a file is damaged, or has not one column that can be the images.
    """
    files = _files(path)
    tables = [_table(file) for file in files]
    names = dict.fromkeys(chain.from_iterable(table.class_names for table in tables))
    rows = chain.from_iterable(_items(file, table) for file, table in zip(files, tables, strict=True))
    return Source("parquet", sum(table.rows for table in tables), rows, class_names=tuple(names))


class _Table(NamedTuple):
    """What the schema of a file says."""

    rows: int
    image: str
    label: str | None
    class_names: tuple[str, ...]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    return sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow as pa  # half a second, which the worker processes that decode images need not wait
    import pyarrow.parquet as pq

    try:
        with reading(path), pq.ParquetFile(path) as file:
            yield file
    except pa.ArrowException as error:
        raise DataError(f"data.source: {path} is no intact Parquet file: {error}") from error


def _table(path: Path) -> _Table:
    with _opened(path) as file:
        schema = file.schema_arrow
        label = next((name for name in ("label", "labels") if name in schema.names), None)
        if label and not _is_label(schema.field(label).type):
            got = schema.field(label).type
            raise DataError(f"data.source: {path}: expected integers or text in column {label}, got {got}; rename it")
        return _Table(file.metadata.num_rows, _image_column(path, schema), label, _class_names(schema, label))


def _is_label(kind: Any) -> bool:
    import pyarrow.types as types

    values = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_integer(values) or types.is_string(values) or types.is_large_string(values))


def _image_column(path: Path, schema: Any) -> str:
    """The column named image or img, else the only one that can be images."""
    import pyarrow.types as types

    def holds_bytes(kind: Any) -> Any:
        if types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        return types.is_binary(kind) or types.is_large_binary(kind)

    columns = [field.name for field in schema if holds_bytes(field.type)]
    named = [name for name in ("image", "img") if name in columns] or columns
    if len(named) == 1 or named[:1] == ["image"]:
        return named[0]
    expected = "expected one column of images (binary, or a struct with `bytes`), or one of them named `image`"
    raise DataError(f"data.source: {path}: {expected}; got {columns} of the columns {schema.names}")


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = metadata.get("info", {}).get("features", {}).get(label, {})
    return tuple(feature.get("names", ()))


def _items(path: Path, table: _Table) -> Iterator[Item]:
    columns = [name for name in (table.image, table.label) if name]
    with _opened(path) as file:
        row = 0
        for batch in file.iter_batches(_ROWS, columns=columns):
            images = batch.column(table.image).to_pylist()
            labels = batch.column(table.label).to_pylist() if table.label else [None] * len(images)
            for image, label in zip(images, labels, strict=True):
                data = image.get("bytes") if isinstance(image, dict) else image
                content = ItemError("no bytes in this row") if data is None else data
                yield Item(f"{path.name}[{row}]", _label(label, table.class_names), content)
                row += 1


def _label(value: int | str | None, names: tuple[str, ...]) -> str | None:
    """The name of a class; an integer that the class names do not cover (-1 by convention) is no label."""
    if isinstance(value, int) and names:
        return names[value] if 0 <= value < len(names) else None
    return None if value is None or value == -1 else str(value)
