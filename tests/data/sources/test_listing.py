"""The listing of a source's files: samples and films as rules say, whatever their order, in memory that is bounded."""

import gc
import random
import tracemalloc
from itertools import chain, islice

import pytest

from ganops.data.sources import listing
from ganops.data.sources.item import IMAGES
from ganops.data.sources.listing import File, Listing
from ganops.data.video_decoder import VideoDecoder

FILMS = VideoDecoder(frames=3, resolution=8).wanted


def listed(names, wanted=IMAGES):
    """The source of files with such names, whose items are (name, label, names of their files or a reason)."""
    found = Listing(wanted)
    for name in names:
        found.add(File(name))

    def items(samples):
        for each in samples:
            yield each.name, each.label, each.objection or tuple(file.name for file in each.files)

    return found.source("folder", items)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/1.png", "b/2.png"], ["a", "b"]),
        (["a/x/1.png", "a/2.png", "b/y/z/3.png"], ["a", "a", "b"]),
        (["1.png", "2.png"], [None, None]),
        (["faces/a/1.png", "faces/b/2.png"], ["a", "b"]),
        (["faces/1.png", "faces/2.png"], [None, None]),
        (["x/y/a/1.png", "x/y/b/2.png"], ["a", "b"]),
        (["1.png", "a/2.png"], [None, "a"]),
        (["faces/1.png", "faces/a/2.png"], [None, "a"]),
        ([], []),
    ],
)
def test_the_top_folder_is_the_class_unless_it_wraps_everything(names, expected):
    found = listed(names)
    assert list(found.items) == [(name, label, (name,)) for name, label in zip(names, expected, strict=True)]
    assert found.count == len(names)


def test_what_is_refused_without_a_label_says_nothing_about_classes():
    found = Listing(IMAGES)
    found.add(File("faces/a/1.png"))
    found.add(File("faces/b/2.png"))
    found.refuse("/etc/3.png", "an absolute path", labelled=False)
    samples = list(found.source("zip", iter).items)
    assert [(each.label, each.objection) for each in samples] == [("a", ""), ("b", ""), (None, "an absolute path")]


FOLDERS = {
    "a/1": ["7.png", "9.png", "10.png", "11.png", "12.png", "13.png"],  # a film, of which five are read
    "a/2": ["1.png", "x.png"],  # one has no number
    "b/3": ["1.png", "01.png"],  # one number twice
    "b/4": ["cover.jpg"],  # can be no film
    "b/5": ["lone.png"],  # perhaps an animated one
    "b/6": ["film.mp4", "1.png", "2.png"],  # a film with thumbnails
}


@pytest.mark.parametrize("seed", range(4))
def test_films_are_found_in_any_order_of_files(seed):
    names = [f"{folder}/{name}" for folder, files in FOLDERS.items() for name in files]
    random.Random(seed).shuffle(names)
    found = listed(names, FILMS)
    samples = {name: (label, read) for name, label, read in found.items}
    assert samples.pop("a/1") == ("a", tuple(f"a/1/{name}" for name in FOLDERS["a/1"][: FILMS.stills.most]))
    assert samples.pop("a/2")[1].startswith("2 images of which nothing says the order: 'x.png' has no number")
    assert samples.pop("b/3")[1].startswith("images of which two have the same number")
    assert samples == {"b/5/lone.png": ("b", ("b/5/lone.png",)), "b/6/film.mp4": ("b", ("b/6/film.mp4",))}
    assert found.ignored == ("b/4/cover.jpg", "b/6/1.png", "b/6/2.png")
    assert found.count == 5


def test_names_of_no_encoding_are_kept():
    names = ["a/\udcff.png", "a/\udcfe/1.png", "b/\N{SNOWMAN}\0.png", "\udcff.txt"]
    found = listed(names)
    assert [name for name, *_ in found.items] == names[:3]
    assert found.ignored == ("\\udcff.txt",)


def test_of_many_ignored_files_the_first_are_named_and_the_others_counted(monkeypatch):
    monkeypatch.setattr(listing, "IGNORED", 3)
    names = [f"{i}.txt" for i in range(9)]
    random.Random(0).shuffle(names)
    found = listed([*names, "1.png"])
    assert (found.ignored, found.more, found.count) == (("0.txt", "1.txt", "2.txt"), 6, 1)


@pytest.mark.parametrize(("wanted", "files"), [(IMAGES, 1), (FILMS, 4)])
def test_a_listing_keeps_no_files_in_memory(monkeypatch, wanted, files):
    """Memory of Python; that of SQLite is bounded by its cache."""
    monkeypatch.setattr(listing, "IGNORED", 10)

    def held(count):
        tracemalloc.start()
        try:
            samples = (f"{i % 2}/{i}/an image {k}.png" for i in range(count) for k in range(files))
            source = listed(chain(samples, (f"no image {i}.txt" for i in range(count))), wanted)
            assert sum(1 for _ in islice(source.items, count - 1)) == source.count - 1
            gc.collect()  # empties what the interpreter keeps of freed tuples: up to 2,000 of each length
            own = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/ganops/*")])
            return sum(trace.size for trace in own.traces)
        finally:
            tracemalloc.stop()

    assert held(2_000) < held(200) + 20_000  # sqlite3 holds weak references to its last 200 cursors
