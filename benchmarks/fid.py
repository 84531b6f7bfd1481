"""Seconds of a FID: `ganops evaluate` against pytorch-fid, and the distance alone against SciPy's square root.

    python benchmarks/fid.py [--json] [--images N] [--rounds R]

Both commands run whole, from the start of Python to the printed value, on the same two folders of PNG files and the
same weights, and take turns. One folder holds embedded images at 32 x 32, the other one others with noise. The weights
are random (seed 0), as the published ones must be downloaded; they cost the same. No side keeps anything between runs.
The distance alone is that of statistics of full rank at 2,048 dimensions. A ratio is that of one round; the table shows
its median, minimum and maximum over the rounds, of wall time and of CPU time, which other work disturbs less.
"""

import argparse
import gzip
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_fid.fid_score import calculate_frechet_distance

from ganops.experiment import machine
from ganops.metrics.extractors.inception import FILE, fid_inception
from ganops.metrics.frechet import Statistics, frechet_distance

DIMENSIONS, SAMPLES = 2048, 6000
Timed = tuple[float, float, float]
"""Value, wall seconds, CPU seconds."""


def make_weights(home: Path) -> Path:
    """Random weights where torch would keep the published ones; of such a size that the signal survives the depth."""
    state = fid_inception().state_dict()
    generator = torch.Generator().manual_seed(0)
    for tensor in state.values():
        if tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
    path = home / "hub" / "checkpoints" / FILE
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    return path


def make_folders(root: Path, count: int) -> list[Path]:
    """`count` garments at 32 x 32, and as many others with noise."""
    file = Path(__file__).parents[1] / "data" / "fashion-mnist-10k" / "t10k-images-idx3-ubyte.gz"
    images = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
    if not 2 <= count <= len(images) // 2:
        raise SystemExit(f"--images: expected 2 to {len(images) // 2}, got {count}")
    generator = np.random.default_rng(0)
    folders = [root / "real", root / "noisy"]
    for folder, some, noise in zip(folders, (images[:count], images[-count:]), (0, 20), strict=True):
        folder.mkdir()
        for i, image in enumerate(some):
            pixels = np.asarray(Image.fromarray(image).resize((32, 32)), np.float64)
            pixels = (pixels + noise * generator.normal(size=pixels.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).convert("RGB").save(folder / f"{i:05}.png")
    return folders


def command(arguments: list[str], home: Path, value: Callable[[str], float]) -> Timed:
    """Runs a whole command with the weights in `home`."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(arguments, env={**os.environ, "TORCH_HOME": str(home)}, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return value(done.stdout), wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def here(function: Callable[[], float]) -> Timed:
    """Runs a function."""
    cpu, started = time.process_time(), time.perf_counter()
    value = function()
    return float(value), time.perf_counter() - started, time.process_time() - cpu


def random_statistics(seed: int) -> Statistics:
    """Of full rank, with eigenvalues over five orders of magnitude."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(DIMENSIONS, DIMENSIONS)) / DIMENSIONS**0.5
    scale = np.logspace(0, -2.5, DIMENSIONS) * generator.uniform(0.5, 2, DIMENSIONS)
    return Statistics.of((generator.normal(size=(SAMPLES, DIMENSIONS)) * scale) @ mixing)


def play(root: Path, images: int, rounds: int, told: Callable[[str], None]) -> dict[str, list[Timed]]:
    """All sides in turns."""
    weights, folders = make_weights(root / "torch"), [str(folder) for folder in make_folders(root, images)]
    peer = [sys.executable, "-m", "pytorch_fid", *folders]
    ours = [str(Path(sys.executable).parent / "ganops"), "evaluate", *folders, "--weights", str(weights), "--json"]
    one, two = random_statistics(1), random_statistics(2)
    sides: dict[str, Callable[[], Timed]] = {
        "pytorch-fid": lambda: command(peer, root / "torch", lambda text: float(text.rpartition(":")[2])),
        "ganops": lambda: command(ours, root / "torch", lambda text: json.loads(text)["value"]),
        "ganops --bf16": lambda: command([*ours, "--bf16"], root / "torch", lambda text: json.loads(text)["value"]),
        "sqrtm": lambda: here(lambda: calculate_frechet_distance(one.mean, one.covariance, two.mean, two.covariance)),
        "frechet_distance": lambda: here(lambda: frechet_distance(one, two)),
    }
    times: dict[str, list[Timed]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name, side in sides.items():
            times[name].append(side())
            told(f"round {turn + 1}: {name} {times[name][-1][1]:.1f} s")
    return times


def row(what: str, peer: list[Timed], ours: list[Timed]) -> dict[str, object]:
    """Medians of both sides, and the ratios of the rounds."""
    found: dict[str, object] = {"what": what}
    for place, kind in ((1, "wall"), (2, "cpu")):
        ratios = [p[place] / o[place] for p, o in zip(peer, ours, strict=True)]
        found[f"peer {kind}"] = statistics.median(p[place] for p in peer)
        found[f"ours {kind}"] = statistics.median(o[place] for o in ours)
        found[f"{kind} ratio"] = [statistics.median(ratios), min(ratios), max(ratios)]
    return found | {"peer value": peer[0][0], "ours value": ours[0][0], "difference": abs(ours[0][0] / peer[0][0] - 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--images", type=int, default=1000, help="on each side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # of pytorch-fid's call of sqrtm
    with tempfile.TemporaryDirectory() as root:
        told = (lambda text: None) if options.json else (lambda text: print(text, flush=True))
        times = play(Path(root), options.images, options.rounds, told)
    rows = [
        row(f"FID of 2 x {options.images:,} images", times["pytorch-fid"], times["ganops"]),
        row("the same in bf16, which is no FID", times["pytorch-fid"], times["ganops --bf16"]),
        row(f"distance at {DIMENSIONS:,} dimensions", times["sqrtm"], times["frechet_distance"]),
    ]
    hardware = machine.hardware(machine.choose_device("auto"))
    if options.json:
        print(json.dumps({"hardware": hardware, "threads": torch.get_num_threads(), "torch": torch.__version__,
                          "python": platform.python_version(), "rounds": options.rounds, "rows": rows}))  # fmt: skip
        return
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"\n{hardware}, {threads}, {options.rounds} rounds; seconds\n")
    print("| | peer | ours | ratio [lowest, highest] | of CPU time | difference of the values |")
    print("|---|---|---|---|---|---|")
    for r in rows:
        wall, cpu = ("{:.2f} [{:.2f}, {:.2f}]".format(*r[f"{kind} ratio"]) for kind in ("wall", "cpu"))
        print(f"| {r['what']} | {r['peer wall']:.1f} | {r['ours wall']:.1f} | {wall} | {cpu} | {r['difference']:.1e} |")


if __name__ == "__main__":
    main()
