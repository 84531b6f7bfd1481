"""A training that is stopped at any step goes on from that very step, to the same bits."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from phrases import strip
from test_run import Arrays, Later, Looks, outcome, run

from ganops import config
from ganops.core.collective import mean_over_workers
from ganops.core.errors import DivergenceError, Stopped
from ganops.core.signals import SIGNALS, heeded
from ganops.experiment.run import Run

STEPS = 24
PARAMS = {
    "train.kimg": 0.24, "train.tick_kimg": 0.05, "train.checkpoint_kimg": 0.1, "loss.interval": 4, "loss.r1": 0.5,
}  # fmt: skip
GAMES = {
    "a game with lazy penalties": {},
    "two turns of D": {"train.d_steps": 2, "train.kimg": 0.48, "train.tick_kimg": 0.1, "train.checkpoint_kimg": 0.2},
    "adaptive augmentation": {"train.augment.transforms": "bgc", "train.augment.kimg": 0.2},
    "stages": {"loss.name": "two_stage_vae", "loss.options": {"hidden": 8}, "train.learning_rate.generator": 3e-3},
    "double": {"train.precision": "fp64"},
}


def training(game, judge=None):
    return run(judge=judge or Looks([]), **{**PARAMS, **GAMES[game]})


@cache
def whole(game):
    finished = training(game)
    list(finished.play())
    assert finished.state.step == STEPS
    return finished


def tensors(finished):
    return {name: tensor.numpy().tobytes() for name, tensor in finished.state.tensors().items()}


@pytest.mark.parametrize("game", GAMES)
def test_stopped_at_any_steps_and_continued_equals_uninterrupted(game, tmp_path):
    """Rows, too: what was measured since the last tick belongs to the state."""
    for seed in range(3):
        stops = sorted(random.Random(seed).sample(range(1, STEPS), 4))
        for stop in [*stops, None]:
            attempt = training(game, Later(0.01))
            if stop != stops[0]:
                attempt.load(tmp_path / str(seed) / "checkpoint")
            told = list(attempt.play(stop=lambda step, stop=stop: step == stop))
            assert attempt.state.step == (stop or STEPS), "it ends right there"
            assert told[-1].stopped == (stop is not None)
            assert all(not progress.partial for progress in told[:-1])
            attempt.save(tmp_path / str(seed) / "checkpoint", former=tmp_path / str(seed) / "former")
        assert outcome(attempt) == outcome(whole(game))
        assert strip(attempt) == strip(whole(game))
        assert tensors(attempt) == tensors(whole(game))


def test_a_state_that_is_loaded_and_saved_again_still_has_what_was_measured(tmp_path):
    first, second, third = (training("double") for _ in range(3))
    list(first.play(stop=lambda step: step == 8))
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    second.save(tmp_path / "checkpoint")
    third.load(tmp_path / "checkpoint")
    list(third.play())
    assert outcome(third) == outcome(whole("double"))


def test_what_is_not_finite_is_no_checkpoint_between_two_ticks_either():
    broken = training("double")
    list(broken.play(stop=lambda step: step == 6))
    broken.state.terms[0]["loss_g"].fill_(torch.nan)
    with pytest.raises(DivergenceError, match="loss_g stopped being finite"):
        list(broken.play(stop=lambda step: step == 8))


def work(folder: Path, stop: int, rank: int, workers: int) -> None:
    """What a worker does: plays up to a step, or to the end, and tells rows and a weight."""
    params = {"model.options": {"width": 4}, "model.latent": 8, "train.validation_samples": 100, "train.batch": 9}
    params |= {"train.kimg": 0.18, "train.tick_kimg": 0.045, "loss.interval": 4, "train.precision": "fp64"}
    experiment = config.parse({}).override(params)
    attempt = Run(experiment, Arrays(), None, torch.device("cpu"), rank=rank, workers=workers)
    if (folder / "checkpoint").is_dir():
        attempt.load(folder / "checkpoint")
    list(attempt.play(stop=lambda step: step == stop))
    if rank == 0:
        attempt.save(folder / "checkpoint")
        # spread compares the samples of a worker with one another: no mean over all samples
        apart = ("images_per_second", "spread") if workers == 1 else ("images_per_second",)
        rows = [{k: v for k, v in row.items() if k not in apart} for row in attempt.history]
        weights = {name: value.double().sum().item() for name, value in attempt.state.average.state_dict().items()}
        (folder / "told.json").write_text(json.dumps([rows, weights]))


def work_in_turn(rank: int, workers: int, port: int, folder: Path) -> None:
    """Work of each of several workers: a training that is not interrupted, and one that is."""
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=workers)
    for name, stop in (("whole", 0), ("cut", 7)):
        work(folder / name, stop, rank, workers)
    if rank == 0:
        shutil.copytree(folder / "cut", folder / "one")
    mean_over_workers(torch.zeros(1))  # nobody goes on, or leaves, before the other
    work(folder / "cut", 0, rank, workers)
    mean_over_workers(torch.zeros(1))
    dist.destroy_process_group()


def told(folder: Path):
    """The rows and weights that the first worker told."""
    return json.loads((folder / "told.json").read_text())


def test_two_workers_keep_what_each_has_measured(tmp_path):
    """With as many workers the bits are the same, with others all is equal up to rounding."""
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, __file__, str(tmp_path)], env=variables, check=True, timeout=120)
    assert told(tmp_path / "cut") == told(tmp_path / "whole")
    work(tmp_path / "one", 0, 0, 1)
    for row, other in zip(told(tmp_path / "one")[0], told(tmp_path / "whole")[0], strict=True):
        assert row == pytest.approx({key: other[key] for key in row}, rel=1e-9)


def raised(number, words=""):
    """What a block does that hears a signal."""
    with heeded() as request:
        request.expect_none("not yet")
        signal.raise_signal(number)
        if words:
            request.expect_none(words)
        signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_request_once_and_then_interrupts(number):
    former = [signal.getsignal(each) for each in SIGNALS]
    for words in ("saved", ""):
        with pytest.raises(Stopped) as caught:
            raised(number, words)
        assert (caught.value.signal, str(caught.value)) == (number, words)
        assert [signal.getsignal(each) for each in SIGNALS] == former


if __name__ == "__main__":  # forks of one process, which imports once
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    forks = multiprocessing.get_context("fork")
    running = [forks.Process(target=work_in_turn, args=(rank, 2, port, Path(sys.argv[1]))) for rank in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * 2
