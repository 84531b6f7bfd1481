"""The interface of extractors, and how their weights are named, stored and run."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ganops.core import devices
from ganops.core.cores import in_pieces
from ganops.core.devices import repeatable
from ganops.core.errors import FeatureError
from ganops.core.files import atomic, read_json, write_json

BYTES = 64
"""Bytes of a GPU's memory that looking takes for each number of a sample: 44 in the Inception network, 52 in domain."""

Images = NDArray[np.uint8]
Texts = NDArray[np.uint16]
Labels = NDArray[np.integer[Any]]
Features = NDArray[np.float32]
Weights = dict[str, Tensor]


class Form(NamedTuple):
    """Form of stored samples, as an extractor takes them."""

    words: str
    dtype: str
    axes: str

    @property
    def rank(self) -> int:
        """Number of axes, that of the samples included."""
        return 2 + self.axes.count(",")


IMAGES = Form("images", "uint8", "C, H, W")
FORMS = {
    "text": Form("texts", "uint16", "L"),
    "video": Form("films", "uint8", "C, T, H, W"),
    "wave": Form("waves", "int16", "1, T"),
}
"""Forms of the kinds of samples; spectrograms are images."""


class Extractor(ABC):
    """A frozen function from images to features; what it makes of an image does not depend on the rest of the batch.

    Attributes:
        make: `make(images, labels, validation, validation_labels, *, seed, device, **options)` trains or finds it for
            images uint8 [N, C, H, W], or what else it looks at, with labels int [N] in [0, K) or None; each has options
            of its own.
        name: its key in the table, and in the names of the metrics.
        dimensions: the length d of a feature vector.
        resize: how an image is brought to the network's size; part of the protocol of every metric.
        batch: images in one pass of a processor unless asked otherwise; of films as many frames.
        numbers: those of an image where each is brought to one size; 0: as many as it has.
        classifier: whether it may give probabilities.
        arithmetic: what its network computes in, on any device; on the card.
        kinds: the kinds of samples that it looks at.
        hash: SHA-256 of the weights, or of all that decides the features; only distances under equal hashes can be
            compared.
        card: what a reader must know in order to trust it; JSON-ready.
    """

    make: ClassVar[Callable[..., "Extractor"]]
    name: ClassVar[str]
    dimensions: int
    resize: ClassVar[str] = "none"
    batch: ClassVar[int] = 256
    numbers: ClassVar[int] = 0
    classifier: ClassVar[bool] = True
    arithmetic: ClassVar[str] = "float32, IEEE 754"
    kinds: ClassVar[tuple[str, ...]] = ("image", "sound")

    def __init__(self, network: nn.Module, hash: str, card: dict[str, Any], device: str) -> None:
        self.network = planar(network.to(device)).eval().requires_grad_(False)
        self.hash, self.card, self.device = hash, card | {"arithmetic": self.arithmetic}, device

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""

    @abstractmethod
    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, d], and probabilities [N, K] or None, of a batch uint8 [N, C, H, W] on the device.

        Texts are uint16 [N, L], films uint8 [N, C, T, H, W].
        """

    @property
    def published(self) -> bool:
        """True for the published FID weights: the only ones whose distance may be called FID."""
        return False

    def weights(self) -> Weights:
        """The tensors that `save` writes, and of which `load` makes the network again."""
        return self.network.state_dict()

    def features(self, images: Images | Texts, batch: int | None = None) -> tuple[Features, Features | None]:
        """Features float32 [N, d] of images uint8 [N, C, H, W], and a classifier's probabilities float32 [N, K].

        An extractor of texts takes them as uint16 [N, L], one of films as uint8 [N, C, T, H, W], of waves as int16
        [N, 1, T].

        Raises:
            FeatureError: The images are no such array, or none.
        """
        forms = dict.fromkeys(FORMS.get(kind, IMAGES) for kind in self.kinds)
        if not len(images) or (str(images.dtype), images.ndim) not in {(form.dtype, form.rank) for form in forms}:
            expected = " or ".join(f"{form.words} {form.dtype} [N, {form.axes}]" for form in forms)
            raise FeatureError(f"expected {expected}, N >= 1; got {images.dtype} {list(images.shape)}")
        device, numbers = torch.device(self.device), max(self.numbers, math.prod(images.shape[1:]))
        on_cpu = max(1, self.batch // (images.shape[2] if images.ndim == 5 else 1))
        size = batch or devices.batch(device, on_cpu, BYTES * numbers)

        @torch.inference_mode()
        def look(piece: slice) -> tuple[Features, Features | None]:
            x = torch.from_numpy(np.array(images[piece], order="C")).to(self.device)
            found, p = self.outputs(laid_out(x))
            return found.float().cpu().numpy(), None if p is None else p.float().cpu().numpy()

        with repeatable(device):
            features, probabilities = zip(*in_pieces(look, len(images), size, device.type), strict=True)
        return np.concatenate(features), None if probabilities[0] is None else np.concatenate(probabilities)

    def nll(self, texts: NDArray[Any]) -> NDArray[np.float64]:
        """-log p of each text in nats, uint16 [N, L] -> [N], by an extractor of texts.

        Raises:
            FeatureError: It is none.
        """
        raise FeatureError(f"the {self.name} extractor has no likelihood: {' and '.join(self.kinds)}s are what it sees")

    def save(self, folder: Path) -> None:
        """Writes `weights.safetensors` and `description.json`."""
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights().items()}
        with atomic(folder / "weights.safetensors") as draft:
            save_file(weights, draft)
        description = {"name": self.name, "hash": self.hash, "tensors": hash_weights(weights), "card": self.card}
        write_json(folder / "description.json", description)


def laid_out(x: Tensor) -> Tensor:
    """The samples as convolutions read them fastest: planes [N, C, H, W] as `devices.planes`."""
    return x.contiguous(memory_format=devices.planes(x.device) if x.ndim == 4 else torch.contiguous_format)


def planar(network: nn.Module) -> nn.Module:
    """The network, its kernels in the layout of planes; one with kernels of volumes, which have none, as it is."""
    weights = [*network.parameters()]
    if not weights or any(each.ndim == 5 for each in weights):
        return network
    return network.to(memory_format=devices.planes(weights[0].device))


def hash_weights(weights: Weights) -> str:
    """SHA-256 of the names, types, shapes and values of tensors, whatever their order or file format."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read(folder: Path) -> tuple[Weights, dict[str, Any]]:
    """The weights and the description that `Extractor.save` wrote.

    Raises:
        FeatureError: A file is missing, or they do not belong together.
    """
    try:
        description = read_json(folder / "description.json")
        weights = load_file(folder / "weights.safetensors")
    except FileNotFoundError as error:
        raise FeatureError(f"no extractor in {folder}: weights.safetensors or description.json is missing") from error
    if hash_weights(weights) != description["tensors"]:
        raise FeatureError(f"{folder}: weights.safetensors is not what description.json describes; build it again")
    return weights, description
