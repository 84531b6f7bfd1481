"""Registered versions on show: what a page draws with them, compares, and tells of each."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from ganops.core.errors import RegistryError, UserError
from ganops.core.files import embedded
from ganops.core.labels import in_turn
from ganops.generator import walks
from ganops.kinds import Spec
from ganops.registry import champions, tracking
from ganops.registry.champions import CHAMPION
from ganops.registry.model import Model
from ganops.registry.model_version import Registered, metrics_of
from ganops.registry.registration import CHALLENGER
from ganops.registry.tags import IDENTITY
from ganops.serving import votes
from ganops.serving.votes import Ballot, Side, Tally

MAX_SAMPLES = 100
"""Samples of one request."""
STRIP_SAMPLES = (3, 24)
"""Samples of a strip."""
MAX_SEED = 2**53 - 1 - MAX_SAMPLES
"""Seeds of a page: larger numbers are not exact in a browser."""
MAX_LOADED = 4
"""Versions that stay loaded."""
HEADLINE = ("fid", "fd_", "kid", "precision", "recall", "coverage")
"""Metrics of the page's head, by the beginning of their names; the card has all of them."""


@dataclass(frozen=True)
class Settings:
    """Samples that a person asks for."""

    seed: int = 0
    """The first one."""
    count: int = 20
    label: int | None = None
    """Label of all samples; None: the classes in turn, the label of a seed is the seed modulo their number."""
    truncation: float = 1.0

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Settings":
        """Read the settings of a link; what is missing or no number is left as it is."""
        found = cls()
        for name, kind in {"seed": int, "count": int, "label": int, "truncation": float}.items():
            try:
                found = replace(found, **{name: kind(query[name])})
            except (KeyError, ValueError):
                continue
        return found

    @property
    def seeds(self) -> NDArray[np.int64]:
        """int64 [count]."""
        return self.seed + np.arange(self.count)

    def checked(self, spec: Spec) -> "Settings":
        """Return these settings, if a model of such samples can be asked for them.

        Raises:
            UserError: It cannot.
        """
        whole("seed", self.seed, 0, MAX_SEED)
        whole(f"{spec.noun}s", self.count, 1, MAX_SAMPLES)
        _label(self.label, spec.classes)
        _truncation(self.truncation, spec)
        return self

    def link(self, version: int) -> str:
        """The part of a page's address that brings these samples back, also after the champion has changed."""
        label = {} if self.label is None else {"label": self.label}
        settings = {"seed": self.seed, "count": self.count, **label, "truncation": f"{self.truncation:g}"}
        return "?" + urlencode({"version": version, **settings})

    def program(self, name: str, version: int, unit: str = "image") -> str:
        """The Python lines that draw these samples, by their noun."""
        label = "" if self.label is None else f', "labels": [{self.label}]'
        return (
            "import mlflow, numpy as np  # and MLFLOW_TRACKING_URI says where the registry is\n\n"
            f'model = mlflow.pyfunc.load_model("models:/{name}/{version}")\n'
            f"seeds = {self.seed} + np.arange({self.count})\n"
            f'{unit}s = model.predict(seeds, params={{"truncation": {self.truncation:g}{label}}})'
        )


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number in a range.

    Raises:
        UserError: It is none.
    """
    if not isinstance(value, int | float) or value != value or not low <= value <= high or value != int(value):
        raise UserError(f"{name}: expected a whole number from {low:,} to {high:,}, got {value}")
    return int(value)


def _label(label: int | None, classes: int) -> None:
    if label is not None and not classes:
        raise UserError("label: expected none, this model is unconditional")
    if label is not None:
        whole("label", label, 0, classes - 1)


def _truncation(value: float, spec: Spec) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{spec.variety}: expected a number from 0 to 1, got {value:g}")


@dataclass(frozen=True)
class Drawn:
    """Samples that a version has drawn."""

    drawer: Registered
    stored: NDArray[Any]

    @property
    def stills(self) -> NDArray[np.uint8]:
        """Pictures of them: uint8 [N, C, H, W]."""
        return self.drawer.spec.look(self.stored)

    @property
    def files(self) -> list[str | None]:
        """An address for each that holds the file in which it is heard or watched; None where samples take no time."""
        spec = self.drawer.spec
        if not spec.played:
            return [None] * len(self.stored)
        return [embedded(media, content) for _, media, content in map(spec.file, self.drawer.shown(self.stored))]

    @property
    def texts(self) -> list[str]:
        """The samples as people read them, where they are texts."""
        return [str(text) for text in self.drawer.shown(self.stored)]


@dataclass(frozen=True)
class Exhibit:
    """A version that is loaded."""

    name: str
    version: int
    identity: str
    metrics: Mapping[str, float]
    """Metrics of the head."""
    drawer: Registered
    card: str
    """Markdown."""
    samples: bytes
    """The PNG that the card shows."""

    @property
    def side(self) -> Side:
        """The version as a ballot names it."""
        return Side(self.version, self.identity)

    @property
    def labels(self) -> list[str]:
        """The classes in words."""
        names = self.drawer.class_names
        return [names[i] if i < len(names) else f"class {i}" for i in range(self.drawer.classes)]

    def draw(self, settings: Settings) -> "Drawn":
        """Return a sample for each seed.

        Raises:
            UserError: Such samples cannot be asked for.
        """
        settings = settings.checked(self.drawer.spec)
        labels = None if settings.label is None else np.full(settings.count, settings.label, np.int64)
        return Drawn(self.drawer, self.drawer.sample(settings.seeds, labels, settings.truncation))

    def walk(self, a: float, b: float, label: int | None, truncation: float, steps: float) -> "Drawn":
        """Return samples from that of one seed to that of another, in so many equal steps.

        Raises:
            UserError: Such a strip cannot be asked for.
        """
        ends = whole("seed A", a, 0, MAX_SEED), whole("seed B", b, 0, MAX_SEED)
        _label(label, self.drawer.classes)
        _truncation(truncation, self.drawer.spec)
        steps = whole("steps", steps, *STRIP_SAMPLES)
        return Drawn(self.drawer, walks.between(self.drawer, ends, label, truncation, steps))

    def label_of(self, seed: int, label: int | None = None) -> str:
        """The class of a sample in words; empty where there are none."""
        if not self.drawer.classes:
            return ""
        return self.labels[int(in_turn(np.array([seed]), self.drawer.classes)[0]) if label is None else label]


class Exhibition:
    """The versions of one registered model, and the votes on them.

    Args:
        root: Folder of the project, for the embedded store.
        name: Of the registered model.
        votes: The file of the votes.
    """

    def __init__(self, root: Path, name: str, votes: Path) -> None:
        self.root, self.name, self.votes = root, name, votes
        self.model = Model(tracking.connect(root), name)
        self._loaded: dict[int, Exhibit] = {}
        self._lock = threading.Lock()

    def champion(self) -> int:
        """The version that is it now.

        Raises:
            RegistryError: There is no such model, or it has no champion.
        """
        version = champions.current(self.model)
        if version is None:
            problem = f"{self.name} has no champion: pass the gate with a generator, or `ganops promote VERSION`"
            raise RegistryError(problem)
        return int(version)

    def exhibit(self, version: int) -> Exhibit:
        """A version, loaded when it is first asked for.

        Raises:
            RegistryError: There is none, or it cannot be loaded.
        """
        with self._lock:
            found = self._loaded.pop(version, None) or self._load(version)
            self._loaded[version] = found  # the latest last
            while len(self._loaded) > MAX_LOADED:
                del self._loaded[next(iter(self._loaded))]
            return found

    def _load(self, number: int) -> Exhibit:
        version = self.model.resolve(str(number))
        metrics = metrics_of(version)
        chosen = [name for start in HEADLINE for name in metrics if name.startswith(start)]
        with ExitStack() as stack:
            drawer = stack.enter_context(Registered.opened(version, self.root))
            folder = drawer.folder / "artifacts"
            card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
            samples = (folder / "samples.png").read_bytes()
            shown = {name: metrics[name] for name in chosen}
            return Exhibit(self.name, number, identity_of(version), shown, drawer, card, samples)

    def others(self, version: int) -> dict[int, str]:
        """The other versions in words, the one that most calls for a comparison first.

        It is the challenger, or where that is the version itself, the champion before it; then the newest.
        """
        aliases = self.model.entry().aliases
        roles = {int(number): alias for alias, number in aliases.items() if alias in (CHAMPION, CHALLENGER)}
        before = [move.over for move in champions.history(self.model) if move.to == version and move.over]
        roles = {**dict.fromkeys(before[-1:], "champion before"), **roles}
        numbers = {int(each.version) for each in self.model.versions() if each.status == "READY"} - {version}
        order = {CHALLENGER: 0, CHAMPION: 1, "champion before": 2}
        ranked = sorted(numbers, key=lambda number: (order.get(roles.get(number, ""), 3), -number))
        return {number: f"v{number}" + (f", {roles[number]}" if number in roles else "") for number in ranked}

    def ballot(self, one: int, other: int, seeds: Sequence[int]) -> Ballot:
        """Two versions, in an order that is drawn.

        Raises:
            UserError: Their samples would be told apart by their size alone.
        """
        pair = [self.exhibit(each) for each in (one, other)]
        first, second = (exhibit.drawer.spec.words for exhibit in pair)
        if first != second:
            raise UserError(
                f"v{one} draws {first} and v{other} {second}: a comparison would not be blind; "
                "`ganops compare` measures them"
            )
        return Ballot.shuffled(self.name, pair[0].side, pair[1].side, seeds)

    def cast(self, ballot: Ballot, choice: str) -> bool:
        """Keeps a vote; False: this ballot was cast before.

        Raises:
            UserError: It cannot be kept.
        """
        return votes.cast(self.votes, ballot, choice)

    def tally(self, one: Side, other: Side) -> Tally:
        """The votes on this pair so far."""
        return Tally.of(votes.read(self.votes), one.identity, other.identity)


def identity_of(version: Any) -> str:
    """Return the identity of a version, whatever its number; one that others registered has its time and place."""
    return str(version.tags.get(IDENTITY) or f"{version.source} {version.creation_timestamp}")
