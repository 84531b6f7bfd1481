"""The Inception extractor: the network whose Fréchet distance is called FID, with pytorch-fid's port of its weights."""

import pickle
from pathlib import Path
from typing import ClassVar, Self
from unittest import mock
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganops.errors import FeatureError
from ganops.files import hash_file
from ganops.metrics.extractors.extractor import Extractor, Images, Labels, Weights, read

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
PUBLISHED = "6726825d"
"""The first digits of the SHA-256 of the published file."""


class Network(nn.Module):
    """pytorch-fid's Inception with the weights `state`: images [N, 3, H, W] in [0, 1] -> features, probabilities."""

    def __init__(self, state: Weights) -> None:
        super().__init__()
        from pytorch_fid import inception

        # its own loader fetches the file without checking it, so it is given the state instead
        with mock.patch.object(inception, "load_state_dict_from_url", return_value=state):
            self.body = inception.fid_inception_v3()
        self.fc: nn.Linear = self.body.fc
        self.body.fc = nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled features [N, 2048], and the probabilities [N, 1008]."""
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        pooled = self.body(2 * x - 1)
        return pooled, F.linear(pooled, self.fc.weight).softmax(1)


class Inception(Extractor):
    """InceptionV3 of 2015-12-05: 2048 features from its last pooling, and 1008 classes.

    Images are scaled and brought to 299 x 299 as in pytorch-fid; a single channel is repeated. The probabilities leave
    out the bias of the last layer, as the inception score of Salimans et al. 2016 does.
    """

    name: ClassVar[str] = "inception"
    dimensions: ClassVar[int] = 2048
    resize: ClassVar[str] = "bilinear to 299 x 299, as pytorch-fid"
    batch: ClassVar[int] = 8  # the quickest on a processor

    @classmethod
    def make(
        cls,
        images: Images,
        labels: Labels | None,
        validation: Images,
        validation_labels: Labels | None,
        *,
        seed: int,
        device: str = "cpu",
        weights: str | None = None,
    ) -> Self:
        """Reads the weights: from the path `weights`, else from torch's hub cache, else from where they are published.

        Nothing is learned from the images. Raises FeatureError where there are no weights, or others than Inception's.
        """
        path = find_weights(weights)
        try:
            network = Network(torch.load(path, map_location="cpu", weights_only=True))
        except (RuntimeError, TypeError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise FeatureError(f"{path.name}: expected the weights of pytorch-fid's Inception; {error}") from error
        return cls(network, hash_file(path), {"weights": path.name}, device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The extractor that `save` wrote; FeatureError where its files are missing or damaged."""
        weights, description = read(folder)
        network = Network({name.removeprefix("body."): tensor for name, tensor in weights.items()})
        return cls(network, description["hash"], description["card"], device)

    @property
    def published(self) -> bool:
        """Whether the file that the weights came from is the published one."""
        return self.hash.startswith(PUBLISHED)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [N, 2048] and probabilities [N, 1008]."""
        features, probabilities = self.network(x.expand(-1, 3, -1, -1) / 255)
        return features, probabilities


def find_weights(path: str | None) -> Path:
    """The file of the weights: `path`, else the one in torch's hub cache, where a checked download puts it."""
    if path is not None:
        if not Path(path).is_file():
            raise FeatureError(f"features.weights: there is no file {path}")
        return Path(path)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL, str(cached), hash_prefix=PUBLISHED, progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise FeatureError(
                f"no weights for the inception extractor ({error}). Any one of these mends it:\n"
                f"  1. name the file {FILE} in features.weights\n"
                f"  2. put it into {cached.parent}\n"
                f"  3. let this machine reach {URL}"
            ) from error
    return cached
