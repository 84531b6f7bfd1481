"""Speed of the vocoder, and a hash of what it gives: the same under any version of numpy and number of threads.

    python benchmarks/vocoder.py [--clips 100] [--json]
    uv run --no-project --with numpy==1.26.4 benchmarks/vocoder.py

It needs numpy alone, as a registered model does: the functions are read from the file that such a model carries.
"""

import argparse
import hashlib
import importlib.util
import json
import time
from pathlib import Path

import numpy as np

FACTS = {"rate": 8000, "samples": 8192, "window": 256, "hop": 128, "bands": 64}
FACTS |= {"mean": [4.5] * 64, "deviation": [1.6] * 64}
FILE = Path(__file__).parents[1] / "src/ganops/kinds/sound.py"


def chords(count: int) -> np.ndarray:
    """Return clips int16 [count, 8192] of three gliding square waves each, by sums and products of integers alone."""
    time, clip = np.arange(FACTS["samples"]), np.arange(count)[:, None]
    waves = [((time * (80 + 7 * clip * k + time * k // 256) // 1024) % 2) * 2 - 1 for k in (1, 2, 3)]
    swell = np.minimum(time, time[::-1]) // 2
    return (sum(waves) * swell).astype(np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the line")
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("kind", FILE)
    kind = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kind)
    started = time.perf_counter()
    stored = kind.quantised(kind.spectrogram(chords(options.clips), FACTS), FACTS)
    middle = time.perf_counter()
    shown = kind.shown(stored, FACTS)
    seconds = {"stored": middle - started, "shown": time.perf_counter() - middle}
    found = {
        "numpy": np.__version__,
        "clips": options.clips,
        "milliseconds": {name: round(1000 * each / options.clips, 2) for name, each in seconds.items()},
        "sha256": {name: hashlib.sha256(x).hexdigest() for name, x in (("stored", stored), ("shown", shown))},
    }
    if options.json:
        print(json.dumps(found))
        return
    speed = " and ".join(f"{each} ms to be {name}" for name, each in found["milliseconds"].items())
    hashes = ", ".join(f"{name} {each[:16]}" for name, each in found["sha256"].items())
    print(f"numpy {np.__version__}, {options.clips} clips: {speed} a clip; {hashes}")


if __name__ == "__main__":
    main()
