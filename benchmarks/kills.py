"""Kills at random moments and disks of random sizes: the same command again ends in the same generator, one version.

`python benchmarks/kills.py [--seed N] [--kills 60] [--disks 20]`. A kill is a SIGKILL to all processes of a stage at a
random moment of its course; in a run of the pipeline each stage is killed so twice, `register` when it makes the store
for the first time. A disk is a tmpfs of a random size, too small for one of the stages: it says so in a sentence, room
is made, and the same command goes on, to the end of the pipeline.
"""

import argparse
import gzip
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
STAGES = ("prepare", "features", "tune", "train", "evaluate", "register")
PARAMS = {
    "seed": 0,
    "data": {"source": "mini", "resolution": 16},
    "features": {"extractor": "pixels"},
    "model": {"architecture": "mlp", "latent": 8, "options": {"width": 32, "depth": 2}},
    "loss": {"name": "non_saturating", "r1": 0.2},
    "train": {"kimg": 0.6, "batch": 32, "tick_kimg": 0.2, "checkpoint_kimg": 0.2, "validation_samples": 100},
    "tune": {"trials": 0},
    "evaluate": {"samples": 400},
    "register": {"name": "mini", "gate": {}},
    "compute": {"launcher": "local", "device": "cpu"},
}
"""An experiment whose stages take seconds."""
IMAGES = 600
TIMES = 2
"""The number of times that a stage is killed in a run of the pipeline."""
LONGEST = 600.0
"""Seconds after which a stage hangs."""
PAGE = 4096
"""Bytes that a tmpfs gives at a time."""
ROOMY = 2**30
"""Bytes of a disk on which room was made."""


@dataclass(frozen=True)
class Row:
    """A line of the table: what befell a stage, and what came of its run."""

    run: str
    stage: str
    event: str
    said: str
    """The fault in words; empty: there was none."""


