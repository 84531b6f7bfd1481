"""Parquet files as Hugging Face lays them out: a column of samples, and perhaps a column of labels.

A sample is a struct of `bytes` and `path`, or plain binary; of texts it is a string. Class names come from the
ClassLabel in the metadata of the schema, else from the values themselves.

A value can repeat in a few bytes, so no more than one row is unpacked at a time.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from ganops.core.errors import DataError
from ganops.data.sources.item import (
    IMAGES,
    Content,
    Deferred,
    Item,
    ItemError,
    Source,
    Wanted,
    check_size,
    printable,
    reading,
)  # fmt: skip
from ganops.data.sources.storage import Store

ACCEPTS = "a .parquet file (a column of images, sounds, texts or films, perhaps a column `label`), or a folder of them"

_ROWS = 1  # unpacked at a time
_GROUP_ROWS, _GROUP_BYTES = 1024, 64 * 2**20  # of a row group that is decoded in one piece; more is divided
_UNPACKED = 100  # bytes that a byte of a file may become, beyond the first _GROUP_BYTES; samples are packed already
_LABEL = 1000  # characters of a class name


def recognises(path: Path) -> bool:
    """A .parquet file, or a folder that holds some, itself or in a sub-folder `data`."""
    return bool(_files(path))


def read(path: Path, wanted: Wanted = IMAGES) -> Source:
    """All rows of all files.

    Raises:
        DataError: a file is damaged, or has not one column that can be the samples.
    """
    return from_files([Store("", str(file)) for file in _files(path)], wanted)


def from_files(files: list[Store], wanted: Wanted = IMAGES) -> Source:
    """The same for files that were found elsewhere.

    Raises:
        DataError: A file cannot be read, unpacks to too much, or its columns are not samples with or without a label.
    """
    tables = [_table(file, wanted) for file in files]
    names = dict.fromkeys(chain.from_iterable(table.class_names for table in tables))
    rows = chain.from_iterable(_items(file, table) for file, table in zip(files, tables, strict=True))
    count = sum(table.rows for table in tables)
    return Source("parquet", count, rows, class_names=tuple(names), raw=wanted.lines)


def is_table(name: str) -> bool:
    """Return True where a path in a folder is that of one of its Parquet files, itself or in its sub-folder `data`."""
    return name.endswith(".parquet") and "/" not in name.removeprefix("data/")


class _Table(NamedTuple):
    """The columns of a Parquet file, from its schema."""

    rows: int
    column: str
    label: str | None
    class_names: tuple[str, ...]
    paths: bool
    """True where the names of the samples' files are read, too."""
    texts: bool
    """True where the samples are strings."""


@dataclass(frozen=True)
class _Group:
    """A row group, which is the least that can be read of a Parquet file."""

    file: Store
    number: int
    column: str
    walk: str
    """Number of this walk through the file: the next one finds what lies there then."""
    version: str = ""
    """Place, size and time of change of the file; empty: unknown."""


@dataclass(frozen=True)
class _Cell(Deferred):
    """The sample of one row."""

    rows: _Group
    row: int
    size: int

    @property
    def group(self) -> _Group:
        return self.rows

    @property
    def version(self) -> str:
        """Version of the file, and the place in it."""
        group = self.rows
        return f"{group.version}|{group.number}|{group.column}|{self.row}" if group.version else ""

    @property
    def local(self) -> bool:
        """True where the Parquet file is one of this machine."""
        return self.rows.file.local is not None

    def read(self) -> bytes:
        """Return the bytes."""
        return _sample(_walk(self.rows).at(self.row))


class _Walk:
    """The samples of a row group, of which one is in memory; best asked for in their order."""

    def __init__(self, group: _Group) -> None:
        self._group = group
        self._begin()

    def _begin(self) -> None:
        self._next, self._values = 0, _values(self._group, self._group.column)

    def at(self, row: int) -> Any:
        """The value in a row.

        Raises:
            DataError: The file has fewer rows than its header says.
        """
        if row < self._next:
            self._begin()
        for value in self._values:
            self._next += 1
            if self._next > row:
                return value
        raise DataError(f"data.source: {self._group.file} has fewer rows than its header says")


@lru_cache(1)
def _walk(group: _Group) -> _Walk:
    """The walk through a row group, kept until another one is asked for."""
    return _Walk(group)


def _values(group: _Group, column: str, *, binary: bool = False) -> Iterator[Any]:
    """Yield the values of a column of a row group, row by row, of strings perhaps the bytes."""
    import pyarrow as pa

    with _opened(group.file) as file:
        for batch in file.iter_batches(_ROWS, row_groups=[group.number], columns=[column], use_threads=False):
            values = batch.column(0).cast(pa.large_string()).cast(pa.large_binary()) if binary else batch.column(0)
            yield from (value.as_py() for value in values)


def _sample(value: Any) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None:
        raise ItemError("no bytes in this row")
    check_size(len(data))
    return bytes(data)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    return sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")])


@contextmanager
def _opened(store: Store) -> Iterator[Any]:
    import pyarrow.parquet as pq  # half a second, which the worker processes that decode samples need not wait

    place = store if store.uri else Path(store.path)
    with reading(place, "Parquet file"), store.opened() as source, pq.ParquetFile(source) as file:
        yield file


