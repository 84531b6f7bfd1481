"""The generator as one ONNX file: latents, truncations and labels in, stored samples out."""

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
from ganops.generator.artefact import draw, finite
from ganops.kinds import KINDS, Spec


class Renderer(nn.Module):
    """A generator as it is served: a copy of `G` in float32 on the CPU, in evaluation mode.

    Truncation multiplies the latents: 1 is the distribution that was trained, towards 0 the samples lose variety and
    approach that of z = 0. It is the purpose of the truncation trick (Brock et al. 2019, "Large scale GAN training for
    high fidelity natural image synthesis"), by scaling instead of drawing again, so that a seed keeps its picture.
    """

    def __init__(self, G: nn.Module, spec: Spec) -> None:
        super().__init__()
        self.spec, self.last = spec, KINDS[spec.kind].LAST
        self.G = copy.deepcopy(G).cpu().float()
        self.eval()

    def forward(self, z: Tensor, truncation: Tensor, labels: Tensor | None = None) -> Tensor:
        """`z` float32 [N, D], `truncation` float32 [N], `labels` int64 [N] -> stored samples, images [N, H, W, C]."""
        return self._laid_out(self.samples(z, truncation, labels))

    def samples(self, z: Tensor, truncation: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same as floats: [N, *shape]."""
        return draw(self.G, z, truncation, labels)

    @torch.no_grad()
    def render(self, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """The samples of one batch of `graph_inputs`, computed by PyTorch, as the graph gives them.

        Raises:
            TrainingError: G gives NaN or infinity.
        """
        drawn = finite(self.samples(**{name: torch.from_numpy(value) for name, value in inputs.items()}))
        stored: NDArray[Any] = self._laid_out(drawn).numpy()
        return stored

    def _laid_out(self, x: Tensor) -> Tensor:
        """Stored samples with the channels where the graph puts them."""
        stored = self.spec.stored(x)
        return stored.movedim(1, -1) if self.last else stored


def graph_inputs(seeds: NDArray[np.int64], truncation: float, *, latent: int, classes: int) -> dict[str, NDArray[Any]]:
    """Return the graph's inputs for seeds [N]: the label of a seed is the seed modulo the number of classes."""
    inputs: dict[str, NDArray[Any]] = {
        "z": latents(seeds, latent, normal_table()),
        "truncation": np.full(len(seeds), truncation, np.float32),
    }
    if classes:
        inputs["labels"] = in_turn(seeds, classes)
    return inputs


def export_onnx(module: nn.Module, path: Path, spec: Spec, *, latent: int) -> None:
    """Writes a generator as a single ONNX file whose samples agree with PyTorch's.

    The graph takes `z` float32 [N, D], `truncation` float32 [N] (it multiplies z) and, where there are classes,
    `labels` int64 [N]; it gives stored samples, of images `images` uint8 [N, H, W, C]. N is free from 1 on. The file
    holds no trace of this machine.

    Args:
        module: G(z float32 [N, D], y int64 [N] or None) -> samples [N, *shape], as networks see them. Not changed.
        path: The file to write, atomically.
        spec: Specification of the samples; without `classes` the generator is unconditional.
        latent: D, the dimensions of z.

    Raises:
        RegistryError: The module cannot be exported, or the file's samples differ by more than rounding.
        TrainingError: It gives NaN or infinity.
    """
    renderer = Renderer(module, spec)
    inputs = graph_inputs(np.arange(8), 1.0, latent=latent, classes=spec.classes)
    with atomic(path) as draft:
        _trace(renderer, inputs, draft)
        for batch in (inputs, {name: value[:1] for name, value in inputs.items()}):
            compare(run_onnx(draft, batch), renderer.render(batch), spec)


def compare(exported: NDArray[Any], eager: NDArray[Any], spec: Spec) -> None:
    """Refuses samples of the exported graph that PyTorch would not draw.

    Raises:
        RegistryError: The shapes differ, or a sample does by more than its kind's rounding.
    """
    if exported.shape != eager.shape:
        raise RegistryError(f"the exported generator draws {exported.shape}, PyTorch draws {eager.shape}")
    if difference := KINDS[spec.kind].agree(exported, eager):
        raise RegistryError(
            f"the exported generator differs from PyTorch by {difference}: an operator of the architecture means "
            "something else in ONNX, or draws random numbers"
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
                output_names=[f"{renderer.spec.unit}s"],
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


def run_onnx(path: Path, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The samples of one batch of `graph_inputs`, computed by the exported graph on the CPU.

    Raises:
        RegistryError: The graph does not run.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised: no need to print it as well
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        samples: NDArray[Any] = session.run(None, inputs)[0]
    except Exception as error:  # the runtime's exceptions have no common base but this one
        raise RegistryError(
            f"the exported generator does not run on a batch of {len(inputs['z'])}; its forward must not depend on the "
            f"size of the batch:\n{_first_lines(error)}"
        ) from error
    return samples


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
