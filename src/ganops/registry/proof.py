"""Proves a saved model in a process of its own: `python -I proof.py MODEL_FOLDER SAMPLES.npy COUNT TRUNCATION`.

Neither ganops nor PyTorch can be imported here, even where they are installed: whoever loads the model has neither. The
stored samples of the seeds 0 ... COUNT-1 are written to SAMPLES.npy, and the seconds of drawing them are printed.
"""

import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ABSENT = ("ganops", "torch", "onnx", "onnxscript")


class Absent(MetaPathFinder):
    """Makes packages that are installed look as if they were not."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Refuses the packages of `ABSENT`, leaves all others to the other finders."""
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r} (a registered model must not need it)", name=name)
        return None


def main(folder: str, output: str, count: int, truncation: float) -> None:
    """Loads, predicts as a batch and one by one, and compares the two byte for byte."""
    sys.meta_path.insert(0, Absent())
    import mlflow.pyfunc
    import numpy as np

    model = mlflow.pyfunc.load_model(folder)
    seeds, params = np.arange(count), {"truncation": truncation}
    started = time.perf_counter()
    shown = model.predict(seeds, params=params)
    seconds = time.perf_counter() - started
    for i in range(count):
        if model.predict(seeds[i : i + 1], params=params).tobytes() != shown[i : i + 1].tobytes():
            sys.exit(f"seed {i} asked for alone is another sample than in a batch of {count}")
    stored = model.unwrap_python_model().stored(seeds, params)  # what is compared: `shown` may magnify a level
    np.save(output, stored, allow_pickle=False)
    print(f"{seconds:.6f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
