"""Start-up times of commands that a person waits for: seconds on the clock and of the processors.

    python benchmarks/start.py [--json] [--rounds N] [PROJECT]

The commands run in the folder of a project that has a champion (by default here), one process after another; the first
round, which reads files from the disk, is not counted. The figures are medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {"--help": 1, "--version": 1, "history": 2, "check --quick": 2, "lineage": 4, "doctor": 4, "check": 4}
"""Command -> the seconds that it may take on two quiet cores."""
START = "import sys; from ganops.cli import main; sys.argv[1:] = sys.argv[1].split(); main()"


def measure(command: str, project: Path) -> tuple[float, float]:
    """Return the seconds that a command took: on the clock, and of the processors."""
    since = time.perf_counter()
    running = subprocess.Popen([sys.executable, "-c", START, command], cwd=project, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    if status:
        sys.exit(f"ganops {command}: ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - since, used.ru_utime + used.ru_stime


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", nargs="?", type=Path, default=Path(), help="a folder with a champion; here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    for command, limit in COMMANDS.items():
        _, *rounds = (measure(command, options.project) for _ in range(options.rounds + 1))
        clock, processors = (statistics.median(each) for each in zip(*rounds, strict=True))
        found[command] = {"seconds": clock, "processor_seconds": processors, "limit": limit}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print("| | seconds | of the processors | at most |\n|---|---|---|---|")
    for command, row in found.items():
        print(f"| `ganops {command}` | {row['seconds']:.2f} | {row['processor_seconds']:.2f} | {row['limit']} |")


if __name__ == "__main__":
    main()
