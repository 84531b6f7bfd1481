"""A folder on object storage: samples, whose sub-folders are the classes, or Parquet files."""

from ganops.core.errors import DataError
from ganops.data.sources import parquet, tree
from ganops.data.sources.item import IMAGES, Content, Item, Source, Wanted
from ganops.data.sources.storage import Store, Stored

ACCEPTS = "a folder of images, sounds, texts or films, or Parquet files, on object storage: s3://bucket/folder, gs://bucket/folder"


def read(store: Store, wanted: Wanted = IMAGES) -> Source:
    """Return the source of a storage: the one that the same files would be in a local folder.

    Raises:
        DataError: the storage cannot be read, or it is a file of another kind.
    """
    found = store.files() if store.kind == "Directory" else []
    files = [each for each in found if not tree.is_hidden(each[0])]
    if tables := parquet.choose(store, [name for name, *_ in files]):
        return parquet.from_files(tables, wanted)
    if not files:
        raise DataError(f"data.source: {store} holds no files that can be read from there; accepted is\n  {ACCEPTS}")
    taken = tree.samples({i: name for i, (name, *_) in enumerate(files)}, wanted)
    used = {i for sample in taken for i in sample.files}
    ignored = tuple(name for i, (name, *_) in enumerate(files) if i not in used)
    classes = tree.labels([sample.name for sample in taken])

    def content(sample: tree.Found) -> Content:
        parts = (files[i] for i in sample.picked(wanted))
        return sample.content([Stored(store / name, size, changed) for name, size, changed in parts])

    items = (Item(sample.name, label, content(sample)) for sample, label in zip(taken, classes, strict=True))
    return Source("folder", len(taken), items, ignored)
