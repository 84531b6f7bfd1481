"""Parquet files as Hugging Face lays them out: a column of images, and perhaps a column of labels.

An image is a struct of `bytes` and `path`, or plain binary. Class names come from the ClassLabel in the metadata of the
schema, else from the values themselves.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from ganops.data.item import Content, Deferred, Item, ItemError, Source, reading
from ganops.data.storage import Store
from ganops.errors import DataError

ACCEPTS = "a .parquet file (a column of images, perhaps a column `label`), or a folder of them"

_ROWS = 256  # held in memory at a time
_GROUP_ROWS, _GROUP_BYTES = 1024, 64 * 2**20  # of a row group that is decoded in one piece; more is divided


def recognises(path: Path) -> bool:
    """A .parquet file, or a folder that holds some, itself or in a sub-folder `data`."""
    return bool(_files(path))


def read(path: Path) -> Source:
    """All rows of all files.

    Raises:
        DataError: a file is damaged, or has not one column that can be the images.
    """
    return from_files([Store("", str(file)) for file in _files(path)])


def from_files(files: list[Store]) -> Source:
    """The same for files that were found elsewhere."""
    tables = [_table(file) for file in files]
    names = dict.fromkeys(chain.from_iterable(table.class_names for table in tables))
    rows = chain.from_iterable(_items(file, table) for file, table in zip(files, tables, strict=True))
    return Source("parquet", sum(table.rows for table in tables), rows, class_names=tuple(names))


def choose(store: Store, names: list[str]) -> list[Store]:
    """The Parquet files among those below a folder; or the store itself, if it is one."""
    if not names:
        return [store] if store.name.lower().endswith(".parquet") else []
    found = (name for name in names if fnmatch(name, "*.parquet") and name.removeprefix("data/").count("/") == 0)
    return [store.beside(f"{store.path}/{name}") for name in found]


class _Table(NamedTuple):
    """What the schema of a file says."""

    rows: int
    image: str
    label: str | None
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    """A row group, which is the least that can be read of a Parquet file."""

    file: Store
    number: int
    column: str
    walk: str
    """Of this walk through the file: the next one finds what lies there then."""


@dataclass(frozen=True)
class _Cell(Deferred):
    """The image of one row."""

    rows: _Group
    row: int
    size: int

    @property
    def group(self) -> _Group:
        return self.rows

    @property
    def local(self) -> bool:
        """Whether the Parquet file is one of this machine."""
        return self.rows.file.local is not None

    def read(self) -> bytes:
        """Its bytes."""
        return _image(_column(self.rows)[self.row].as_py())


@lru_cache(1)
def _column(group: _Group) -> Any:
    """The images of a row group, kept until another one is asked for."""
    with _opened(group.file) as file:
        return file.read_row_group(group.number, columns=[group.column]).column(group.column)


def _image(value: Any) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None:
        raise ItemError("no bytes in this row")
    return bytes(data)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    return sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")])


@contextmanager
def _opened(store: Store) -> Iterator[Any]:
    import pyarrow as pa  # half a second, which the worker processes that decode images need not wait
    import pyarrow.parquet as pq

    try:
        with (
            reading(store if store.uri else Path(store.path)),
            store.opened() as source,
            pq.ParquetFile(source) as file,
        ):
            yield file
    except pa.ArrowException as error:
        raise DataError(f"data.source: {store} is no intact Parquet file: {error}") from error


def _table(path: Store) -> _Table:
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


def _image_column(path: Store, schema: Any) -> str:
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


def _items(path: Store, table: _Table) -> Iterator[Item]:
    """All rows; the images of a row group of moderate size are read by whoever decodes them."""
    walk = uuid4().hex
    with _opened(path) as file:
        row = 0
        for number in range(file.num_row_groups):
            about = file.metadata.row_group(number)
            light = about.num_rows <= _GROUP_ROWS and about.total_byte_size <= _GROUP_BYTES
            read = _light if light else _heavy
            for label, content in read(_Group(path, number, table.image, walk), file, table):
                yield Item(f"{path.name}[{row}]", _label(label, table.class_names), content)
                row += 1


def _light(group: _Group, file: Any, table: _Table) -> Iterator[tuple[Any, Content]]:
    """The labels are read here, the images elsewhere."""
    about = file.metadata.row_group(group.number)
    labels = file.read_row_group(group.number, columns=[table.label]).column(0).to_pylist() if table.label else None
    for row in range(about.num_rows):
        cell = _Cell(group, row, about.total_byte_size // about.num_rows)
        yield labels[row] if labels else None, cell


def _heavy(group: _Group, file: Any, table: _Table) -> Iterator[tuple[Any, Content]]:
    """Everything is read here, some rows at a time: no process could hold such a group."""
    columns = [name for name in (table.image, table.label) if name]
    for batch in file.iter_batches(_ROWS, row_groups=[group.number], columns=columns):
        labels = batch.column(table.label).to_pylist() if table.label else [None] * batch.num_rows
        for value, label in zip(batch.column(table.image), labels, strict=True):
            try:
                yield label, _image(value.as_py())
            except ItemError as reason:
                yield label, reason


def _label(value: int | str | None, names: tuple[str, ...]) -> str | None:
    """The name of a class; an integer that the class names do not cover (-1 by convention) is no label."""
    if isinstance(value, int) and names:
        return names[value] if 0 <= value < len(names) else None
    return None if value is None or value == -1 else str(value)
