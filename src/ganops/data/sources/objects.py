"""A folder on object storage: samples, whose sub-folders are the classes, or Parquet files."""

from ganops.core.errors import DataError
from ganops.data.sources import parquet, tree
from ganops.data.sources.item import IMAGES, Item, Source, Wanted
from ganops.data.sources.storage import Store, Stored

ACCEPTS = (
    "a folder of images, sounds or texts, or Parquet files, on object storage: s3://bucket/folder, gs://bucket/folder"
)


def read(store: Store, wanted: Wanted = IMAGES) -> Source:
    """Return the source of a storage: the one that the same files would be in a local folder.

    Raises:
        DataError: the storage cannot be read, or it is a file of another kind.
    """
    found = store.files() if store.kind == "Directory" else []
    files = [(name, size) for name, size in found if not tree.is_hidden(name)]
    if tables := parquet.choose(store, [name for name, _ in files]):
        return parquet.from_files(tables, wanted)
    if not files:
        raise DataError(f"data.source: {store} holds no files that can be read from there; accepted is\n  {ACCEPTS}")
    taken = [(name, size) for name, size in files if wanted.named(name)]
    ignored = tuple(name for name, _ in files if not wanted.named(name))
    classes = tree.labels([name for name, _ in taken])
    items = (Item(name, label, Stored(store / name, size)) for (name, size), label in zip(taken, classes, strict=True))
    return Source("folder", len(taken), items, ignored)