def _table(path: Store, wanted: Wanted) -> _Table:
    with _opened(path) as file:
        _check_unpacked(path, file.metadata)
        schema = file.schema_arrow
        if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
            raise DataError(f"data.source: {path}: expected every column once, got {twice} twice")
        label = next((name for name in ("label", "labels") if name in schema.names), None)
        if label and not _is_label(schema.field(label).type):
            got = schema.field(label).type
            raise DataError(f"data.source: {path}: expected integers or text in column {label}, got {got}; rename it")
        column = _sample_column(path, schema, wanted, label)
        paths = wanted.paths and _has_paths(schema.field(column).type)
        return _Table(file.metadata.num_rows, column, label, _class_names(path, schema, label), paths, wanted.lines)


def _check_unpacked(path: Store, about: Any) -> None:
    """DataError where a file says that it unpacks to far more than samples do."""
    packed = path.size
    unpacked = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    if unpacked > _GROUP_BYTES + _UNPACKED * packed:
        says = f"{path} says that its {packed:,} bytes unpack to {unpacked:,}"
        raise DataError(f"data.source: {says}; samples do not, and at most {_UNPACKED} times as many are read")


def _is_label(kind: Any) -> bool:
    import pyarrow.types as types

    values = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_integer(values) or types.is_string(values) or types.is_large_string(values))


def _has_paths(kind: Any) -> bool:
    """Return True where a column of samples states the name of each file, as Hugging Face's structs may."""
    import pyarrow.types as types

    if not types.is_struct(kind) or kind.get_field_index("path") < 0:
        return False
    path = kind.field("path").type
    return bool(types.is_string(path) or types.is_large_string(path))


def _sample_column(path: Store, schema: Any, wanted: Wanted, label: str | None) -> str:
    """The column that is named as samples are, such as image or img, else the only one that can be samples."""
    import pyarrow.types as types

    def holds_bytes(kind: Any) -> Any:
        if types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0 and holds_bytes(kind.field("bytes").type)
        values = kind.value_type if types.is_dictionary(kind) else kind
        return types.is_binary(values) or types.is_large_binary(values)

    def holds_texts(kind: Any) -> Any:
        values = kind.value_type if types.is_dictionary(kind) else kind
        return types.is_string(values) or types.is_large_string(values)

    holds = holds_texts if wanted.lines else holds_bytes
    columns = [field.name for field in schema if holds(field.type) and field.name != label]
    named = [name for name in wanted.columns if name in columns] or columns
    if len(named) == 1 or named[:1] == [wanted.columns[0]]:
        return named[0]
    form = "strings" if wanted.lines else "binary, or a struct with `bytes`"
    what = f"one column of {wanted.unit}s ({form}), or one of them named"
    expected = f"expected {what} `{wanted.columns[0]}`"
    raise DataError(f"data.source: {path}: {expected}; got {columns} of the columns {schema.names}")


def _class_names(path: Store, schema: Any, label: str | None) -> tuple[str, ...]:
    """The names of the ClassLabel `label`, if the metadata that Hugging Face writes has them."""
    names = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    for key in ("info", "features", label, "names"):
        names = names.get(key) if isinstance(names, dict) else None
    if not isinstance(names, list | None) or not all(isinstance(name, str) for name in names or ()):
        problem = f"data.source: {path}: expected a list of class names for {label} in the metadata of its schema"
        raise DataError(problem)
    return tuple(map(printable, names or ()))


def _items(path: Store, table: _Table) -> Iterator[Item]:
    """All rows; the samples of a row group of moderate size are read by whoever decodes them."""
    walk, version = uuid4().hex, path.version
    row = 0
    with _opened(path) as file:
        for number in range(file.num_row_groups):
            about = file.metadata.row_group(number)
            group = _Group(path, number, table.column, walk, version)
            labels = _values(group, table.label) if table.label else repeat(None, about.num_rows)
            paths = _values(group, f"{table.column}.path") if table.paths else repeat({}, about.num_rows)
            light = about.num_rows <= _GROUP_ROWS and about.total_byte_size <= _GROUP_BYTES
            contents = (_texts if table.texts else _cells if light else _contents)(group, about)
            for label, content, stated in zip(labels, contents, paths, strict=True):
                name, own = f"{path.name}[{row}]", (stated or {}).get("path") or ""
                yield Item(name, _label(label, table.class_names, path), content, path=own)
                row += 1


def _cells(group: _Group, about: Any) -> Iterator[Content]:
    """The samples are read elsewhere."""
    return (_Cell(group, row, about.total_byte_size // about.num_rows) for row in range(about.num_rows))


def _contents(group: _Group, about: Any) -> Iterator[Content]:
    """The samples are read here: no process could hold such a group."""
    for value in _values(group, group.column):
        try:
            yield _sample(value)
        except ItemError as reason:
            yield reason


def _texts(group: _Group, about: Any) -> Iterator[Content]:
    """The texts of a row group; bytes that are no UTF-8 become U+FFFD, as in a file."""
    for value in _values(group, group.column, binary=True):
        yield ItemError("no text in this row") if value is None else value.decode(errors="replace")


def _label(value: int | str | None, names: tuple[str, ...], path: Store) -> str | None:
    """The name of a class; an integer that the class names do not cover (-1 by convention) is none, nor are blanks."""
    if isinstance(value, int) and names:
        return names[value] if 0 <= value < len(names) else None
    if isinstance(value, str) and len(value) > _LABEL:
        raise DataError(f"data.source: {path}: a label of {len(value):,} characters; at most {_LABEL:,} are read")
    return None if value is None or value == -1 else str(value).strip() or None
