"""Files are whole or absent, and what a disk refuses names the file that was asked for."""

import errno
import os
import resource
import socket
import sqlite3
import time
from contextlib import closing, contextmanager
from stat import S_ISDIR

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from ganops.core import files
from ganops.core.errors import UserError
from ganops.core.files import atomic, atomic_folder, recover, refusal
from ganops.core.terminal import stage


@contextmanager
def no_file_beyond(size):
    """A disk on which no file can grow past `size` bytes: the kernel refuses, as it does on a full one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITERS = {
    "text": lambda path: path.write_text("x" * 5000),
    "numpy": lambda path: np.save(path, np.zeros(5000)),
    "safetensors": lambda path: save_file({"a": torch.zeros(5000)}, path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_writes_a_full_disk_names_the_file_and_leaves_the_former_one(tmp_path, writer):
    target = tmp_path / "kept.npy"
    target.write_text("before")
    with no_file_beyond(1000), pytest.raises(OSError) as caught, atomic(target) as draft:
        WRITERS[writer](draft)
    said = refusal(caught.value)
    assert said.startswith(f"{target} cannot be written: ")
    assert said.endswith("the same command then goes on")
    assert "Make room" in said
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.npy"]


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_folder(tmp_path / "kept"):
        (tmp_path / "elsewhere").read_text()


@pytest.mark.parametrize(("number", "cure"), [(errno.ENOSPC, "Make room"), (errno.EROFS, "Make it writable"),
                                              (errno.EACCES, "Give yourself the right")])  # fmt: skip
def test_a_stage_whose_disk_refuses_ends_in_one_sentence(tmp_path, capsys, monkeypatch, number, cure):
    monkeypatch.chdir(tmp_path)  # back to it afterwards: a stage changes the folder
    wanted = tmp_path / "reports" / "preview.png"
    with pytest.raises(SystemExit) as exit_, stage(str(tmp_path / "pipeline" / "prepare.py")), atomic(wanted):
        raise OSError(number, os.strerror(number))  # as write(2) says it: without a name
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"prepare    {wanted} cannot be ")
    assert f"{os.strerror(number)}. {cure}" in line


def test_behind_what_others_raise_there_may_be_a_full_database(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as store:
        store.execute("PRAGMA max_page_count = 3")
        store.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            store.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    wrapped = RuntimeError("a server's words")
    wrapped.__cause__ = caught.value
    assert "database or disk is full. Make room" in refusal(wrapped)


def test_a_port_that_is_refused_and_a_defect_are_no_disk(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert refusal(PermissionError(errno.EACCES, "Permission denied")) == ""
    assert refusal(socket.gaierror(-2, "Name or service not known")) == ""
    assert refusal(ValueError("7 requested")) == ""
    with pytest.raises(SystemExit) as exit_, stage(str(tmp_path / "pipeline" / "prepare.py")):
        _ = 1 / 0
    assert exit_.value.code == 1
    told = capsys.readouterr()
    assert "ZeroDivisionError" in told.err.splitlines()[-1]
    assert not told.out


def test_the_command_line_says_it_too(tmp_path, monkeypatch, capsys):
    from ganops import cli

    def full():
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out.png"))

    for error, words in [(full, "out.png cannot be written"), (lambda: (_ for _ in ()).throw(UserError("x")), "x")]:
        monkeypatch.setattr(cli, "app", error)
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        assert exit_.value.code == 1
        assert words in capsys.readouterr().out


def test_a_folder_that_replaces_another_may_keep_it_and_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    synced, replaced = set(), []
    fsync, replace = os.fsync, os.replace

    def noted(handle):
        synced.add(os.fstat(handle).st_ino)
        fsync(handle)

    def after_its_content(source, target):
        if os.fspath(target) == os.fspath(tmp_path / "kept"):
            replaced.append({path.stat().st_ino for path in [source, *source.rglob("*")]} <= synced)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", after_its_content)
    for number in range(3):
        with atomic_folder(tmp_path / "kept", former=tmp_path / "former", lasting=True) as draft:
            (draft / "below").mkdir()
            (draft / "below" / "file").write_text(str(number))
    assert replaced == [True] * 3
    assert tmp_path.stat().st_ino in synced
    assert (tmp_path / "kept/below/file").read_text() == "2"
    assert (tmp_path / "former/below/file").read_text() == "1"


def replacing(folder, content, at, act):
    """Writes a folder with such a content; `act` comes before its rename number `at`."""
    renames, replace = iter(range(1, 9)), os.replace

    def cut(source, target):
        if next(renames) == at:
            act()
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", cut)
        with atomic_folder(folder / "kept", former=folder / "former", lasting=True) as draft:
            (draft / "file").write_text(content)


def contents(folder):
    return {path.name: (path / "file").read_text() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(("at", "left"), [(1, "b"), (2, "c"), (3, "c")])
def test_a_kill_between_two_renames_leaves_a_whole_folder_that_is_found_before_the_next_write(tmp_path, at, left):
    for content in "ab":
        replacing(tmp_path, content, 0, None)
    if (child := os.fork()) == 0:
        replacing(tmp_path, "c", at, lambda: os._exit(9))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    recover(tmp_path)
    assert contents(tmp_path) in ({"former": "a", "kept": left}, {"kept": left})
    recover(tmp_path / "nowhere")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize(("at", "left"), [(1, "b"), (2, "b"), (3, "c")])
def test_an_error_between_two_renames_leaves_a_whole_folder(tmp_path, error, at, left):
    def refuse():
        raise error

    for content in "ab":
        replacing(tmp_path, content, 0, None)
    with pytest.raises(type(error)):
        replacing(tmp_path, "c", at, refuse)
    assert contents(tmp_path) in ({"former": "a", "kept": left}, {"kept": left})


def test_the_draft_of_another_user_is_nobodys_elses(tmp_path, monkeypatch):
    (tmp_path / ".shared.json.draft-abcdefgh").mkdir()
    (tmp_path / ".shared.json.draft-abcdefgh/.lock").touch()
    opened = os.open

    def refused(path, *flags, **more):
        if ".draft-abcdefgh" in os.fspath(path):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return opened(path, *flags, **more)

    monkeypatch.setattr(os, "open", refused)
    with atomic_folder(tmp_path / "own") as draft:
        (draft / "file").write_text("mine")
    assert (tmp_path / "own/file").read_text() == "mine"
    assert (tmp_path / ".shared.json.draft-abcdefgh").is_dir()


def test_a_draft_that_is_being_made_is_left_alone_and_an_old_one_without_its_lock_is_not(tmp_path):
    made, left = (tmp_path / f".kept.draft-abcdefg{i}" for i in range(2))
    for draft, age in ((made, 60), (left, 2 * 3600)):
        (draft / "new").mkdir(parents=True)
        os.utime(draft, (time.time() - age,) * 2)
    recover(tmp_path)
    assert list(tmp_path.iterdir()) == [made]


def test_drafts_are_locked_by_files_of_which_nfs_tells_other_hosts(tmp_path, monkeypatch):
    """`flock` on a folder of NFS is known to its own host alone: here no process hears of it."""
    flock = files.fcntl.flock
    monkeypatch.setattr(
        files.fcntl, "flock", lambda handle, how: S_ISDIR(os.fstat(handle).st_mode) or flock(handle, how)
    )
    with atomic_folder(tmp_path / "kept") as draft:
        if (child := os.fork()) == 0:
            recover(tmp_path)
            with atomic_folder(tmp_path / "other") as second:
                (second / "file").touch()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        (draft / "file").write_text("whole")
    assert (tmp_path / "kept/file").read_text() == "whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "other"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_lock_is_held_by_one_at_a_time(kind, tmp_path):
    path = tmp_path / "lock"
    path.touch() if kind == "file" else path.mkdir()
    with files.locked(path) as held:
        assert held
        with files.locked(path, wait=False) as second:
            assert second is False
    with files.locked(path, wait=False) as again:
        assert again


def test_what_is_not_there_is_not_locked_and_not_made(tmp_path):
    """A draft may vanish while others look for those that were left."""
    with pytest.raises(FileNotFoundError), files.locked(tmp_path / "gone", wait=False):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with files.locked(tmp_path) as held:
        assert held is None


@pytest.mark.parametrize("value", ["1234e567", "1e5", "on", "0.5", "12:30", 1e-5, 4e-4, 1, True, None, [1.5, "é"]])
def test_yaml_is_read_as_it_was_written_by_readers_of_both_versions(value, tmp_path):
    (tmp_path / "x.yaml").write_text(files.yaml_text({"a": value}))
    assert files.read_yaml(tmp_path / "x.yaml") == yaml.safe_load(files.yaml_text({"a": value})) == {"a": value}


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: [", "\tb: 1", "a: !!python/object:x.Y {}"])
def test_what_is_no_strict_yaml_is_refused(text, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"line [12]"):
        files.read_yaml(tmp_path / "x.yaml")
