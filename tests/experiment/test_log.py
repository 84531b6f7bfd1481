"""The log beside the checkpoints: whatever is killed and whatever is left there, a training's own rows and pictures."""

import itertools
import json
import random
import shutil

import numpy as np
import pytest
from phrases import strip
from test_run import OFTEN, Later, Looks, flip, outcome, run

from ganops.core.errors import DamageError
from ganops.core.files import hash_file, read_json
from ganops.experiment.checkpoint import JOURNAL, PICTURES, seal
from ganops.experiment.log import LOG, Log, _put, is_kept, reader
from ganops.experiment.publication import publish


def test_the_strip_is_dense_at_first_and_then_thinned_by_ratio():
    kept = [tick for tick in range(1, 2**20) if is_kept(tick)]
    assert kept[:64] == list(range(1, 65))
    assert all(sum(2**n <= tick < 2 ** (n + 1) for tick in kept) == 32 for n in range(6, 20))
    assert max(later / tick for tick, later in itertools.pairwise(kept[31:])) <= 1 + 1 / 32


def rows(first, last):
    return [{"kimg": float(n), "loss": n / 7} for n in range(first, last)]


def test_segments_are_read_back_in_their_order_and_each_picture_is_written_once(tmp_path):
    log = Log()
    for end in (3, 3, 4, 9):
        log.rows += rows(len(log.rows), end)
        log.pictures[f"{end}.png"] = bytes([end])
        last = log.write(tmp_path, end - 1)
    assert len(list(tmp_path.glob("*.json"))) == 4
    assert log.write(tmp_path, 8) == last, "nothing new is no segment"
    again = Log(reader(tmp_path), last, rows(8, 9))
    assert again.rows == rows(0, 9)
    assert again.written == 8
    assert {name: again.picture(name) for name in again.names} == {f"{n}.png": bytes([n]) for n in (3, 4, 9)}
    assert len(list(tmp_path.glob("*.png"))) == 3
    for path in tmp_path.iterdir():
        assert hash_file(path) == path.stem


def chain(folder, last):
    """The segments that a checkpoint needs, the last one first."""
    while last:
        yield folder / last
        last = read_json(folder / last)["before"]


@pytest.mark.parametrize("several", [lambda n: 2, lambda n: 1 + n * 7919 % 13, lambda n: max(1, 99 - n)])
def test_whoever_resumes_reads_a_handful_of_segments_however_long_it_was(tmp_path, several):
    """And each row is written some times, not at each checkpoint."""
    log, reads = Log(), []
    for n in range(150):
        log.rows += rows(len(log.rows), len(log.rows) + several(n))
        last = log.write(tmp_path, len(log.rows))
        assert len(log._segments) <= 1 + np.log2(len(log.rows))
    files = list(tmp_path.glob("*.json"))
    assert len(files) == 150, "one for each checkpoint"
    assert sum(len(read_json(path)["rows"]) for path in files) <= 8 * len(log.rows)
    again = Log(lambda name: reads.append(name) or reader(tmp_path)(name), last)
    assert again.rows == log.rows
    assert len(reads) == len(log._segments)


def test_a_log_of_many_segments_is_continued_and_becomes_a_handful(tmp_path):
    """Until they took in those before them, each checkpoint left one that was never written again."""
    last = ""
    for n in range(50):
        last = _put(tmp_path, json.dumps({"before": last, "rows": rows(n, n + 1), "pictures": {}}).encode(), ".json")
    log = Log(reader(tmp_path), last, rows(50, 51))
    assert log.rows == rows(0, 51)
    last = log.write(tmp_path, 51)
    assert len(list(chain(tmp_path, last))) == 1
    assert Log(reader(tmp_path), last).rows == rows(0, 51)


@pytest.fixture
def left(tmp_path):
    """A training that was saved at each of seven ticks, and its folder."""
    training = run(judge=Looks([]), **OFTEN)
    for _ in training.play(until=7):
        training.save(tmp_path / "checkpoint", former=tmp_path / "former")
    return training, tmp_path


@pytest.mark.parametrize("damage", ["bit", "half", "gone", "other"])
def test_a_segment_that_is_not_as_it_was_written_is_noticed_wherever_it_is(left, damage):
    _, folder = left
    segments = list(chain(folder / LOG, read_json(folder / "checkpoint" / JOURNAL)["log"]))
    assert len(segments) == 2
    for place, path in enumerate(segments):
        content = path.read_bytes()
        if damage == "bit":
            flip(path, 12345 * (place + 1))
        elif damage == "half":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "gone":
            path.unlink()
        else:
            path.write_bytes(segments[place - 1].read_bytes())
        other = run(judge=Looks([]), **OFTEN)
        with pytest.raises(DamageError, match=r"checkpoint is damaged .*" + path.name[:16]):
            other.load(folder / "checkpoint")
        assert (other.state.step, other.history) == (0, [])
        path.write_bytes(content)
    run(judge=Looks([]), **OFTEN).load(folder / "checkpoint")


