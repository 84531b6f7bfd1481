"""What computes with several threads, and what is computed side by side."""

import os
import threading
from functools import partial

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info
from torch.utils.flop_counter import FlopCounterMode

from ganops import config
from ganops.config import Compute
from ganops.core import cores
from ganops.core.errors import UserError
from ganops.evaluation import verdict
from ganops.experiment import build, machine
from ganops.generator import Description, Generator, generator_network
from ganops.kinds import Spec
from ganops.metrics import extractors


@pytest.fixture
def two(monkeypatch):
    """A machine of two cores, which torch takes both."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with cores.threads(2):
        yield


def blas() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.mark.parametrize(("told", "there"), [("", 4), ("2", 2), ("9", 4), ("1,2", 4), ("0", 1)])
def test_the_cores_are_those_of_the_process_at_most_as_many_as_it_was_told(monkeypatch, told, there):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert cores.count() == there


def test_threads_of_torch_and_numpy_are_as_before_after_the_block(two):
    seen = []

    def fail():
        with cores.threads(1):
            seen.append((torch.get_num_threads(), blas()))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert seen == [(1, {1})]
    assert (torch.get_num_threads(), blas()) == (2, {2})


def test_whoever_takes_items_made_with_other_threads_keeps_those_it_had(two):
    items = (torch.get_num_threads() for _ in range(3))
    made = cores.within(partial(cores.threads, 1), items)
    assert [(threads, torch.get_num_threads()) for threads in made] == [(1, 2)] * 3
    left = cores.within(partial(cores.threads, 1), iter(range(3)))
    next(left)
    assert (torch.get_num_threads(), blas()) == (2, {2})


def test_as_many_at_once_as_there_are_cores_each_with_one_thread_in_their_order(two):
    meet, asked = threading.Barrier(2, timeout=20), []

    def items():
        for n in range(8):
            asked.append(n)
            yield n

    def work(n):
        meet.wait()  # would time out where they came one after another
        return n, torch.get_num_threads(), blas(), list(cores.side_by_side(lambda _: threading.get_ident(), range(3)))

    found = cores.side_by_side(work, items())
    first = next(found)
    assert len(asked) == 4, "two for each core, no more"
    here = threading.get_ident()
    for n, (number, threads, of_blas, inner) in enumerate([first, *found]):
        assert (number, threads, of_blas) == (n, 1, {1})
        assert len(set(inner)) == 1, "within such work the cores are taken"
        assert here not in inner
    assert torch.get_num_threads() == 2


def test_what_goes_wrong_side_by_side_is_raised_and_the_rest_is_not_begun(two):
    begun = []

    def work(n):
        begun.append(n)
        raise ValueError(n)

    with pytest.raises(ValueError, match=r"^0$"):
        list(cores.side_by_side(work, range(100)))
    assert max(begun) < 4


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_one_place_is_this_thread(two, monkeypatch, device):
    if device == "cpu":
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = set(cores.side_by_side(lambda _: (threading.get_ident(), torch.get_num_threads()), range(5), device))
    assert found == {(threading.get_ident(), 1)}


FULL = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has ..."),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, other allocations: 1.2 GB). Tried to ..."),
}


def full_above(rows, device="cuda"):
    """A hook of a module whose memory holds so many rows at once, and the numbers of rows that it was asked for."""
    asked = []

    def hook(module, given):
        asked.append(len(given[0]))
        if len(given[0]) > rows:
            raise FULL[device]

    return hook, asked


@pytest.mark.parametrize("device", FULL)
def test_rows_too_many_for_the_memory_are_halved_and_stay_so(device, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    hook, asked = full_above(30, device)
    hooked = torch.nn.Identity()
    hooked.register_forward_pre_hook(hook)
    x = torch.arange(601)
    found = list(cores.in_pieces(lambda rows: hooked(x[rows]), 601, 250))
    assert torch.equal(torch.cat(found), x)
    assert asked[:4] == [250, 125, 62, 31]
    assert max(asked[4:]) == 15, "those that follow are not tried in vain"


def test_a_row_that_the_memory_does_not_hold_is_told_in_words(monkeypatch):
    hook, _ = full_above(0)
    with pytest.raises(UserError, match=r"of one sample: end what .* \(CUDA out of memory\)"):
        list(cores.in_pieces(lambda rows: hook(None, [range(8)[rows]]), 8, 4))


def test_pictures_and_features_are_those_of_a_large_memory():
    description = Description("dcgan", {"width": 4}, 8, 10, tuple("0123456789"), (1, 32, 32), 0.0, "f")
    generator, pixels = (
        Generator(generator_network(description), description),
        extractors.Pixels({"channels": 1}, "cpu"),
    )
    pictures = generator.sample(np.arange(300))
    features, _ = pixels.features(pictures)
    for network in (generator.network, pixels.network):
        network.register_forward_pre_hook(full_above(40)[0])
    assert np.array_equal(generator.sample(np.arange(300)), pictures)
    assert np.array_equal(pixels.features(pictures)[0], features)


class Sampler:
    """Notes the threads that it draws with."""

    spec = Spec("image", (1, 32, 32))

    def __init__(self):
        self.threads, self.places = set(), set()

    def sample(self, seeds):
        self.threads.add(torch.get_num_threads())
        self.places.add(threading.get_ident())
        return np.random.default_rng(int(seeds[0])).integers(0, 256, (len(seeds), 1, 32, 32), np.uint8)


class Pixels:
    """A reference whose features are pixels."""

    class extractor:  # noqa: N801
        device = "cpu"

        @staticmethod
        def features(images):
            return images.reshape(len(images), -1)[:, :8].astype(np.float32), None


def test_an_evaluation_looks_at_pieces_side_by_side(two):
    sampler, pieces = Sampler(), verdict.pieces(5000)
    looks = list(verdict.looks(sampler, Pixels, pieces))
    assert [look.first_seed for look in looks] == [piece[0] for piece in pieces]
    assert sampler.threads == {1}
    assert len(sampler.places) == 2
    assert threading.get_ident() not in sampler.places


def test_pictures_are_the_same_bits_on_any_number_of_cores(two, monkeypatch):
    description = Description("dcgan", {"width": 16}, 8, 10, tuple("0123456789"), (1, 32, 32), 0.0, "f")
    generator = Generator(generator_network(description), description)
    generator.network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    pictures, seen = [], []
    for told in "21":
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        pictures.append(generator.sample(np.arange(700)))
    assert np.array_equal(*pictures)
    assert seen == [1] * 6
    assert np.array_equal(pictures[0][:250], generator.sample(np.arange(250)))


NETWORKS = [
    ("dcgan", 32, 10), ("dcgan", 64, 0), ("mlp", 32, 0), ("infogan", 32, 0), ("r3gan", 32, 10), ("began", 32, 0),
    ("sngan", 32, 10),
]  # fmt: skip


def built(name, resolution, classes, **params):
    experiment = config.parse({}).override({"model.architecture": name, **params})
    return build.networks(experiment, Spec("image", (3, resolution, resolution), classes)), experiment.model.latent


@pytest.mark.parametrize(("name", "resolution", "classes"), NETWORKS)
def test_operations_are_those_that_torch_counts(name, resolution, classes):
    (G, D), latent = built(name, resolution, classes)
    number = build.group(D)
    y = torch.zeros(number, dtype=torch.long) if classes else None
    before = [tensor.clone() for network in (G, D) for tensor in network.state_dict().values()]
    found = build.operations(G, D, latent, classes)
    assert G.training
    assert D.training
    assert all(map(torch.equal, before, [t for network in (G, D) for t in network.state_dict().values()]))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        D.eval()(G.eval()(torch.zeros(number, latent), y), y)
    # it counts what layers have weights for; torch also counts the blur of r3gan, and products of features with labels
    assert found == pytest.approx(counter.get_total_flops() / 2 / number, rel=0.01)


@pytest.mark.parametrize("frames", [2, 8])
def test_each_frame_of_a_film_is_counted(frames):
    options = {"model.latent": 4 + frames, "model.options": {"content": 4, "motion": 1}}
    experiment = config.parse({}).override({"model.architecture": "mocogan", **options})
    G, D = build.networks(experiment, Spec("video", (1, frames, 32, 32), 0, {"fps": 8}))
    found = build.operations(G, D, experiment.model.latent, 0)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        D.eval()(G.eval()(torch.zeros(1, experiment.model.latent)))
    # but for the GRU, which is small
    assert found == pytest.approx(counter.get_total_flops() / 2, rel=0.02)


def test_a_small_network_takes_one_thread_and_a_large_one_as_many_as_it_keeps_busy():
    auto = Compute()
    (G, D), latent = built("dcgan", 32, 10)
    default = 32 * build.operations(G, D, latent, 10)
    (G, D), latent = built("sngan", 64, 0)
    large = 32 * build.operations(G, D, latent, 0)
    assert [machine.threads(auto, default, most) for most in (1, 2, 64)] == [1, 1, 1]
    assert [machine.threads(auto, large, most) for most in (1, 2, 16)] == [1, 2, 16]
    steps = [machine.threads(auto, work, 64) for work in np.linspace(0, 3 * large, 50)]
    assert steps == sorted(steps)
    assert [machine.threads(Compute(threads=3), work, 2) for work in (default, large)] == [3, 3]
    assert machine.threads(auto, float("inf"), 7) == 7, "on a GPU the cores have nothing else to do"
