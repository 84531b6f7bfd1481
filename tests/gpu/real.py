"""The script for a real GPU, a short one, on the null GPU: does each part come to its end; prints JSON."""

import gc
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import gpu as real

from ganops.training import loop

if __name__ == "__main__":
    gc.freeze()  # each recording collects garbage, which the modules are not
    # what was never computed is no number: a real GPU would be right to refuse it
    loop._expect_finite = lambda state, objective: None
    loop._means = lambda terms, step, objective: dict.fromkeys(terms[0], 0.0) | {"spread": 1.0, "told_apart": 0.5}
    real.SECONDS, real.STEPS, real.KIMG = 0.2, 24, 2.0
    real.REPEATED = ("dcgan", "ada, adaptive")
    real.games.GAMES = {name: game for name, game in real.games.GAMES.items() if name in ("dcgan", "vae")} | {
        "ada, adaptive": real.games.GAMES["ada, adaptive"]
    }
    with tempfile.TemporaryDirectory() as folder:
        code = real.main(f"{folder}/gpu.json")
        found = json.loads(Path(folder, "gpu.json").read_text())
    print(json.dumps({"code": code, "found": found}))
