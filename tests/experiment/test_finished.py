"""A longer training begins at the end of a shorter one where nothing is stretched, to the same bits."""

import pytest
import torch
from test_run import Looks, flip, outcome, run

from ganops.config import Compute
from ganops.core.errors import TrainingError
from ganops.distributed import finished
from ganops.distributed.storage import Storage
from ganops.experiment.checkpoint import STATE
from ganops.experiment.publication import publish

CONSTANT = {"train.learning_rate": 0.05, "train.checkpoint_kimg": 0.02}


def trained(kimg, storage, **changes):
    """A finished training, which began where the storage lets it; and the step at which it began."""
    training = run(judge=Looks([]), **{**CONSTANT, "train.kimg": kimg, **changes})
    if name := finished.found(training, storage):
        with storage.opened(name) as folder:
            finished.begin(training, folder)
    began = training.state.step
    list(training.play())
    finished.keep(training, storage)
    return training, began


def files(training, folder):
    names = ("generator", "metrics", "history", "validation", "pictures")
    publish(training, **{name: folder / name for name in names})
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix in (".png", ".csv", ".safetensors")]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def test_a_longer_training_goes_on_from_the_end_of_a_shorter_one(tmp_path, capsys):
    storage = Storage(str(tmp_path / "storage"))
    assert trained(0.06, storage)[1] == 0
    _, began = trained(0.1, storage)
    assert began == 6
    assert "goes on from the end of the finished training of 0.06 kimg" in capsys.readouterr().out.replace("\n", " ")
    longest, began = trained(0.2, storage)
    assert began == 10
    whole, _ = trained(0.2, Storage(str(tmp_path / "other")))
    assert outcome(longest) == outcome(whole)
    a, b = longest.state.tensors(), whole.state.tensors()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert files(longest, tmp_path / "longest") == files(whole, tmp_path / "whole")
    assert trained(0.1, storage)[1] == 0, "the same training again is trained again"


def test_what_was_killed_in_the_longer_part_is_whole(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    trained(0.06, storage)
    first, second = (run(judge=Looks([]), **{**CONSTANT, "train.kimg": 0.12}) for _ in range(2))
    with storage.opened(finished.found(first, storage)) as folder:
        finished.begin(first, folder)
    list(first.play(stop=lambda step: step == 9))
    first.save(tmp_path / "checkpoint")
    storage.drop(finished._name(first))
    second.load(tmp_path / "checkpoint")
    list(second.play())
    assert outcome(second) == outcome(trained(0.12, storage)[0])


def test_a_damaged_end_is_told_and_left(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    name = finished._name(trained(0.06, storage)[0])
    flip(storage.folder(name) / finished.RUN / STATE, 1000)
    training = run(judge=Looks([]), **{**CONSTANT, "train.kimg": 0.12})
    with storage.opened(finished.found(training, storage)) as folder:
        finished.begin(training, folder)
    notes = [note for progress in training.play() for note in progress.notes]
    assert [note.rpartition("; ")[2] for note in notes] == ["no other is whole: it begins anew"]
    assert outcome(training) == outcome(trained(0.12, Storage(str(tmp_path / "other")))[0])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"train.learning_rate": {"generator": {"start": 0.1, "end": 0.01}}}, "train.learning_rate.generator"),
        ({"loss.r1": {"start": 1, "end": 0.5}}, "loss.r1 would be others"),
        ({"train.kimg": 0.05}, "the last validation, which was between two, would be others"),
        ({"train.kimg": 0.06, "train.tick_kimg": 0.04}, "the last row, which was no whole tick, would be others"),
        ({"loss.name": "autoencoder"}, "the parts of loss.name: autoencoder"),
    ],
)
def test_what_keeps_it_from_that_is_said_with_its_cost(tmp_path, capsys, changes, why):
    storage = Storage(str(tmp_path / "storage"))
    short = trained(0.06, storage, **changes)[0].experiment.train.kimg
    assert trained(0.12, storage, **{**changes, "train.kimg": 0.12})[1] == 0
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"begins anew, although its first {short:g} kimg were trained before" in said
    assert why in said
    assert f"It costs 0.12 kimg and not {0.12 - short:g}" in said


def test_one_end_is_kept_and_only_for_its_own_training(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    trained(0.06, storage)
    assert trained(0.12, storage, **{"loss.r1": 0.7})[1] == 0
    kinds = [name.partition("-")[0] for name in storage.names("")]
    assert sorted(kinds) == ["finished", "train"], "of the former one neither the end nor the checkpoints"


def test_folders_of_others_in_the_storage_are_theirs(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    theirs = ("finished-portraits", "train-sets", f"finished-{'0' * 16}-copy")
    for name in theirs:
        storage.write(f"{name}/{finished.NOTE}", b"{}")
    storage.write(f"finished-{'0' * 16}/{finished.RUN}/half", b"what a kill has left")
    trained(0.06, storage)
    assert {*theirs} < {*storage.names("")}
    assert f"finished-{'0' * 16}" not in storage.names("")


def test_a_training_that_another_process_holds_keeps_no_end_away(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    held = finished.training("b" * 16)
    storage.write(f"{held}/{finished.NOTE}", b"{}")
    with storage.held(held, "training"):
        training, _ = trained(0.06, storage)
    assert {held, finished._name(training)} <= {*storage.names("")}


@pytest.mark.parametrize("content", [None, b'{"kimg": 0.06, "hin', b"[]", b'{"kimg": 0.06}'])
def test_an_end_without_its_note_is_told_and_left(tmp_path, capsys, content):
    storage = Storage(str(tmp_path / "storage"))
    name = finished._name(trained(0.06, storage)[0])
    storage.remove(f"{name}/{finished.NOTE}")
    if content is not None:
        storage.write(f"{name}/{finished.NOTE}", content)
    assert trained(0.12, storage)[1] == 0
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"begins anew: the end of a shorter training, {storage.below(name)}, is damaged (" in said


def test_checkpoints_of_finished_trainings_alone_are_forgotten(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    compute = Compute(storage=storage.address)
    unfinished = finished.training("unfinished")
    storage.write(f"{unfinished}/checkpoint/run.json", b"{}")
    own = trained(0.06, storage)[0].fingerprint
    assert {unfinished, finished.training(own)} <= set(storage.names(""))
    for fingerprint in ("unfinished", own, own, "of nobody"):
        finished.forget(compute, fingerprint)
    assert unfinished in storage.names("")
    assert finished.training(own) not in storage.names("")
    assert finished.training("of nobody") not in storage.names("")


def test_what_another_process_is_at_is_left_to_it(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    own = finished.training(trained(0.06, storage)[0].fingerprint)
    with storage.held(own, "training"):
        finished.forget(Compute(storage=storage.address), own.removeprefix(finished.TRAINING))
        assert own in storage.names("")
        with (
            pytest.raises(TrainingError, match="another process is at this very training"),
            storage.held(own, "training"),
        ):
            pass
