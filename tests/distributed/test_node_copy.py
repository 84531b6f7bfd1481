"""What a folder is elsewhere: the same bytes, fetched once."""

import multiprocessing
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray

from ganops.core.errors import TrainingError
from ganops.core.files import atomic_folder, locked
from ganops.core.node_folder import node_folder
from ganops.distributed import node_copy, runtime

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with runtime.cluster():
            yield


@pytest.fixture
def folder(tmp_path):
    """Several files, one of more than a piece, one without bytes, one below a link."""
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    np.save(folder / "train/images.npy", np.arange(1000, dtype=np.uint8).reshape(10, 100))
    (folder / "empty").touch()
    (tmp_path / "cached").write_text("linked")
    (folder / "link").symlink_to(tmp_path / "cached")
    return folder


@pytest.fixture
def sent(folder, tmp_path, monkeypatch):
    """A copy from another node to this one, in pieces of 300 bytes."""
    monkeypatch.setattr(node_copy, "PIECE_BYTES", 300)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return replace(node_copy.pack(folder), home="another node")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_of_a_file_the_copy_holds_nothing_else(folder, sent):
    alone = replace(node_copy.pack(folder, "link"), home="another node")
    assert contents(alone.open()) == {"link": b"linked"}
    assert node_copy.send(folder / "link") == node_copy.send(folder), "one node has it already"


def test_it_is_the_folder_itself_where_it_was_packed(folder):
    assert node_copy.pack(folder).open() == folder
    assert not node_copy.send(folder).files, "one node: nothing is packed"
    assert node_copy.send(folder).open() == folder
    assert node_copy.send(folder, grows=True).files


def test_elsewhere_it_is_a_copy_that_can_be_mapped(folder, sent):
    copy = sent.open()
    assert copy != folder
    assert contents(copy) == contents(folder)
    assert max(len(file.pieces) for file in sent.files) > 1
    assert np.load(copy / "train/images.npy", mmap_mode="r")[9, 99] == 999 % 256
    assert copy.parent.stat().st_mode & 0o777 == 0o700


def test_a_copy_is_not_fetched_again(sent, monkeypatch):
    copy = sent.open()
    monkeypatch.setattr(node_copy, "_write", None)
    assert sent.open() == copy


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_a_damaged_copy_is_fetched_again(folder, sent, damage):
    copy = sent.open()
    mapped = np.load(copy / "train/images.npy", mmap_mode="r")
    if damage == "changed":
        (copy / "link").write_text("linkeD")
    elif damage == "missing":
        (copy / "empty").unlink()
    else:
        (copy / "more").touch()
    assert contents(sent.open()) == contents(folder)
    assert mapped[0, 99] == 99, "who has mapped the old copy keeps it"


def test_what_arrives_is_what_was_packed_or_an_error(sent):
    first, *others = sent.files
    wrong = replace(sent, files=(replace(first, hash="0" * 64), *others))
    with pytest.raises(TrainingError, match="arrived damaged"):
        wrong.open()
    assert not [path for path in node_folder().iterdir() if path.is_dir()]


@pytest.mark.parametrize("name", ["../out", "/out", "train/../../out"])
def test_no_file_lies_outside(sent, name):
    bad = replace(sent, files=(replace(sent.files[0], name=name),))
    with pytest.raises(TrainingError, match="outside of its folder"):
        bad.open()


def test_the_folder_of_copies_is_this_users_own(sent):
    own = Path(tempfile.gettempdir()) / f"ganops-{os.getuid()}"
    own.mkdir(mode=0o755)
    own.chmod(0o755)
    with pytest.raises(TrainingError, match="only its owner can open"):
        sent.open()
    own.rmdir()
    own.symlink_to(tempfile.mkdtemp())
    with pytest.raises(TrainingError, match="only its owner can open"):
        sent.open()


def test_no_room_is_told_with_the_node(sent, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(node_copy, "_write", full)
    with pytest.raises(TrainingError, match=r"node .*No space left on device.*\n?.*TMPDIR"):
        sent.open()


def test_copies_that_nobody_opens_make_room(sent, folder, monkeypatch):
    old = sent.open()
    os.utime(old, (0, 0))
    (folder / "empty").write_text("filled")
    replace(node_copy.pack(folder), home="another node").open()
    assert not old.exists()


def hold(path: str, ready, done) -> None:
    Path(path).touch()
    with locked(Path(path)):
        ready.set()
        done.wait(10)


def test_two_workers_of_a_node_fetch_it_once(sent, folder, monkeypatch):
    """While another process fetches, this one waits, and then finds the copy."""
    copy = node_folder() / sent.hash
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(str(copy.with_suffix(".lock")), ready, done))
    other.start()
    assert ready.wait(60)
    checks = []

    def look(self, path, _is=node_copy.NodeCopy._is):
        if not checks:  # this process has looked and found none: now the other one has it
            with atomic_folder(copy) as draft:
                for file in self.files:
                    node_copy._write(file, draft)
            done.set()
            checks.append("before the lock")
            return False
        checks.append("under the lock")
        return _is(self, path)

    monkeypatch.setattr(node_copy.NodeCopy, "_is", look)
    monkeypatch.setattr(node_copy.NodeCopy, "_fetch", None)
    assert contents(sent.open()) == contents(folder)
    other.join()
    assert checks == ["before the lock", "under the lock"]


def test_no_folder_no_parcel(tmp_path):
    with pytest.raises(TrainingError, match="cannot be sent to the workers"):
        node_copy.pack(tmp_path / "nowhere")


def test_the_hash_is_of_names_and_contents(folder):
    first = node_copy.pack(folder).hash
    assert node_copy.pack(folder).hash == first
    (folder / "empty").rename(folder / "empty2")
    assert node_copy.pack(folder).hash != first


def test_a_parcel_travels_inside_arguments(sent):
    @ray.remote
    def read(values):
        return bytes(ray.get(values["copy"].files[-1].pieces[0]).data[:10])

    images = np.memmap(Path(sent.folder) / sent.files[-1].name, np.uint8, "r")
    assert ray.get(read.remote({"copy": sent})) == bytes(images[:10])
