"""Protocols of measurement: two figures can be compared only under one protocol."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ganops.core.errors import FeatureError
from ganops.metrics.intervals import COVERS

VERSION = 4
"""Goes up when any figure is computed in another way: then older figures cannot be compared."""
SELECTED = (
    "A champion is the best of those that were held against one split of real samples: its figures there are selected, "
    "and fresh real samples would show it a little worse."
)
"""Remark beside the figures of a champion."""


def names(extractor: str, published: bool) -> tuple[str, str]:
    """The names of the Fréchet and of the kernel distance: FID and KID are those of the published weights alone."""
    return ("fid", "kid") if published else (f"fd_{extractor}", f"kd_{extractor}")


@dataclass(frozen=True)
class Protocol:
    """The conditions of a measurement, on which a figure depends beside the generator."""

    extractor: str
    weights: str
    """Hash of the extractor's weights."""
    published: bool
    """True for the published weights of FID."""
    split: str
    """Split of the real samples."""
    real: int
    generated: int
    resize: str
    quantisation: str
    seed: int
    """Draws the subsets and halves."""
    first_seed: int | None = None
    """First seed of the generated samples, whose seeds are consecutive; None: they came as pictures."""
    neighbours: int = 5
    """k of precision, recall, density and coverage."""
    neighbour_samples: int = 0
    """Samples of each side for precision, recall, density and coverage."""
    kernel_subsets: int = 100
    kernel_subset_size: int = 1000
    repetitions: int = 0
    """Halves behind each interval."""
    memorisation: dict[str, float] | None = None
    """Parameters of the search for copies; None: samples were too few."""
    singular: bool = False
    """Fewer samples than dimensions on a side: a covariance has no inverse, and the distance is far from its limit."""
    version: int = VERSION
    labels: str | None = None
    """Way in which labels were drawn: one of those in `ganops.core.labels`; None: samples have none."""
    intervals: str = COVERS
    """Sources of chance that the intervals cover."""
    left_out: Mapping[str, str] | None = None
    """Figures that there are not, by name, and why."""
    texts: Mapping[str, Any] | None = None
    """Parameters of the figures of texts; None: samples are none."""
    films: Mapping[str, Any] | None = None
    """Parameters of the figures of motion, and the weights behind `fd_motion`; None: samples are no films."""

    @property
    def name(self) -> str:
        """Short name, such as fid50k_train or fd_domain10k_test."""
        metric = "fid" if self.published else f"fd_{self.extractor}"
        count = f"{self.generated // 1000}k" if self.generated % 1000 == 0 else str(self.generated)
        return f"{metric}{count}_{self.split}"

    def content(self) -> dict[str, Any]:
        """Return the protocol as plain values, its name among them."""
        content = {"name": self.name, **asdict(self)}
        for kind in ("texts", "films"):
            if content[kind] is None:
                del content[kind]
        return content


def require_equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Refuses to compare figures that were measured in two ways, and says in what they differ.

    Raises:
        FeatureError: The protocols, as `Protocol.content` gives them, differ.
    """
    keys = dict.fromkeys([*one, *other])
    differing = [key for key in keys if key not in one or key not in other or one[key] != other[key]]
    if differing:
        parts = ", ".join(f"{key} {one.get(key)!r} and {other.get(key)!r}" for key in differing if key != "name")
        raise FeatureError(f"figures under two protocols cannot be compared: {parts}. Evaluate both in the same way.")
