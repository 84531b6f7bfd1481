"""Golden values: what short trainings and an evaluation came to, and whether they still do.

`make golden`, or `python tests/golden/golden.py`, measures them anew, says what moved and writes it. A commit that
moves a value says why.

On a processor of a class that has hashes here, every bit must be the same. On others the figures must agree within
`TOLERANCE`.
"""

import json
import math
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Container
from pathlib import Path
from typing import Any

import torch
from games import CHECKPOINT

from ganops.core.files import atomic, read_json
from ganops.experiment import identity

HERE = Path(__file__).parent
FILES = {"evaluation": HERE / "evaluation.json", "trainings": HERE / "trainings.json"}

TOLERANCE = 0.01
"""Largest difference of a figure, as a share of the largest that it has in that game.

With instructions of SSE4 instead of AVX-512 most games move by 1e-6, and by up to 4e-3 where a ReLU's input is close to
0.
"""
COARSE = 0.2
"""The same where one rounding decides a sign, of a score or of a clipped weight's gradient, and for bfloat16."""
COARSE_TERMS, COARSE_GAMES = ("sign_real", "signs", "strength", "told_apart"), ("bf16", "wasserstein, clipped")

IDENTITY = "src/ganops/experiment/identity.py"
VERSION = "mathematics"
"""Key, beside the games, of the version that the trainings' values are those of."""

Outcome = dict[str, Any]
"""Figures by part and name, and under `sha256` hashes; those that are held are by class of processor."""
Values = dict[str, dict[str, Outcome]]
"""Name -> workers -> outcome."""


def processor() -> str:
    """The class of this processor: on two of one class, the same operations give the same bits.

    OpenBLAS, by which numpy multiplies, can be told to take another processor's kernels.
    """
    able = torch.cpu.get_capabilities()
    extra = [name for name in ("avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_bf16") if able.get(name)]
    vendor = str(able.get("cpu_name", "")).partition(" ")[0]
    caches = [f"{able[name] // 1024} KiB" for name in ("l1d_cache_size", "l2_cache_size") if name in able]
    level = torch.backends.cpu.get_cpu_capability()
    told = [f"OpenBLAS {name}"] if (name := os.environ.get("OPENBLAS_CORETYPE")) else []
    return " ".join([able["architecture"], vendor, level, *extra, *caches, "torch", torch.__version__, *told])


def measured() -> dict[str, Values]:
    """The values of each file as they are now."""
    found: dict[str, Values] = {name: {} for name in FILES}
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, 2):
            _play(workers, str(Path(folder) / "found.json"))
            for name, outcome in read_json(Path(folder) / "found.json").items():
                values = found["evaluation" if name == "evaluation" else "trainings"]
                values.setdefault(name, {})[f"{workers} worker{'s' * (workers > 1)}"] = outcome
    return found


def held() -> dict[str, Values]:
    """The values of each file as they were written."""
    found = {name: read_json(path) if path.is_file() else {} for name, path in FILES.items()}
    return {name: {key: by for key, by in values.items() if key != VERSION} for name, values in found.items()}


def version() -> int:
    """The version of the mathematics whose values are held; 0: none are."""
    return read_json(FILES["trainings"]).get(VERSION, 0) if FILES["trainings"].is_file() else 0


