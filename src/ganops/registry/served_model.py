"""The registered model: seeds in, samples out. It runs where ganops is not installed (mlflow, numpy, onnxruntime)."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnxruntime
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

CHUNK = 64
"""Samples of one call of the graph, so that memory does not grow with the number of seeds."""


class ServedGenerator(PythonModel):  # type: ignore[misc]  # mlflow is untyped
    """A generator whose input is the list of seeds, so that every sample can be asked for again."""

    def load_context(self, context: Any) -> None:
        """Opens the files that were registered with this one."""
        files = {name: Path(path) for name, path in context.artifacts.items()}
        self.config = json.loads(files["config"].read_text(encoding="utf-8"))
        self.table = np.load(files["latent_table"], allow_pickle=False)
        self.latents = _import(files["latents"]).latents
        self.kind = _import(files["kind"])
        # one kind of processor, so that a seed is the same sample on every machine
        self.session = onnxruntime.InferenceSession(files["generator"], providers=["CPUExecutionProvider"])

    def predict(
        self,
        context: Any,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """One sample for one seed, whatever else is in the batch: int64 [N] -> images uint8 [N, H, W, C], or texts [N].

        Args:
            context: Not used; `load_context` has read it.
            model_input: The seeds; any int64, and none at all is fine.
            params: `truncation` in [0, 1] multiplies the latents, or is the temperature of texts (default 1). `labels`
                are the classes of a conditional model: none (default; the label is the seed modulo the number of
                classes), one for all, or one a seed.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, with what was expected.
        """
        shown: np.ndarray = self.kind.shown(self.stored(model_input, params), self.config["facts"])
        return shown

    def stored(self, seeds: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """The same samples as the graph draws them and as data sets store them, channels first: [N, *shape]."""
        seeds = np.asarray(seeds, np.int64).reshape(-1)
        params = params or {}
        truncation = _truncation(params.get("truncation", 1.0))
        labels = _labels(params.get("labels", ()), seeds, self.config["classes"])
        samples = np.empty((len(seeds), *self.config["shape"]), self.kind.STORED)
        for start in range(0, len(seeds), CHUNK):
            part = slice(start, start + CHUNK)
            samples[part] = self._draw(seeds[part], truncation, labels[part])
        return samples

    def _draw(self, seeds: Any, truncation: float, labels: Any) -> Any:
        inputs = {
            "z": self.latents(seeds, self.config["latent"], self.table),
            "truncation": np.full(len(seeds), truncation, np.float32),
        }
        if self.config["classes"]:
            inputs["labels"] = labels
        drawn = self.session.run(None, inputs)[0]
        return np.moveaxis(drawn, -1, 1) if self.kind.LAST else drawn


def _truncation(value: Any) -> float:
    truncation = float(value)
    if not 0 <= truncation <= 1:  # so written, NaN is refused as well
        raise MlflowException.invalid_parameter_value(f"truncation: expected a number from 0 to 1, got {truncation:g}")
    return truncation


def _labels(values: Any, seeds: Any, classes: int) -> Any:
    """One label for each seed: int64 [N]; zeros where the model has no classes."""
    labels = np.asarray(values, np.int64).reshape(-1)
    if not len(labels):
        return seeds % max(classes, 1)
    if not classes:
        raise MlflowException.invalid_parameter_value("labels: expected none, this model is unconditional")
    if len(labels) not in (1, len(seeds)):
        raise MlflowException.invalid_parameter_value(
            f"labels: expected none, one, or one for each of the {len(seeds)} seeds, got {len(labels)}"
        )
    unknown = labels[(labels < 0) | (labels >= classes)]
    if len(unknown):
        raise MlflowException.invalid_parameter_value(
            f"labels: expected whole numbers from 0 to {classes - 1}, got {unknown[0]}"
        )
    return np.broadcast_to(labels, seeds.shape)


def _import(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"ganops_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mlflow.models.set_model(ServedGenerator())
