"""Decoded samples outlive their run: only what is new is decoded, and the set is the one of decoding all."""

import os
import signal
import sqlite3
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganops.data import kept
from ganops.data.image_decoder import ImageDecoder
from ganops.data.intake import serially


@pytest.fixture
def store(tmp_path):
    return tmp_path / "kept" / "decoded.sqlite"


@pytest.fixture
def counted():
    """A mapper that counts what it decodes, and the count."""
    count = [0]

    def mapper(decode, blocks, items):
        def seen():
            for block in blocks:
                count[0] += len(block)
                yield block

        return serially(decode, seen(), items)

    return mapper, count


@pytest.fixture
def again(run, store, counted):
    """`prepare` with the store; returns the manifest and how many were decoded."""

    def again(source, **options):
        counted[1][0] = 0
        return run(source, decoded=store, mapper=counted[0], **options), counted[1][0]

    return again


def test_a_second_run_decodes_nothing_and_makes_the_same_set(lay, pictures, run, again):
    source = lay(pictures)
    expected = run(source)
    assert again(source) == (expected, 40)
    assert again(source) == (expected, 0)


def test_one_more_file_decodes_one_more_file(lay, pictures, encode, noise, run, again):
    source = lay(pictures)
    again(source)
    lay({"a/new.png": encode(noise(99))})
    assert again(source) == (run(source), 1)


def test_a_file_that_changed_is_decoded_again(lay, pictures, encode, noise, run, again):
    source = lay(pictures)
    again(source)
    path = source / "a/00.png"
    before = path.stat()
    path.write_bytes(encode(noise(98)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same time, as a copy may have
    manifest, decoded = again(source)
    assert decoded == 1
    assert manifest["sha256"] == run(source)["sha256"]


def test_other_parameters_code_and_libraries_decode_all(lay, pictures, again, monkeypatch):
    source = lay(pictures)
    again(source)
    assert again(source, fit="stretch")[1] == 40
    monkeypatch.setattr(kept, "_code", lambda: ["other"])
    assert again(source, fit="stretch")[1] == 40


def test_what_is_used_no_more_is_removed(lay, pictures, again, store):
    again(lay(pictures))
    size = store.stat().st_size
    few = dict(list(pictures.items())[:20])
    again(lay(few, "few"))
    with sqlite3.connect(store) as file:
        assert file.execute("SELECT count(*) FROM decoded").fetchone() == (20,)
    assert store.stat().st_size < size


def test_rejected_files_are_looked_at_again(lay, pictures, encode, noise, again):
    source = lay(pictures | {"a/bad.png": b"no picture"})
    manifest, _ = again(source, max_rejected=0.1)
    assert len(manifest["rejected"]) == 1
    assert again(source, max_rejected=0.1) == (manifest, 1)


def test_archives_and_tables_are_kept_too(lay, pictures, tmp_path, run, again):
    rows = [{"image": {"bytes": content, "path": name}, "label": name[0]} for name, content in pictures.items()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet", row_group_size=7)
    folder = lay(pictures)
    subprocess.run(["tar", "-C", folder, "-cf", tmp_path / "set.tar", "."], check=True)
    for source in (tmp_path / "set.parquet", tmp_path / "set.tar", folder.as_uri()):
        expected = run(source)
        assert again(source) == (expected, 40)
        assert again(source) == (expected, 0)


def test_a_damaged_store_is_made_anew(lay, pictures, again, store):
    source = lay(pictures)
    first, _ = again(source)
    store.write_bytes(b"no database" * 1000)
    assert again(source) == (first, 40)
    assert again(source) == (first, 0)
    with sqlite3.connect(store) as file:
        file.execute("UPDATE decoded SET checksum = 0 WHERE rowid = 1")
    assert again(source) == (first, 1)


def test_a_store_that_another_process_has_or_that_cannot_be_is_done_without(lay, pictures, again, run, store):
    expected = run(lay(pictures))
    with kept.Kept(store, ImageDecoder(8)):
        assert again(lay(pictures)) == (expected, 40)
    store.parent.rename(store.parent.with_name("elsewhere"))
    store.parent.write_text("no folder")
    assert again(lay(pictures)) == (expected, 40)


def test_a_disk_without_room_for_it_gives_the_set_all_the_same(lay, pictures, again, run, store, monkeypatch):
    expected = run(lay(pictures))
    opened = kept.Kept._opened

    def full(self):
        file = opened(self)
        file.execute("PRAGMA max_page_count = 4")
        return file

    monkeypatch.setattr(kept.Kept, "_opened", full)
    assert again(lay(pictures)) == (expected, 40)
    assert not store.exists()


SLOW = """
import sys, time
from pathlib import Path
from ganops.data import intake, prepare
from ganops.data.image_decoder import ImageDecoder
source, out, kept = map(Path, sys.argv[1:])
intake._CHUNK_ITEMS = 2
def slowly(decode, blocks, count):
    for block in blocks:
        time.sleep(0.05)
        print(len(block), flush=True)
        yield decode(block)
prepare(source, out / "prepared", out / "preview.png", ImageDecoder(8), mapper=slowly, decoded=kept)
"""


def test_what_was_decoded_before_a_kill_is_not_decoded_again(lay, pictures, again, run, store, tmp_path):
    source = lay(pictures)
    command = [sys.executable, "-c", SLOW, str(source), str(tmp_path / "killed"), str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(8):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed/prepared").exists()
    expected = run(source)
    manifest, decoded = again(source)
    assert manifest == expected
    assert 40 - 2 * 9 <= decoded <= 40 - 2 * 7
