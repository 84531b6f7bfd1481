"""A trained generator as a folder that mlflow loads where ganops is not installed, and the proof that it does."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ganops import kinds
from ganops.core import latents
from ganops.core.arrays import load_array
from ganops.core.errors import RegistryError
from ganops.core.files import write_json
from ganops.core.pictures import save_grid
from ganops.generator import encoder
from ganops.generator.onnx import Renderer, compare, export_onnx, graph_inputs, run_onnx
from ganops.kinds import KINDS, Spec
from ganops.registry.card import CLIPS, model_card
from ganops.registry.model_version import CONFIG, WEIGHTS
from ganops.registry.package import Package
from ganops.registry.tracking import mlflow

REQUIREMENTS = ("mlflow-skinny", "pandas", "numpy", "onnxruntime")
"""Packages that a reader of the model installs, in the versions that it was proved with; mlflow.pyfunc needs pandas."""

_HERE = Path(__file__).parent
STILLS = 64
"""Samples of the picture beside a model."""
_PROOF_SEEDS, _PROOF_TRUNCATION, _PROOF_SECONDS = 16, 0.8, 300
"""The proof of a packed model: samples, truncation, and most seconds."""


def build(package: Package, name: str, folder: Path) -> None:
    """Writes the generator as an mlflow model (models from code) into `folder`, which must not exist.

    Beside the graph that is run it carries the weights as safetensors, those of an encoder where there is one, the
    model card and a grid of samples, and where they take time a file in which some are heard or watched. `MLmodel`
    tells the kind of the samples, and the rate of clips and films, to whoever does not load it.

    Raises:
        RegistryError: The generator cannot be exported.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = _files(package, name, Path(scratch))
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(_HERE / "served_model.py"),
            artifacts={key: str(path) for key, path in files.items()},
            signature=_signature(package.spec),
            metadata=_metadata(package.spec),
            input_example=(np.arange(4), {"truncation": 0.8}),
            pip_requirements=[f"{requirement}=={version(requirement)}" for requirement in REQUIREMENTS],
        )
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)
    _forget_machine(folder / "MLmodel")


def _files(package: Package, name: str, folder: Path) -> dict[str, Path]:
    """The files that the served model opens, and those that people do."""
    description = package.description
    table = {
        "generator": folder / "generator.onnx",
        "config": folder / CONFIG,
        "latent_table": folder / "latent_table.npy",
        "latents": folder / "latents.py",
        "kind": folder / "kind.py",
        "weights": folder / WEIGHTS,
        "card": folder / "MODEL_CARD.md",
        "samples": folder / "samples.png",
    }
    spec, latent = package.spec, description["latent"]
    export_onnx(package.generator, table["generator"], spec, latent=latent)
    write_json(table["config"], {**description, "kind": spec.kind, "shape": spec.shape, "facts": spec.facts})
    np.save(table["latent_table"], latents.normal_table(), allow_pickle=False)
    shutil.copyfile(latents.__file__, table["latents"])
    shutil.copyfile(Path(kinds.__file__).parent / f"{spec.kind}.py", table["kind"])
    shutil.copyfile(package.weights, table["weights"])
    if package.encoder:
        table["encoder"] = folder / encoder.WEIGHTS
        shutil.copyfile(package.encoder, table["encoder"])
    table["card"].write_text(model_card(name, package), encoding="utf-8")
    # by the graph, not by PyTorch: whoever loads the model draws these very samples
    drawn = run_onnx(table["generator"], graph_inputs(np.arange(STILLS), 1.0, latent=latent, classes=spec.classes))
    stored = np.moveaxis(drawn, -1, 1) if KINDS[spec.kind].LAST else drawn
    save_grid(table["samples"], spec.look(stored))
    if joined := spec.joined(spec.shown(stored[:CLIPS])):
        suffix, _, content = joined
        table["heard"] = folder / f"samples{suffix}"
        table["heard"].write_bytes(content)
    return table


def _metadata(spec: Spec) -> dict[str, Any]:
    """Return the kind, and of sounds and films the rate."""
    return {"kind": spec.kind, **{name: spec.facts[name] for name in ("rate", "fps") if name in spec.facts}}


def _signature(spec: Spec) -> Any:
    types, one = mlflow.types, spec.shown(np.zeros_like(spec.empty(1)))
    dtype = np.dtype(str) if one.dtype.kind == "U" else one.dtype  # mlflow knows no widths of strings
    return mlflow.models.ModelSignature(
        inputs=types.Schema([types.TensorSpec(np.dtype("int64"), (-1,))]),
        outputs=types.Schema([types.TensorSpec(dtype, (-1, *one.shape[1:]))]),
        params=types.ParamSchema(
            [types.ParamSpec("truncation", "double", 1.0), types.ParamSpec("labels", "long", [], shape=(-1,))],
        ),
    )


def _forget_machine(path: Path) -> None:
    """Replaces the absolute paths that mlflow notes in MLmodel; to load the model it reads their last parts only."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))  # YAML 1.1, as mlflow writes and reads it
    flavor = content["flavors"]["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def prove(package: Package, folder: Path) -> float:
    """Loads the model as a stranger would, and compares its stored samples with those of PyTorch.

    The stranger is a fresh process in another directory in which neither ganops nor PyTorch can be imported. A seed
    must be the same sample byte for byte alone and in a batch, and agree with PyTorch within rounding (`Kind.agree`).

    Returns:
        Samples per second in a batch of 16.

    Raises:
        RegistryError: With the last lines of the process that failed, or with the difference.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        output = Path(elsewhere) / "samples.npy"
        arguments = [str(folder.resolve()), str(output), str(_PROOF_SEEDS), str(_PROOF_TRUNCATION)]
        process = _run(["-I", "-B", str(_HERE / "proof.py"), *arguments], cwd=elsewhere)
        if process.returncode:
            last = "\n".join(process.stderr.strip().splitlines()[-8:])
            raise RegistryError(f"the packed model does not work in a fresh process, nothing was registered:\n{last}")
        stored = load_array(output)
    spec, latent = package.spec, package.description["latent"]
    inputs = graph_inputs(np.arange(_PROOF_SEEDS), _PROOF_TRUNCATION, latent=latent, classes=spec.classes)
    renderer = Renderer(package.generator, spec)
    compare(np.moveaxis(stored, 1, -1) if renderer.last else stored, renderer.render(inputs), spec)
    return _PROOF_SEEDS / float(process.stdout.split()[-1])


def _run(arguments: Sequence[str], cwd: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, *arguments]
    try:
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=_PROOF_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RegistryError(
            f"the packed model took longer than {_PROOF_SECONDS} s to load and to draw {_PROOF_SEEDS} samples"
        ) from error
