"""Builds the null GPU, and runs scripts of this folder on it. `python tests/gpu/gpu.py` records the budgets anew."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
BUDGETS = HERE / "budgets.json"


def missing() -> str:
    """What the null GPU lacks here; empty: nothing."""
    if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
        return "the null GPU is built with gcc, on Linux"
    if torch.version.cuda is None or not _headers():
        return f"torch {torch.__version__} is no build for CUDA with the runtime's headers beside it"
    return ""


def _headers() -> Path | None:
    """The folder of the CUDA headers among the wheels that torch needs."""
    found = find_spec("nvidia")
    places = [Path(place) for place in found.submodule_search_locations or ()] if found else []
    headers = (header for place in places for header in place.glob("*/include/cuda_runtime_api.h"))
    return next((header.parent for header in headers), None)


@cache
def built() -> Path:
    """The folder of its two libraries, which ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="ganops-null-gpu-"))
    atexit.register(shutil.rmtree, folder)
    options = ["gcc", "-O2", "-w", "-shared", "-fPIC", f"-I{HERE / 'null'}", f"-I{_headers()}"]
    sources = {"null_gpu.so": ["device.c", "libraries.c"], "libcuda.so.1": ["driver.c"]}
    for library, files in sources.items():
        command = [*options, *(str(HERE / "null" / file) for file in files), "-o", str(folder / library), "-lpthread"]
        subprocess.run(command, check=True)
    return folder


def environment(**settings: object) -> dict[str, str]:
    """The environment of a process that has null GPUs: NULL_GPUS=2, as null/device.c says."""
    folder, paths = built(), [str(HERE), str(HERE.parent / "golden"), *sys.path]
    return {
        **os.environ, "LD_PRELOAD": str(folder / "null_gpu.so"), "LD_LIBRARY_PATH": str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1",
        **{name: str(value) for name, value in settings.items()},
    }  # fmt: skip


def run(script: str, *arguments: object, **settings: object) -> Any:
    """Return what a script of this folder prints as JSON, in its last line, on null GPUs."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment(**settings), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def read_budgets() -> dict[str, dict[str, dict[str, int]]]:
    """Return the budgets that are recorded: of a step of each game, by the number of workers."""
    found: dict[str, dict[str, dict[str, int]]] = json.loads(BUDGETS.read_text(encoding="utf-8"))
    return found


def budget(steps: list[dict[str, float]]) -> dict[str, int]:
    """The most that a step asked for: launches of any library, and collectives."""
    launches = (step["launches"] + step["blas"] + step["dnn"] for step in steps)
    return {"launches": int(max(launches)), "collectives": int(max(step["collectives"] for step in steps))}


def measured() -> dict[str, dict[str, dict[str, int]]]:
    """Budgets of all games, by the number of workers."""
    found = {workers: run("steps.py", workers, NULL_GPUS=2)["games"] for workers in (1, 2)}
    return {str(workers): {name: budget(each) for name, each in of.items()} for workers, of in found.items()}


def record() -> None:
    """Writes the budgets as they are now."""
    blocks = []
    for workers, games in measured().items():
        lines = (f'    "{name}": {json.dumps(each)}' for name, each in games.items())
        blocks.append(f'  "{workers}": {{\n' + ",\n".join(lines) + "\n  }")
    BUDGETS.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    record()
