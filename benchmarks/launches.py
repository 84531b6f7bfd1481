"""Counts of what a step asks of a GPU, on one that computes nothing: `python benchmarks/launches.py` prints a table.

It needs gcc and a torch for CUDA, and no GPU: see tests/gpu/null.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "gpu"))
import gpu

WAYS = {"1": (1,), "1, graphs": (1, "graphs"), "2": (2,), "2, graphs": (2, "graphs")}


def main() -> None:
    """Print a line for each game and way."""
    print("| | workers | launches | graphs | host waits | collectives | captured nodes | ms of processors |")
    print("|---|---|---|---|---|---|---|---|")
    measured = {way: gpu.run("table.py", *arguments) for way, arguments in WAYS.items()}
    for name in next(iter(measured.values())):
        for way, games in measured.items():
            counts = ("-".join(f"{value:g}" for value in dict.fromkeys(games[name][key]))
                      for key in ("launches", "graphs", "waits", "collectives", "nodes"))  # fmt: skip
            print(f"| {name} | {way} | {' | '.join(counts)} | {games[name]['ms'][0]:.1f} |")


if __name__ == "__main__":
    if why := gpu.missing():
        sys.exit(why)
    main()
