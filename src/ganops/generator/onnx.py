"""The generator as one ONNX file: latents, truncations and labels in, pixels out."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganops.core.errors import RegistryError
from ganops.core.files import atomic
from ganops.core.labels import in_turn
from ganops.core.latents import latents, normal_table
from ganops.core.pixels import finite, to_uint8

TOLERANCE = 1
"""Grey levels by which two runtimes may differ: each rounds its own sums to the nearest level."""


class Renderer(nn.Module):
    """A generator as it is served: a copy of `G` in float32 on the CPU, in evaluation mode.

    Truncation multiplies the latents: 1 is the distribution that was trained, towards 0 the samples lose variety and
    approach that of z = 0. It is the purpose of the truncation trick (Brock et al. 2019, "Large scale GAN training for
    high fidelity natural image synthesis"), by scaling instead of drawing again, so that a seed keeps its picture.
    """

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G = copy.deepcopy(G).cpu().float()
        self.eval()

    def forward(self, z: Tensor, truncation: Tensor, labels: Tensor | None = None) -> Tensor:
        """`z` float32 [N, D], `truncation` float32 [N], `labels` int64 [N] -> uint8 [N, H, W, C]."""
        return to_uint8(self.samples(z, truncation, labels)).permute(0, 2, 3, 1)

    def samples(self, z: Tensor, truncation: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same before it is rounded: [N, C, H, W] of nominal range [-1, 1]."""
        drawn: Tensor = self.G(z * truncation[:, None], labels)
        return drawn

    @torch.no_grad()
    def render(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
        """The pictures of one batch of `graph_inputs`, computed by PyTorch: uint8 [N, H, W, C].

        Raises:
            TrainingError: G gives NaN or infinity.
        """
        drawn = finite(self.samples(**{name: torch.from_numpy(value) for name, value in inputs.items()}))
        pictures: NDArray[np.uint8] = to_uint8(drawn).permute(0, 2, 3, 1).numpy()
        return pictures


def graph_inputs(seeds: NDArray[np.int64], truncation: float, *, latent: int, classes: int) -> dict[str, NDArray[Any]]:
    """Return the graph's inputs for seeds [N]: the label of a seed is the seed modulo the number of classes."""
    inputs: dict[str, NDArray[Any]] = {
        "z": latents(seeds, latent, normal_table()),
        "truncation": np.full(len(seeds), truncation, np.float32),
    }
    if classes:
        inputs["labels"] = in_turn(seeds, classes)
    return inputs


def export_onnx(module: nn.Module, path: Path, *, latent: int, classes: int) -> None:
    """Writes a generator as a single ONNX file whose pictures agree with PyTorch's.

    The graph takes `z` float32 [N, D], `truncation` float32 [N] (it multiplies z) and, where `classes` > 0, `labels`
    int64 [N]; it gives `images` uint8 [N, H, W, C]. N is free from 1 on. The file holds no trace of this machine.

    Args:
        module: G(z float32 [N, D], y int64 [N] or None) -> samples [N, C, H, W] of nominal range [-1, 1]. Not changed.
        path: The file to write, atomically.
        latent: D, the dimensions of z.
        classes: Number of classes; 0 for an unconditional generator.

    Raises:
        RegistryError: The module cannot be exported, or the file's pictures differ by more than one grey level.
        TrainingError: It gives NaN or infinity.
    """
    renderer = Renderer(module)
    inputs = graph_inputs(np.arange(8), 1.0, latent=latent, classes=classes)
    with atomic(path) as draft:
        _trace(renderer, inputs, draft)
        for batch in (inputs, {name: value[:1] for name, value in inputs.items()}):
            compare(run_onnx(draft, batch), renderer.render(batch))


def compare(exported: NDArray[np.uint8], eager: NDArray[np.uint8]) -> None:
    """Refuses pictures of the exported graph that PyTorch would not draw.

    Raises:
        RegistryError: The shapes differ, or a pixel does by more than `TOLERANCE` grey levels.
    """
    if exported.shape != eager.shape:
        raise RegistryError(f"the exported generator draws {exported.shape}, PyTorch draws {eager.shape}")
    difference = int(np.abs(exported.astype(int) - eager).max(initial=0))
    if difference > TOLERANCE:
        raise RegistryError(
            f"the exported generator differs from PyTorch by {difference} grey levels, more than the {TOLERANCE} "
            "of rounding: an operator of the architecture means something else in ONNX, or draws random numbers"
        )


def _trace(renderer: Renderer, inputs: dict[str, NDArray[Any]], path: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        try:
            program = torch.onnx.export(
                renderer,
                tuple(torch.from_numpy(value) for value in inputs.values()),
                dynamo=True,
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                input_names=list(inputs),
                output_names=["images"],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise RegistryError(
                "the generator cannot be exported to ONNX with a free batch size; its forward must be traceable by "
                f"torch.export and must not depend on N:\n{_first_lines(error)}"
            ) from error
    assert program is not None  # dynamo=True always returns a program
    _forget_machine(program.model)
    program.save(path, external_data=False)


def run_onnx(path: Path, inputs: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """The pictures of one batch of `graph_inputs`, computed by the exported graph on the CPU: uint8 [N, H, W, C].

    Raises:
        RegistryError: The graph does not run.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised: no need to print it as well
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        images: NDArray[np.uint8] = session.run(["images"], inputs)[0]
    except Exception as error:  # the runtime's exceptions have no common base but this one
        raise RegistryError(
            f"the exported generator does not run on a batch of {len(inputs['z'])}; its forward must not depend on the "
            f"size of the batch:\n{_first_lines(error)}"
        ) from error
    return images


def _forget_machine(model: Any) -> None:
    """Drops the stack traces that the exporter notes at every node: they name the folders of this machine."""
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
        for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
            value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


def _first_lines(error: BaseException, count: int = 6) -> str:
    cause = error.__cause__ or error
    return "\n".join(f"{type(cause).__name__}: {cause}".splitlines()[:count])


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter reports on its own internals; whether the graph is right is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
