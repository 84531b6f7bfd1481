"""Which metric tells which rung of the ladder on a set of images: the table behind the marks `blind to ...`.

    python benchmarks/sight.py [SOURCE] [--labels none|auto] [--resolution 32] [--work FOLDER] [--seed S] [--json]

SOURCE is any source of `data.source`: a folder, a zip, an idx pair; without it, the embedded images. The data are
prepared and the domain extractor is trained on them, as the stages `prepare` and `features` do it, and its card is
shown: each metric on each rung that it answers for, unharmed and harmed, and the rungs that it does not tell.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from embedded import default, open_embedded

from ganops.experiment import machine
from ganops.metrics import catalogue
from ganops.metrics.reference import Reference


def show(reference: Reference) -> None:
    """One row for each metric, one cell for each rung: unharmed -> harmed."""
    found = reference.card["sight"]
    rungs = [rung for rung in catalogue.ALL if any(rung in told for told in found.values())]
    print(f"\n| metric | {' | '.join(rung.replace('_', ' ') for rung in rungs)} |")
    print("|---" * (1 + len(rungs)) + "|")
    for metric, told in found.items():
        cells = [
            "" if rung not in told else
            f"{told[rung]['unharmed']:.3g} -> {told[rung]['harmed']:.3g}{'' if told[rung]['told'] else ' **blind**'}"
            for rung in rungs
        ]  # fmt: skip
        print(f"| {metric} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=None)
    parser.add_argument("--labels", choices=("none", "auto"), default="auto")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--work", type=Path, default=None, help="keeps data and extractor")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the card instead of the table")
    options = parser.parse_args()
    given = {"data.labels": options.labels, "data.resolution": options.resolution, "seed": options.seed}
    given |= {"data.source": str(options.source.resolve())} if options.source else {}
    with tempfile.TemporaryDirectory() as temporary:
        started, busy = time.perf_counter(), time.process_time()
        _, reference = open_embedded(options.work or Path(temporary), default().override(given))
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        if options.json:
            print(json.dumps(reference.card))
            return
        print(f"{machine.hardware(torch.device('cpu'))}, seed {options.seed}: {seconds:.0f} s, {busy:.0f} s of CPU")
        print(reference.summary())
        show(reference)


if __name__ == "__main__":
    main()
