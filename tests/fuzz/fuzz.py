"""Bytes of strangers at every door: no traceback, no memory beyond a bound, no file outside the folder.

    python tests/fuzz/fuzz.py [--seconds N] [--least N] [--seed N] [--target NAME ...]

Each target has a process of its own, whose cases Hypothesis draws from a seed: a finding can be seen again. Of the
CPU-seconds each target has an equal part, and goes on until it has had the least number of cases as well. The table
shows cases, how many of them were refused, the memory that they took, and findings; with any, the exit code is 1.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "experiment")]

MEMORY = 1024
"""MiB that a case may take beyond those of the process before the first one."""
LIMIT = 12
"""GiB of addresses of a process, so that a finding does not end the machine."""
EXAMPLES = 200
"""Cases that are drawn from one seed."""
LEAST = 25
"""Cases that a target has at least, however slow the machine is."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
EVENTS = {"os.mkdir": 1, "os.remove": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2, "os.truncate": 1}
"""What changes files, with the number of paths."""


class Outside(BaseException):
    """A file outside the folder was written; nothing catches it."""


def guard(root: Path) -> None:
    """Ends the case that writes outside of `root`, from here on, as far as Python's own calls tell."""
    allowed, here = (str(root), "/dev/", "/proc/"), os.getcwd()

    def hear(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = given
            paths = [path] if isinstance(flags, int) and flags & WRITING else []
        else:
            paths = list(given[: EVENTS.get(event, 0)])
        for path in paths:
            if isinstance(path, bytes | str) and not os.path.realpath(os.path.join(here, os.fsdecode(path))).startswith(
                allowed
            ):
                raise Outside(f"{event}: {path!r}")

    sys.addaudithook(hear)


def forget() -> None:
    """Lets `peak` begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """MiB that this process has had in memory at most since then."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) >> 10


def child(name: str, seed: int, seconds: float, least: int) -> dict[str, Any]:
    """Draws cases for one target until it has used so many CPU-seconds and had so many cases, or something is found."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as drawn_from
    from targets import REFUSALS, TARGETS

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT << 30, LIMIT << 30))
    world = Path.cwd()
    target = TARGETS[name](world)
    found = {"cases": 0, "refused": 0, "seeds": 0, "finding": ""}
    guard(world)
    before, most, end = peak(), 0, time.process_time() + seconds

    def over() -> bool:
        return time.process_time() > end and found["cases"] >= least

    def run(case: Any) -> None:
        nonlocal most
        if over():
            return
        found["cases"] += 1
        forget()
        try:
            target.check(case)
        except REFUSALS as error:
            found["refused"] += 1
            if not str(error).strip():
                raise AssertionError("a refusal without a word") from error
        taken = peak() - before
        most = max(most, taken)
        assert taken <= MEMORY, f"{taken} MiB where {MEMORY} are allowed"

    while not over() and not found["finding"]:
        test = given(target.cases)(run)
        test = settings(max_examples=EXAMPLES, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
                        suppress_health_check=list(HealthCheck))(test)  # fmt: skip
        try:
            drawn_from(seed + found["seeds"])(test)()
        except BaseException as error:  # whatever it is, it is a finding
            if isinstance(error, KeyboardInterrupt):
                raise
            found["finding"] = f"seed {seed + found['seeds']}\n" + "".join(traceback.format_exception(error))
        found["seeds"] += 1
    return {**found, "memory": most}


def children(names: Sequence[str], seed: int, seconds: float, least: int) -> dict[str, dict[str, Any]]:
    """Findings of each target by a process of its own, forked from this one, so that modules are imported once.

    One that dies is a finding as well.
    """
    import hypothesis  # noqa: F401
    import targets  # noqa: F401

    found = {}
    for name in names:
        world = Path.cwd() / name
        (world / "tmp").mkdir(parents=True)
        if (pid := os.fork()) == 0:
            os.dup2(os.open(world / "stderr", os.O_WRONLY | os.O_CREAT), 2)
            os.chdir(world)
            places = {"HOME": ".", "TMPDIR": "tmp", "XDG_CACHE_HOME": "cache", "TORCHINDUCTOR_CACHE_DIR": "cache",
                      "HYPOTHESIS_STORAGE_DIRECTORY": "hypothesis"}  # fmt: skip
            os.environ.update({variable: str(world / place) for variable, place in places.items()})
            tempfile.tempdir = None
            try:
                Path("found.json").write_text(json.dumps(child(name, seed, seconds, least)))
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            said = "\n".join((world / "stderr").read_text(errors="replace").splitlines()[-30:])
            found[name] = {"cases": 0, "refused": 0, "memory": 0, "finding": f"died with {code}\n{said}"}
        else:
            found[name] = json.loads((world / "found.json").read_text())
        print(f"{name}: {found[name]['cases']:,} cases", file=sys.stderr, flush=True)
    return found


def fuzz(names: Sequence[str], seed: int, seconds: float, least: int = LEAST) -> dict[str, dict[str, Any]]:
    """The same from a process that may die, in a folder that is removed; `seconds` are those of each target."""
    with tempfile.TemporaryDirectory(prefix="ganops-fuzz-") as folder:
        own = {
            "HOME": folder,
            "PYTHONPATH": str(HERE.parents[1] / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-X", "faulthandler", str(HERE / "fuzz.py"), "--child", *names, "--seed", str(seed),
                   "--seconds", str(seconds), "--least", str(least)]  # fmt: skip
        done = subprocess.run(command, cwd=folder, env={**os.environ, **own}, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(tell: Callable[[str], None] = print) -> int:
    from targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="CPU-seconds of all targets together")
    parser.add_argument("--least", type=int, default=LEAST, help="cases that each target has at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(children(options.child, options.seed, options.seconds, options.least)))
        return 0
    names = options.target or list(TARGETS)
    rows = fuzz(names, options.seed, options.seconds / len(names), options.least)
    tell(f"\n| target | cases | refused | MiB above the start | findings |\n|{'---|' * 5}")
    for name, row in rows.items():
        tell(f"| {name} | {row['cases']:,} | {row['refused']:,} | {row['memory']} | {int(bool(row['finding']))} |")
    for name, row in rows.items():
        if row["finding"]:
            tell(f"\n{name}, {row['finding']}")
    return int(any(row["finding"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