def test_a_damaged_last_segment_leaves_the_checkpoint_before_whole(left):
    _, folder = left
    last = read_json(folder / "checkpoint" / JOURNAL)["log"]
    (folder / LOG / last).unlink()
    second, whole = run(judge=Looks([]), **OFTEN), run(judge=Looks([]), **OFTEN)
    assert second.resume([folder / "checkpoint", folder / "former"]) == folder / "former"
    list(second.play())
    list(whole.play())
    assert (outcome(second), strip(second)) == (outcome(whole), strip(whole))


def test_a_damaged_picture_hinders_nothing_and_is_told(left):
    _, folder = left
    second = run(judge=Looks([]), **OFTEN)
    second.load(folder / "checkpoint")
    list(second.play())
    pictures = [folder / LOG / second.log._files[name] for name in second.log.names[:2]]
    flip(pictures[0], 1234)
    pictures[1].unlink()
    published = {name: folder / f"{name}.x" for name in ("metrics", "history", "validation")}
    line = publish(second, generator=folder / "g", pictures=folder / "p", **published)
    assert [path.name for path in sorted((folder / "p").iterdir())] == second.log.names[2:]
    assert line.endswith("damaged or missing pictures: 00000.010.png, 00000.020.png")


@pytest.mark.parametrize("seed", range(8))
def test_killed_anywhere_rows_and_strip_are_those_of_an_uninterrupted_run(tmp_path, seed):
    """Attempts go on from the last checkpoint; what they did afterwards, and wrote of it, is another's past."""
    rng, whole = random.Random(seed), run(judge=Looks([]), **OFTEN)
    list(whole.play())
    done = False
    while not done:
        training = run(judge=Later(rng.choice([0, 0.02])), **OFTEN)
        training.resume([path for name in ("checkpoint", "former") if (path := tmp_path / name).is_dir()])
        dies = training.state.step + rng.randint(1, 6)
        for progress in training.play():
            if rng.random() < 0.6 or progress.step == 12:
                training.save(tmp_path / "checkpoint", former=tmp_path / "former")
            if rng.random() < 0.3:  # it dies after its segment and before its checkpoint
                training.log.write(tmp_path / LOG, training._final_rows())
            if progress.step == dies:
                break
        done = training.state.step == 12 and not training.selection.pending
    last = run(judge=Looks([]), **OFTEN)
    last.load(tmp_path / "checkpoint")
    assert outcome(last) == outcome(whole)
    assert strip(last) == strip(whole)


def test_a_checkpoint_with_all_rows_and_pictures_in_it_is_continued(left, tmp_path_factory):
    """As they were until there was a log."""
    training, folder = left
    former = tmp_path_factory.mktemp("former") / "checkpoint"
    shutil.copytree(folder / "checkpoint", former)
    (former / PICTURES).mkdir()
    for name, picture in strip(training).items():
        (former / PICTURES / name).write_bytes(picture)
    journal = read_json(former / JOURNAL) | {"history": training.history}
    del journal["log"]
    seal(former, journal)
    second, whole = run(judge=Looks([]), **OFTEN), run(judge=Looks([]), **OFTEN)
    second.load(former)
    list(second.play())
    list(whole.play())
    assert (outcome(second), strip(second)) == (outcome(whole), strip(whole))
    second.save(former)
    third = run(judge=Looks([]), **OFTEN)
    third.load(former)
    assert (outcome(third), strip(third)) == (outcome(whole), strip(whole))
    assert not (former / PICTURES).exists()


def test_a_checkpoint_does_not_grow_with_the_training(tmp_path):
    """`benchmarks/length.py` is the long version."""

    def sizes(ticks):
        training = run(judge=None, **{"train.kimg": 0.01 * ticks})
        list(training.play(until=2))
        for step in range(3, ticks + 1):
            training.history.append({**training.history[-1], "kimg": step / 100, "images_per_second": 300.0})
            if training.is_drawn(step):
                training.log.pictures[f"{step / 100:09.3f}.png"] = np.random.default_rng(step).bytes(500)
            if step % 50 == 0:
                training.save(tmp_path / str(ticks) / "checkpoint")
                assert not training.log.pictures, "memory holds none that was written"
        files = [path for path in (tmp_path / str(ticks) / "checkpoint").rglob("*") if path.is_file()]
        return len(files), sum(path.stat().st_size for path in files)

    (files, size), (more_files, larger) = sizes(50), sizes(2000)
    assert files == more_files
    assert larger == pytest.approx(size, rel=0.05)
