"""The folder that a user's processes share on a machine."""

import fcntl
import os
import tempfile
import time

import pytest

from ganops.core.errors import TrainingError
from ganops.core.node_folder import KEPT_SECONDS, forget, node_folder, scratch


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"ganops-{os.getuid()}"


def test_it_is_made_for_its_owner_alone(home):
    assert node_folder() == node_folder() == home
    assert home.stat().st_mode & 0o777 == 0o700


def test_one_that_others_can_open_or_a_link_is_refused(home, tmp_path):
    home.mkdir()
    home.chmod(0o755)
    with pytest.raises(TrainingError, match="only its owner can open"):
        node_folder()
    home.rmdir()
    home.symlink_to(tmp_path)
    with pytest.raises(TrainingError, match="only its owner can open"):
        node_folder()


def test_what_nobody_has_opened_for_long_is_forgotten(home):
    for name, age in (("old", KEPT_SECONDS + 60), ("new", 60)):
        (folder := node_folder() / name).mkdir()
        (folder / "file").touch()
        os.utime(folder, (folder.stat().st_mtime - age,) * 2)
    forget(home)
    assert [path.name for path in home.iterdir()] == ["new"]


def test_what_a_killed_process_left_makes_room_for_the_next(home):
    left, used = scratch("checkpoint"), scratch("checkpoint")
    os.utime(left, (time.time() - KEPT_SECONDS - 60,) * 2)
    found = scratch("log")
    assert sorted(home.iterdir()) == sorted([used, found])
    assert list(found.iterdir()) == []


def old_copies(home, count, files=200):
    for i in range(count):
        copy = home / f"old-{i}"
        copy.mkdir(parents=True)
        for number in range(files):
            (copy / str(number)).touch()
        os.utime(copy, (time.time() - 2 * KEPT_SECONDS,) * 2)


def test_processes_that_forget_at_once_are_in_nobodys_way(home):
    old_copies(home, 6)
    children = []
    for _ in range(4):
        if (child := os.fork()) == 0:
            try:
                forget(home)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert not list(home.iterdir())


def test_a_cache_that_is_in_use_is_not_forgotten(home):
    old_copies(home, 1, 1)
    use = home / "old-0.use"
    use.touch()
    with use.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        forget(home)
        assert (home / "old-0").is_dir()
    forget(home)
    assert not (home / "old-0").exists()
