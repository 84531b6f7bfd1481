"""One training with its journal."""

import resource

import numpy as np
import pytest
import torch

from ganops import assemble, config
from ganops.data import SampleSpec
from ganops.errors import TrainingError
from ganops.run import Run


class Arrays:
    """Samples in memory."""

    spec = SampleSpec(1, 16, 2)
    class_names = ("0", "1")

    def __init__(self, hash="a"):
        self.hash = hash

    def images(self, split):
        return np.random.default_rng(0).integers(0, 256, (30, 1, 16, 16), np.uint8)

    def labels(self, split):
        return np.arange(30) % 2


class Judge:
    """Distances from a list, one for each time that it is asked."""

    name, hash = "fd_fake_validation", "judge"

    def __init__(self, distances):
        self.distances = list(distances)

    def distance(self, images):
        assert images.shape == (100, 1, 16, 16)
        return self.distances.pop(0)


PARAMS = {
    "train.batch": 10, "train.kimg": 0.06, "train.tick_kimg": 0.01, "train.checkpoint_kimg": 0.02,
    "train.validation_samples": 100, "model.options": {"width": 4}, "model.latent": 8,
    "train.learning_rate.generator": 0.1,
}  # fmt: skip


def run(distances=(3, 1, 2), samples=None, **params):
    experiment = config.parse({}).override({**PARAMS, **params})
    return Run(experiment, samples or Arrays(), Judge(distances), torch.device("cpu"))


def test_the_best_weights_are_those_of_the_smallest_validation_distance():
    training, kept = run(), {}
    for progress in training.play():
        if progress.checkpoint:
            kept[progress.row["kimg"]] = training.generator(0).sample(np.arange(3))
    assert list(kept) == [0.02, 0.04, 0.06]
    best = training.best_generator()
    assert best.description.kimg == 0.04
    assert np.array_equal(best.sample(np.arange(3)), kept[0.04])
    assert not np.array_equal(kept[0.04], kept[0.06])


def test_a_resume_restores_history_pictures_and_best(tmp_path):
    whole = run()
    list(whole.play())
    first = run()
    list(first.play(until=4))
    first.save(tmp_path / "checkpoint")
    second = run(distances=[2])
    second.load(tmp_path / "checkpoint")
    list(second.play())
    assert second.pictures == whole.pictures
    assert np.array_equal(second.best_generator().sample(np.arange(2)), whole.best_generator().sample(np.arange(2)))
    curve = [{k: v for k, v in row.items() if k != "images_per_second"} for row in whole.history]
    assert [{k: v for k, v in row.items() if k != "images_per_second"} for row in second.history] == curve


def test_a_full_disk_is_told_and_leaves_the_former_checkpoint(tmp_path):
    training = run()
    training.save(tmp_path / "checkpoint")
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir() if path.is_file()}
    list(training.play(until=2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file can grow past this
    try:
        with pytest.raises(TrainingError, match=r"checkpoint cannot be written: .*Make room"):
            training.save(tmp_path / "checkpoint")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir() if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("change", "named"), [({"loss.r1": 0.7}, "loss.r1"), ({"seed": 4}, "seed"), ({"samples": Arrays(hash="b")}, "data")]
)
def test_a_checkpoint_of_another_training_is_refused_by_name(tmp_path, change, named):
    first = run()
    first.save(tmp_path / "checkpoint")
    with pytest.raises(TrainingError, match=f"another training: {named} differ"):
        run(**change).load(tmp_path / "checkpoint")


def test_where_it_runs_is_no_part_of_its_meaning():
    assert run(**{"compute.launcher": "local"}).fingerprint == run().fingerprint
    assert run(**{"train.batch": 20}).fingerprint != run().fingerprint


def test_published_tables(tmp_path):
    training = run()
    list(training.play())
    training.publish(
        generator=tmp_path / "generator",
        metrics=tmp_path / "train.json",
        history=tmp_path / "history.csv",
        validation=tmp_path / "validation.csv",
        pictures=tmp_path / "samples",
    )
    assert (tmp_path / "validation.csv").read_text().splitlines()[0] == "kimg,distance"
    assert len((tmp_path / "validation.csv").read_text().splitlines()) == 4
    assert len(list((tmp_path / "samples").iterdir())) == len((tmp_path / "history.csv").read_text().splitlines()) - 1


def test_where_the_samples_lie_changes_nothing():
    def weights(place):
        training = run(**{"compute.data": place})
        for _ in training.play():
            pass
        return training.state.average.state_dict()

    held, streamed = weights("device"), weights("stream")
    assert all(torch.equal(held[name], streamed[name]) for name in held)


def test_samples_stream_when_they_would_take_more_than_half_of_the_memory():
    cpu = torch.device("cpu")
    assert not assemble.streams(config.parse({}), 10**6, cpu)
    assert assemble.streams(config.parse({}), 10**18, cpu)