class Project:
    """A folder with the stages and a few images in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, dict.fromkeys(STAGES, 0.0)

    @classmethod
    def new(cls, folder: Path) -> "Project":
        """Lays the stages and the images into a folder."""
        shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
        embedded, mini = ROOT / "data" / "fashion-mnist-10k", folder / "data" / "mini"
        mini.mkdir(parents=True)
        for kind, header, size in (("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1)):
            content = gzip.decompress((embedded / f"t10k-{kind}-ubyte.gz").read_bytes())
            some = content[:4] + IMAGES.to_bytes(4, "big") + content[8 : header + IMAGES * size]
            (mini / f"t10k-{kind}-ubyte").write_bytes(some)
        return cls(folder)

    def start(self, stage: str, log: Path) -> "subprocess.Popen[bytes]":
        """Starts a stage as the leader of a group of processes of its own."""
        away = ("MLFLOW_", "GANOPS_", "DVC_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(away)}
        environment |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, f"pipeline/{stage}.py"]
        with log.open("wb") as out:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )

    def run(self, stage: str, log: Path) -> tuple[int, str]:
        """Runs a stage to its end: the exit code, and what it said."""
        began = time.monotonic()
        code = self.start(stage, log).wait(LONGEST)
        self.seconds[stage] = time.monotonic() - began
        return code, log.read_text(errors="replace")

    def kill(self, stage: str, log: Path, seconds: float) -> bool:
        """Kill a stage so many seconds after its start; return True where it was still running."""
        process = self.start(stage, log)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        return False

    def outcome(self) -> tuple[str, int]:
        """SHA-256 of the generator's files, and the number of versions in the registry."""
        digest = hashlib.sha256()
        for path in sorted((self.folder / "artifacts" / "generator").iterdir()):
            digest.update(path.read_bytes())
        with closing(sqlite3.connect(self.folder / "mlflow" / "mlflow.db")) as store:
            (versions,) = store.execute("SELECT count(*) FROM model_versions WHERE status = 'READY'").fetchone()
        return digest.hexdigest(), int(versions)

    def size(self) -> int:
        """Bytes of its files, by whole pages as a tmpfs counts them, and of its folders."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return sum(-(-path.stat().st_size // PAGE) * PAGE for path in files) + PAGE


def killed(project: Project, log: Path, numbers: random.Random, seconds: dict[str, float], most: int) -> Iterator[Row]:
    """Runs the pipeline; its stages are killed, `most` times in all, and run again."""
    for stage in STAGES:
        events: list[str] = []
        while len(events) < min(TIMES, most):
            moment = numbers.uniform(0, seconds[stage])
            if project.kill(stage, log, moment):
                events.append(f"SIGKILL after {moment:.1f} of {seconds[stage]:.1f} s")
        most -= len(events)
        said = _trouble(*project.run(stage, log), 0)
        yield from (Row("", stage, event, said) for event in events or (["run"] if said else []))


def filled(project: Project, log: Path, stages: Sequence[str], size: int) -> Iterator[Row]:
    """Runs the rest of the pipeline on a disk of `size` bytes; where it is full, room is made."""
    for stage in stages:
        code, text = project.run(stage, log)
        if code:
            said = _trouble(code, text, 1) or ("" if "ake room" in text else f"no word of room: {_last(text)}")
            _mount(f"remount,size={ROOMY}", project.folder)
            yield Row("", stage, f"full at {size / 2**20:.2f} MiB", said or _trouble(*project.run(stage, log), 0))


def _trouble(code: int, text: str, expected: int) -> str:
    if "Traceback" in text:
        return f"a traceback: {_last(text)}"
    return "" if code == expected else f"exit code {code}: {_last(text)}"


def _last(text: str) -> str:
    return (text.strip() or "nothing").splitlines()[-1][:200]


def _mount(options: str, folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def disk(folder: Path, size: int) -> Iterator[bool]:
    """Mounts a tmpfs of `size` bytes for the block; yields whether that could be done, which takes root."""
    folder.mkdir()
    mounted = _mount(f"size={size}", folder)
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def attack(work: Path, *, seed: int, kills: int, disks: int) -> Iterator[Row]:
    """One row for each kill and each disk; before them the run that nothing befalls."""
    numbers, log = random.Random(seed), work / "log"
    whole = Project.new(work / "whole")
    sizes = []
    for stage in STAGES:
        shutil.copytree(whole.folder, work / f"before-{stage}")
        sizes.append(whole.size())
        code, text = whole.run(stage, log)
        if code:
            raise SystemExit(text)
    sizes.append(whole.size())
    expected = whole.outcome()
    yield Row("-", "all", f"nothing, {sum(whole.seconds.values()):.0f} s", _differs(expected, (expected[0], 1)))

    def judged(name: str, rows: list[Row], project: Project) -> Iterator[Row]:
        wrong = "" if any(row.said for row in rows) else _differs(project.outcome(), expected)
        yield from (Row(name, row.stage, row.event, row.said or wrong) for row in rows)

    for number, start in enumerate(range(0, kills, TIMES * len(STAGES))):
        project = Project.new(work / f"kills-{number}")
        yield from judged(f"kills {number}", list(killed(project, log, numbers, whole.seconds, kills - start)), project)
    for number in range(disks):
        first = numbers.randrange(len(STAGES))
        size = numbers.randrange(sizes[first], sizes[first + 1]) // PAGE * PAGE
        with disk(work / f"disk-{number}", size) as mounted:
            if not mounted:
                yield Row(f"disk {number}", "-", "skipped: no tmpfs can be mounted here, which takes root", "")
                return
            shutil.copytree(work / f"before-{STAGES[first]}", work / f"disk-{number}", dirs_exist_ok=True)
            project = Project(work / f"disk-{number}")
            yield from judged(f"disk {number}", list(filled(project, log, STAGES[first:], size)), project)


def _differs(found: tuple[str, int], expected: tuple[str, int]) -> str:
    return "" if found == expected else f"generator {found[0][:8]}, {found[1]} versions"


def main() -> int:
    """Prints the table; 1 where a run ended otherwise than the one that nothing befell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and sizes")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--disks", type=int, default=20)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a disk is unmounted, the files are removed
    print("| run | stage | what befell it | ended |\n| --- | --- | --- | --- |", flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="ganops-kills-") as work:
        for row in attack(Path(work), seed=asked.seed, kills=asked.kills, disks=asked.disks):
            wrong += bool(row.said)
            print(f"| {row.run} | {row.stage} | {row.event} | {row.said or 'the same'} |", flush=True)
    print(f"\n{wrong} of these ended otherwise" if wrong else "\nall ended in the same generator and one version")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
