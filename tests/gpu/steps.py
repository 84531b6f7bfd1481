"""Steps of games on the null GPU, counted; as a script it prints JSON. Run by `gpu.run`, in a process of its own."""

import contextlib
import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Iterator

import games
import torch
import torch.distributed as dist

from ganops.core.devices import repeatable
from ganops.experiment.run import Run
from ganops.training.loop import train

COUNTS = (
    "launches", "blas", "dnn", "to_device", "to_host", "within", "bytes_sent", "pageable", "waits", "collectives",
    "graphs", "nodes", "refusals", "alive",
)  # fmt: skip
"""Fields of `Counts` in null/null.h."""
RECURRENT = ("lstm", "mocogan", "likelihood")
"""Games with recurrent networks: cuDNN's are no part of the null GPU, so PyTorch's own are played."""


class _Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in COUNTS]


library = ctypes.CDLL(os.environ["LD_PRELOAD"])
library.null_gpu_counts.restype = ctypes.POINTER(_Counts)
library.null_gpu_used.restype = ctypes.c_long


def counts() -> dict[str, int]:
    """What was asked of the GPU since the process began."""
    now = library.null_gpu_counts().contents
    return {name: getattr(now, name) for name in COUNTS}


def since(before: dict[str, int]) -> dict[str, int]:
    """What was asked of it since then."""
    return {name: value - before[name] for name, value in counts().items()}


class StoppedError(Exception):
    """So many steps have been counted."""


def opened(name: str, device: torch.device, **changes: object) -> Run:
    """The training of a golden game on a device."""
    others = {"text": games.Texts, "video": games.Films, "wave": games.Waves}.get(
        str(games.GAMES[name].get("data.kind"))
    )
    samples = others() if others else games.Shapes(3 if name in games.COLOUR else 1)
    rank, workers = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return Run(games.experiment(name, **changes), samples, None, device, rank=rank, workers=workers)


@contextlib.contextmanager
def settings(name: str, device: torch.device) -> Iterator[None]:
    """The settings of a training, without recurrent networks of cuDNN."""
    with repeatable(device):
        torch.backends.cudnn.enabled = name not in RECURRENT
        yield


def steps(run: Run, name: str, count: int = 3, *, graphs: bool = False) -> list[dict[str, float]]:
    """Counts, milliseconds of processors and bytes held of some steps of the last phase: not the first, without a tick.

    A step goes from where it asks for its batch to where the next one does; a wait of the host in it is an error.
    """
    first = 20 if graphs else 2
    seen: list[dict[str, float]] = []
    turns, batches = run.recipe.d_steps, run.batches
    before, started = counts(), time.process_time()

    def asked(turn: int):  # as `Batches`
        nonlocal before, started
        if turn % turns == 0:
            torch.cuda.set_sync_debug_mode("default")
            ms = 1000 * (time.process_time() - started)
            seen.append({**since(before), "ms": ms, "held": torch.cuda.memory_reserved(run.device)})
            if len(seen) > first + count:
                raise StoppedError
            before, started = counts(), time.process_time()
            torch.cuda.set_sync_debug_mode("error" if len(seen) > first else "default")
        return batches(turn)

    try:
        with settings(name, run.device):
            for _ in train(run.state, asked, run.last.objective, run.last.recipe, seed=3, graphs=graphs):
                pass
    except StoppedError:  # which holds on to all that was played with
        assert counts()["alive"] == 0, "graphs outlive their training"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return seen[first + 1 :]


def main(workers: int, *, graphs: bool) -> dict[str, object]:
    """Steps of all games, captured ones or not; with several workers, as the first of them."""
    torch.set_num_threads(1)
    gc.freeze()  # each recording collects garbage, which the modules are not
    torch.cuda.set_device(1)
    device = torch.device("cuda", 1)
    if workers > 1:
        dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=workers, device_id=device)
    found: dict[str, object] = {}
    for name in games.SHARED if workers > 1 else games.GAMES:
        kimg = 100 * games.BATCH * games.GAMES[name].get("train.d_steps", 1) / 1000
        run = opened(name, device, **{"train.kimg": kimg, "train.tick_kimg": kimg})  # a tick would wait
        found[name] = steps(run, name, graphs=graphs)
    used = [library.null_gpu_used(number) for number in range(2)]
    return {"games": found, "used": used, "refusals": counts()["refusals"]}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), graphs="graphs" in sys.argv)))
