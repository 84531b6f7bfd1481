"""Start-up times of commands that a person waits for: seconds on the clock and of the processors.

    python benchmarks/start.py [--json] [--rounds N] [PROJECT]

The commands run in the folder of a project that has a champion (by default here), one process after another; the first
round, which reads files from the disk, is not counted. The figures are medians. The line `mlflow alone` is what no
command that asks the registry can do without: to import MLflow, and to ask its store once, without ganops.
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
FLOOR = "import mlflow; mlflow.MlflowClient('sqlite:///mlflow/mlflow.db').search_registered_models()"
"""The least that a program does which asks the embedded registry something."""


def measure(program: str, argument: str, project: Path) -> tuple[float, float]:
    """Return the seconds that a program took: on the clock, and of the processors."""
    since = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL if program is FLOOR else None}
    running = subprocess.Popen([sys.executable, "-c", program, argument], cwd=project, **quiet)
    _, status, used = os.wait4(running.pid, 0)
    if status:
        sys.exit(f"{argument}: ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - since, used.ru_utime + used.ru_stime


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", nargs="?", type=Path, default=Path(), help="a folder with a champion; here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    programs = [
        ("mlflow alone", FLOOR, "", None),
        *((f"ganops {name}", START, name, COMMANDS[name]) for name in COMMANDS),
    ]
    for name, program, argument, limit in programs:
        _, *rounds = (measure(program, argument, options.project) for _ in range(options.rounds + 1))
        clock, processors = (statistics.median(each) for each in zip(*rounds, strict=True))
        found[name] = {"seconds": clock, "processor_seconds": processors, "limit": limit}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print("| | seconds | of the processors | at most |\n|---|---|---|---|")
    for name, row in found.items():
        print(f"| `{name}` | {row['seconds']:.2f} | {row['processor_seconds']:.2f} | {row['limit'] or ''} |")


if __name__ == "__main__":
    main()
