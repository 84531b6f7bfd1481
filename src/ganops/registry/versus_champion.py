"""The champion beside a challenger, both measured now: from the same seeds, by one reference, under one protocol.

What is on record of the champion may have been taken by another extractor, from other data or by other code. So it is
drawn again, from the registry's own files, and its figures are never taken from there.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ganops.core.errors import RegistryError
from ganops.evaluation.comparison import Comparison, of_samplers
from ganops.evaluation.gate import ALREADY, Rival
from ganops.generator import Generator
from ganops.kinds import Spec
from ganops.metrics.reference import Reference
from ganops.registry import champions, tracking
from ganops.registry.champions import CHAMPION
from ganops.registry.model import Model
from ganops.registry.model_version import Registered
from ganops.registry.package import Package
from ganops.registry.registration import is_same
from ganops.registry.tracking import mlflow

Compare = Callable[..., Comparison]
"""`compared` but for the challenger and the reference, which it knows: (the champion's files, samples, split, seed)."""


def compared(champion: Path, generator: Path, features: Path, *, device: str, **how: Any) -> Comparison:
    """The champion, by the folder of its files, beside the challenger; `how` as in `comparison.of_samplers`."""
    challenger, reference = Generator.load(generator, device), Reference.open(features, device)
    return of_samplers(Registered(champion), challenger, reference, stage="register", **how)


@tracking.refusals()
def challenge(
    package: Package, spec: Spec, compare: Compare, *, name: str, root: Path, samples: int, split: str, seed: int
) -> Rival | None:
    """Measures the champion of `name` and the challenger; None where there is no champion, or it is the challenger.

    Args:
        package: The challenger.
        spec: Specification of its samples.
        compare: Measures both.
        name: Of the registered model.
        root: Folder of the project, for the embedded store.
        samples: Of each.
        split: The real images.
        seed: Draws the halves behind the intervals.

    Raises:
        RegistryError: The store, or the champion's files in it, cannot be used.
    """
    try:
        with ExitStack() as stack:
            champion = tracking.insist_on_server(lambda: _open(package, name, root, stack), root)
            if champion is None:
                return None
            version, former = champion
            if former.spec.words != spec.words:
                return Rival(version, None, f"it draws {former.spec.words}, the challenger {spec.words}")
            if former.spec.facts.get("words") != spec.facts.get("words"):
                return Rival(version, None, "its texts are of another vocabulary than the challenger's")
            found = compare(former.folder, samples=samples, split=split, seed=seed)
    except RegistryError as error:
        raise RegistryError(
            f"the champion cannot be measured: {error}. Mend the store, `ganops rollback`, or take the alias "
            "away where there is none before it, and register again."
        ) from error
    return Rival(version, found)


@tracking.refusals()
def standing(package: Package, *, name: str, root: Path) -> str:
    """Return why the champion became the champion, where it is this very generator; empty: it is not.

    Nothing is measured against itself, and what it showed then is the evidence for it.

    Raises:
        RegistryError: The store cannot be used.
    """

    def ask() -> str:
        model = Model(tracking.connect(root), name)
        champion = _champion(model)
        if champion is None or not is_same(package, champion):
            return ""
        return champions.grounds(model, str(champion.version)).rpartition(ALREADY)[2]

    return tracking.insist_on_server(ask, root)


def _open(package: Package, name: str, root: Path, stack: ExitStack) -> tuple[int, Registered] | None:
    """The champion's version and the champion, until the stack ends; None: there is none, or it is the challenger."""
    model = Model(tracking.connect(root), name)
    if _champion(model) is None:
        return None
    champions.settle(model)
    champion = _champion(model)
    if champion is None or is_same(package, champion):
        return None
    return int(champion.version), stack.enter_context(Registered.opened(champion, root))


def _champion(model: Model) -> Any | None:
    try:
        return model.client.get_model_version_by_alias(model.name, CHAMPION)
    except mlflow.MlflowException as error:
        if model.is_absent(error):
            return None
        raise RegistryError(f"the champion of {model.name} could not be asked for: {error}") from error