def _play(workers: int, *arguments: str) -> None:
    """Runs `games.py` in fresh processes of one thread each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "WORLD_SIZE": str(workers), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
              "OMP_NUM_THREADS": "1"}  # fmt: skip
    script = [sys.executable, "-W", "ignore", str(HERE / "games.py"), *arguments]
    processes = [subprocess.Popen(script, env={**common, "RANK": str(rank)}) for rank in range(workers)]
    assert [process.wait(timeout=600) for process in processes] == [0] * workers


def compare(old: Values, new: Values) -> dict[tuple[str, str], list[str]]:
    """(name, workers) -> what is not as it was held; nothing for what is."""
    both = {(name, workers): outcome for name, by in new.items() for workers, outcome in by.items()}
    lines = {
        key: moved(key[0], old[key[0]][key[1]], outcome) if key[1] in old.get(key[0], {}) else ["new"]
        for key, outcome in both.items()
    }
    gone = {(name, workers): ["gone"] for name, by in old.items() for workers in by if (name, workers) not in both}
    return {key: found for key, found in (lines | gone).items() if found}


def moved(name: str, old: Outcome, now: Outcome) -> list[str]:
    """What of an outcome is not as it was held: exactly for a class of processors that it was held for."""
    figures = _differences(name, old, now)
    here = old["sha256"].get(processor())
    if here is None:
        return [line for line, share, allowed in figures if share > allowed]
    changed = sorted(part for part in here.keys() | now["sha256"] if here.get(part) != now["sha256"].get(part))
    largest = [line for line, share, _ in sorted(figures, key=lambda entry: -entry[1])[:3] if share > 0]
    return [f"not the same bits: {', '.join(changed)}", *largest] if changed else []


def _differences(name: str, old: Outcome, now: Outcome) -> list[tuple[str, float, float]]:
    """For each figure a line for people, how far it has moved as a share of the largest held, and how far it may."""
    found = []
    names = {(part, term) for side in (old, now) for part in side.keys() - {"sha256"} for term in side[part]}
    for part, term in sorted(names):
        before, after = (_listed(side.get(part, {}).get(term)) for side in (old, now))
        scale = max((abs(value) for value in before if _is_number(value)), default=0.0) or 1.0
        pairs = zip(before, after, strict=True) if len(before) == len(after) else [(None, math.inf)]
        share = max(_apart(a, b) / scale for a, b in pairs)
        allowed = COARSE if name in COARSE_GAMES or term in COARSE_TERMS else TOLERANCE
        found.append((f"{part} {term}: {_short(before)} -> {_short(after)}", share, allowed))
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _apart(a: Any, b: Any) -> float:
    """0 for equal values; infinite where one is no number."""
    if a == b:
        return 0.0
    return abs(a - b) if _is_number(a) and _is_number(b) else math.inf


def _short(values: list[Any]) -> str:
    return ", ".join(f"{value:.7g}" if isinstance(value, float) else str(value) for value in values)


def write(name: str, old: Values, new: Values, changed: Container[tuple[str, str]]) -> None:
    """Writes a file: what has changed anew, and of the rest the hashes of this class of processors where they lack."""
    values = {
        game: {
            workers: _to_hold(outcome) if (game, workers) in changed else _with_hashes(old[game][workers], outcome)
            for workers, outcome in by.items()
        }
        for game, by in new.items()
    }
    whole = {VERSION: identity.MATHEMATICS, **values} if name == "trainings" else values
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)  # a list is a line
    with atomic(FILES[name]) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def _to_hold(outcome: Outcome) -> Outcome:
    """Its figures with seven digits, which people can read and compare: all digits are in the hashes."""
    short = json.loads(json.dumps(outcome), parse_float=lambda text: float(f"{float(text):.7g}"))
    return {**short, "sha256": {processor(): outcome["sha256"]}}


def _with_hashes(old: Outcome, now: Outcome) -> Outcome:
    return {**old, "sha256": {**old["sha256"], processor(): now["sha256"]}}


def main() -> int:
    """Measures, tells what moved, and writes it; 1: nothing was written, the version of the mathematics forbids it."""
    known, here = version(), identity.MATHEMATICS
    if here < known:
        print(
            f"version {known} of the mathematics is held: raise MATHEMATICS in {IDENTITY} to {known + 1}, it is {here}"
        )
        return 1
    if here > known or not CHECKPOINT.is_dir():
        _play(1)  # no code of this version continues the checkpoint of another
    old, new = held(), measured()
    changed = {name: compare(old[name], new[name]) for name in FILES}
    for name in FILES:
        for (game, workers), lines in changed[name].items():
            print(f"{game}, {workers}:", *lines, sep="\n    ")
        print(f"{name}: {len(changed[name])} of {sum(map(len, new[name].values()))} moved, on {processor()}")
    if here == known and any(lines not in (["new"], ["gone"]) for lines in changed["trainings"].values()):
        print(
            f"nothing is written: trainings moved, and the version of the mathematics is still {here}. Raise "
            f"MATHEMATICS in {IDENTITY} to {here + 1} and run this again, and let the commit say why; or mend what "
            "moved them."
        )
        return 1
    for name in FILES:
        # hashes of other classes are those of the version before: here a figure may have kept its seven digits alone
        anew = {(game, workers) for game, by in new[name].items() for workers in by} if here > known else changed[name]
        write(name, old[name], new[name], anew)
    return 0


if __name__ == "__main__":
    sys.exit(main())
