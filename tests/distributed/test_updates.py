"""What a training says of the checkpoints in its storage that other code has written."""

from types import SimpleNamespace

import pytest

from ganops.core.files import write_json
from ganops.distributed.finished import NOTE
from ganops.distributed.on_ray import LIST, _mend_list
from ganops.distributed.storage import Storage
from ganops.distributed.train import past
from ganops.experiment import identity

MEANING = {"seed": 0, "mathematics": identity.MATHEMATICS, "edits": ""}


@pytest.fixture(params=["{}", "file://{}"])
def storage(request, tmp_path):
    return Storage(request.param.format(tmp_path))


def run(**changes):
    meaning = MEANING | changes
    return SimpleNamespace(meaning=meaning, fingerprint=identity.fingerprint(meaning))


def leave(folder, checkpoint="checkpoint_2026-11-28_10-00-00.000001", commit="abc1234def", **changes):
    """An unfinished training, as Ray names its checkpoints or as the local launcher does."""
    left = run(**changes)
    meaning = {key: value for key, value in left.meaning.items() if value is not None}
    journal = {"meaning": meaning, "commit": commit, "edited": ["a.py"]}
    write_json(folder / f"train-{left.fingerprint}" / checkpoint / "run.json", journal)
    write_json(folder / f"train-{left.fingerprint}" / "checkpoint_manager_snapshot.json", {})  # as Ray does
    return f"train-{left.fingerprint}"


def test_a_checkpoint_that_is_continued_is_no_line_here(storage, tmp_path):
    assert past(run(), storage) == ""
    leave(tmp_path)
    leave(tmp_path, mathematics=0)
    assert past(run(), storage) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mathematics": 0}, "written by commit abc1234 with version 0 of the mathematics"),
        ({"edits": "e"}, "with edits in a.py that no commit held"),
        ({"mathematics": None, "edits": None, "code": "c"}, "before checkpoints named the version"),
    ],
)
@pytest.mark.parametrize("checkpoint", ["checkpoint", "checkpoint_2026-11-28_10-00-00.000001"])
def test_an_unfinished_training_of_other_code_is_told(storage, tmp_path, changes, words, checkpoint):
    name = leave(tmp_path, checkpoint, **changes)
    line = past(run(), storage)
    assert line.startswith(f"begins anew beside the unfinished training {storage.below(name)}: it was ")
    assert words in line


def test_a_finished_training_of_other_code_is_no_unfinished_one(storage, tmp_path):
    name = leave(tmp_path, mathematics=0)
    assert past(run(), storage)
    storage.write(f"{name}/{NOTE}", b"{}")
    assert past(run(), storage) == ""


def test_other_parameters_and_what_cannot_be_read_are_no_line(storage, tmp_path):
    leave(tmp_path, seed=1)
    (tmp_path / "train-broken" / "checkpoint").mkdir(parents=True)
    (tmp_path / "train-broken" / "checkpoint" / "run.json").write_text("{")
    assert past(run(), storage) == ""


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ('{"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_1"}]}', True),
        ('{"checkpoint_results": []}', True),
        ('{"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_2"}]}', False),
        ('{"checkpoint_results": [{"checkpoint_d', False),
        ("[]", False),
        ("", False),
    ],
)
def test_a_damaged_list_of_rays_makes_room_and_is_told(storage, tmp_path, capsys, content, kept):
    (tmp_path / "train-a" / "checkpoint_1").mkdir(parents=True)
    (tmp_path / "train-a" / LIST).write_text(content)
    _mend_list(storage, "train-a")
    assert (tmp_path / "train-a" / LIST).exists() == kept
    assert ("was damaged" in capsys.readouterr().out) != kept
    _mend_list(storage, "train-b")
