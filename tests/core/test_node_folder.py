"""The folder that a user's processes share on a machine."""

import os
import tempfile

import pytest

from ganops.core.errors import TrainingError
from ganops.core.node_folder import KEPT_SECONDS, forget, node_folder


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
