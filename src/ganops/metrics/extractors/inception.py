"""The Inception extractor: the network whose Fréchet distance is called FID, with pytorch-fid's port of its weights."""

import pickle
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ganops.core.devices import planes
from ganops.core.errors import FeatureError
from ganops.core.files import hash_file
from ganops.metrics.extractors.extractor import Extractor, Images, Labels, Weights, read

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
PUBLISHED = "6726825d"
"""The first digits of the SHA-256 of the published file."""


class Network(nn.Module):
    """pytorch-fid's Inception with the weights `state`: images [N, 3, H, W] in [0, 1] -> features, probabilities.

    Batch norms are folded into the convolutions before them, in float64; then the convolutions take the type `dtype`.
    Resizing, the last pooling and the classes stay float32.
    """

    def __init__(self, state: Weights, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.body = fid_inception()
        self.body.load_state_dict(state)
        assert isinstance(self.body.fc, nn.Linear)
        self.fc = self.body.fc
        self.dtype = dtype
        _fold(self.body)
        self.body.fc, self.body.avgpool = nn.Identity(), Average()
        self.body.to(dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled features [N, 2048], and the probabilities [N, 1008]."""
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        pooled = self.body((2 * x - 1).to(self.dtype, memory_format=planes(x.device)))
        return pooled, F.linear(pooled, self.fc.weight).softmax(1)


def fid_inception() -> nn.Module:
    """Return pytorch-fid's Inception in evaluation mode without its weights: torchvision's, with nine blocks replaced.

    It is `pytorch_fid.inception.fid_inception_v3`, which can only be had with the file that it fetches unchecked.
    """
    from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
    from torchvision.models import inception_v3

    body = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    body.Mixed_5b = FIDInceptionA(192, pool_features=32)
    body.Mixed_5c = FIDInceptionA(256, pool_features=64)
    body.Mixed_5d = FIDInceptionA(288, pool_features=64)
    body.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
    body.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
    body.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
    body.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
    body.Mixed_7b = FIDInceptionE_1(1280)
    body.Mixed_7c = FIDInceptionE_2(2048)
    network: nn.Module = body.eval()
    return network


class Average(nn.Module):
    """The mean over all places, in float32: [N, C, H, W] -> [N, C, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """The mean of each channel."""
        return F.adaptive_avg_pool2d(x.float(), 1)


def _fold(body: nn.Module) -> None:
    """Puts the scale and the shift of each batch norm into the convolution before it: the same function, one pass less.

    w' = w γ / √(σ² + ε) and b' = β - μ γ / √(σ² + ε), which is exact in evaluation and is computed in float64.
    """
    for module in list(body.modules()):
        convolution, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(convolution.double(), norm.double()).float()
            module.bn = nn.Identity()


class Inception(Extractor):
    """InceptionV3 of 2015-12-05: 2048 features from its last pooling, and 1008 classes.

    Images are scaled and brought to 299 x 299 as in pytorch-fid; a single channel is repeated. The probabilities leave
    out the bias of the last layer, as the inception score of Salimans et al. 2016 does.

    Attributes:
        state: the tensors of the weights' file as they are; `save` writes these, not the folded ones.
        dtype: the type of the convolutions.
    """

    name: ClassVar[str] = "inception"
    dimensions = 2048
    resize: ClassVar[str] = "bilinear to 299 x 299, as pytorch-fid"
    batch: ClassVar[int] = 8  # the quickest on a processor
    numbers: ClassVar[int] = 3 * 299 * 299
    dtype: ClassVar[torch.dtype] = torch.float32

    def __init__(self, state: Weights, hash: str, card: dict[str, Any], device: str) -> None:
        super().__init__(Network(state, self.dtype), hash, card, device)
        self.state = state

    @classmethod
    def make(
        cls, images: Images, labels: Labels | None, validation: Images, validation_labels: Labels | None, *,
        seed: int, device: str = "cpu", weights: str | None = None,
    ) -> Self:  # fmt: skip
        """The network with the weights that `find_weights` finds; nothing is learned from the images.

        Raises:
            FeatureError: There are no weights, or others than Inception's.
        """
        made = cls.of_file(find_weights(weights), device)
        made.prove(validation)
        return made

    def prove(self, images: Images) -> None:
        """Note on the card what the network must show on held-out images: nothing, for its weights are published."""

    @classmethod
    def of_file(cls, path: Path, device: str = "cpu") -> Self:
        """The network with the weights in the file `path`.

        Raises:
            FeatureError: The file holds others than Inception's.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            return cls(state, hash_file(path), {"weights": path.name}, device)
        except (RuntimeError, TypeError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise FeatureError(f"{path.name}: expected the weights of pytorch-fid's Inception; {error}") from error

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""
        state, description = read(folder)
        return cls(state, description["hash"], description["card"], device)

    @property
    def published(self) -> bool:
        """True where the file that the weights came from is the published one."""
        return self.hash.startswith(PUBLISHED)

    def weights(self) -> Weights:
        """The tensors of the weights' file."""
        return self.state

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, 2048] and probabilities [N, 1008]."""
        features, probabilities = self.network(x.expand(-1, 3, -1, -1) / 255)
        return features, probabilities


def find_weights(path: str | Path | None) -> Path:
    """The file of the weights: `path`, else the one in torch's hub cache, where a checked download puts it.

    Raises:
        FeatureError: There is no such file, or it cannot be downloaded.
    """
    if path is not None:
        if not Path(path).is_file():
            raise FeatureError(f"weights of the Inception network: there is no file {path}")
        return Path(path)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL, str(cached), hash_prefix=PUBLISHED, progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise FeatureError(
                f"no weights for the inception extractor ({error}). Any one of these mends it:\n"
                f"  1. name the file {FILE} in features.weights, or for `ganops evaluate` by --weights\n"
                f"  2. put it into {cached.parent}\n"
                f"  3. let this machine reach {URL}"
            ) from error
    return cached
