"""A folder on object storage: samples, whose sub-folders are the classes, or Parquet files."""

from collections.abc import Iterator

from ganops.core.errors import DataError
from ganops.data.sources import parquet
from ganops.data.sources.item import IMAGES, Item, Source, Wanted, check_count
from ganops.data.sources.listing import File, Listing, Sample
from ganops.data.sources.storage import Store, Stored

ACCEPTS = "a folder of images, sounds, texts or films, or Parquet files, on object storage: s3://bucket/folder, gs://bucket/folder"


def read(store: Store, wanted: Wanted = IMAGES) -> Source:
    """Return the source of a storage: the one that the same files would be in a local folder.

    Raises:
        DataError: the storage cannot be read, or it is a file of another kind.
    """
    is_folder = store.kind == "Directory"
    listing, number = Listing(wanted), 0
    tables = [] if is_folder or not store.name.lower().endswith(".parquet") else [store]
    for number, (name, size, changed) in enumerate(store.files() if is_folder else (), 1):
        check_count(number, store)
        listing.add(File(name, size, changed))
        if parquet.is_table(name):
            tables.append(store / name)
    if tables:
        return parquet.from_files(tables, wanted)
    if not number:
        raise DataError(f"data.source: {store} holds no files that can be read from there; accepted is\n  {ACCEPTS}")

    def items(samples: Iterator[Sample]) -> Iterator[Item]:
        for sample in samples:
            yield sample.item(sample.content(lambda file: Stored(store / file.name, file.size, file.note)))

    return listing.source("folder", items)
