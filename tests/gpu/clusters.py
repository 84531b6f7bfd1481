"""Stages on Ray with three null GPUs, of which the driver sees none; as a script it prints JSON.

What is computed there is no figure: only where things are, and what is said.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray
import torch
from projects import tiny

from ganops.config import parse
from ganops.core.errors import UserError
from ganops.data import decoders, prepare
from ganops.distributed.evaluate import observe
from ganops.distributed.placement import placed
from ganops.distributed.train import fit
from ganops.distributed.tune import search
from ganops.evaluation.examination import examine
from ganops.experiment import features

PARAMS = {
    "seed": 1,
    "data": {"source": "some", "resolution": 16, "labels": "none", "validation": 0.2, "test": 0.2},
    "features": {"extractor": "pixels"},
    "model": {"latent": 8, "options": {"width": 4}},
    "train": {"kimg": 0.4, "batch": 50, "tick_kimg": 0.2, "validation_samples": 300},
    "tune": {"trials": 2, "kimg": 0.4, "rungs": 1, "scheduler": "none", "space": {"loss.r1": {"uniform": [0, 1]}}},
    "evaluate": {"samples": 1200},  # three pieces: each of three workers has one
}
"""Parameters of what is trained."""


@contextmanager
def cluster(gpus: int):
    """Ray of our own that this process takes for a cluster: its GPUs are not this process's."""
    os.environ["NULL_GPUS"] = str(gpus)  # of the processes that begin from here on
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    hook = {"worker_process_setup_hook": "clusters.unchecked"}
    with ray.init(address="local", num_gpus=gpus, num_cpus=4, runtime_env=hook, **quiet) as context:
        os.environ["RAY_ADDRESS"] = context.address_info["gcs_address"]
        yield


def unchecked() -> None:
    """Has a worker save at each tick and take all numbers for finite: what it would look at is never computed."""
    from ganops.core import collective
    from ganops.generator import artefact
    from ganops.training import loop

    collective.any_worker = lambda flag, device: True
    artefact.finite = lambda x: x
    loop._expect_finite = lambda state, objective: None


def said(act) -> str:
    """The words of the error in which it ends."""
    try:
        act()
    except UserError as error:
        return f"{type(error).__name__}: {error}"
    return ""


class Stages:
    """Stages of one experiment in a folder, each of which says what became of it."""

    def __init__(self, home: Path) -> None:
        self.experiment = parse(PARAMS | {"compute": {"storage": str(home / "runs")}})
        self.prepared, self.extractor, self.generator, self.made = (
            home / name for name in ("prepared", "features", "generator", "made")
        )
        source, preview = tiny(home / "some"), home / "preview.png"
        prepare(source, self.prepared, preview, decoders.of(self.experiment.data), labels="none")
        features.make(self.prepared, experiment=self.experiment, device="cpu", out=self.extractor)

    def features(self) -> str:
        """The error of an extractor that trains on such a GPU: it has learnt nothing."""
        changed = self.experiment.override({"features.extractor": "domain"})
        given = {"out": self.made, "experiment": changed}
        return said(lambda: placed(changed.compute, "features", features.make, self.prepared, **given))

    def train(self) -> dict[str, object]:
        """Two workers, and the validator apart."""
        changed, notes = self.experiment.override({"compute.workers": 2, "compute.validation": "apart"}), list[str]()
        with fit(changed, self.prepared, self.extractor, lambda progress: notes.extend(progress.notes)) as run:
            run.best_generator().save(self.generator)
            return {"notes": notes, **run.hardware}

    def trials(self, **trial: object) -> dict[str, object]:
        """Trials with such resources."""
        changed = self.experiment.override({"compute.trial": trial})
        found = search(changed, self.prepared, self.extractor, lambda name, known: nullcontext(lambda each: None))
        rows = [row for each in found.trials for row in each.history if "distance" in row]
        return {"hardware": found.hardware, "ended": [each.status for each in found.trials], "rows": rows}

    def evaluate(self) -> dict[str, object]:
        """A generator that was trained there."""
        given, places = self.experiment.compute, (self.generator, self.prepared, self.extractor)
        fake = observe(given, self.generator, self.extractor, self.experiment.evaluate.samples)
        found = placed(given, "evaluate", examine, *places, fake=fake, experiment=self.experiment)
        return {"results": sorted(found.results), "files": sorted(found.files)}


def main(wanted: list[str]) -> dict[str, object]:
    """The outcome of each stage that is wanted, and the lines of the log of the GPUs that it added."""
    log, found = Path(os.environ["NULL_GPU_LOG"]), dict[str, object]()
    log.touch()
    with tempfile.TemporaryDirectory() as scratch, cluster(3):
        stages = Stages(Path(scratch))
        ways: dict[str, Callable[[], object]] = {
            "features": stages.features, "train": stages.train, "evaluate": stages.evaluate,
            "halves": lambda: stages.trials(gpus=0.5), "pairs": lambda: stages.trials(workers=2),
        }  # fmt: skip
        for name in wanted:
            before = len(log.read_text().splitlines())
            told = ways[name]()
            found[name] = {"told": told, "gpus": [line.split() for line in log.read_text().splitlines()[before:]]}
    return found


if __name__ == "__main__":
    assert not torch.cuda.is_available()
    print(json.dumps(main(sys.argv[1:])))
