"""A Python that has the packages of some extras of the project and no others, however many are installed here.

    python tests/bare.py EXTRA[,EXTRA...] PROGRAM [ARGUMENT...]

An empty EXTRA is the core alone. The project's requirements are those of pyproject.toml, theirs come from the metadata
of the packages that are installed.
"""

import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def declared(*extras: str) -> list[Requirement]:
    """The requirements of the core and of `extras`."""
    texts = [*PROJECT["dependencies"]]
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def needed(requirements: Iterable[Requirement]) -> set[str]:
    """The names of all distributions that come with them on this machine."""
    found: set[tuple[str, str]] = set()
    todo = [(each, "") for each in requirements]
    while todo:
        each, extra = todo.pop()
        if each.marker and not each.marker.evaluate({"extra": extra}):
            continue
        for asked in {(canonicalize_name(each.name), extra) for extra in ("", *each.extras)} - found:
            found.add(asked)
            try:
                todo += [(Requirement(text), asked[1]) for text in requires(each.name) or ()]
            except PackageNotFoundError:  # not for this machine
                continue
    return {name for name, _ in found}


class Bare:
    """Finds modules as Python does, but for those of distributions that are not `allowed`: they are not installed."""

    def __init__(self, allowed: set[str]) -> None:
        self.allowed = allowed
        self.refused = {
            module
            for module, names in packages_distributions().items()
            if not {canonicalize_name(name) for name in names} & (allowed | {"ganops"})
        }

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """None where it is refused, except for copies that an allowed distribution brings in a folder of its own."""
        if path is None and name in self.refused:
            path = [folder for folder in sys.path if not folder.endswith("-packages")]
        return PathFinder.find_spec(name, path, target)

    def find_distributions(self, context: Any) -> list[Any]:
        """The distributions that are allowed."""
        found = PathFinder.find_distributions(context)
        return [each for each in found if canonicalize_name(each.name) in self.allowed | {"ganops"}]

    def invalidate_caches(self) -> None:
        """Forget what folders held."""
        PathFinder.invalidate_caches()


def main() -> None:
    extras, program, *arguments = sys.argv[1:]
    finder = Bare(needed(declared(*filter(None, extras.split(",")))))
    sys.meta_path[:] = [finder if each is PathFinder else each for each in sys.meta_path]
    for name in [name for name in sys.modules if name.partition(".")[0] in finder.refused]:
        del sys.modules[name]
    sys.argv[1:] = arguments
    exec(compile(program, "program", "exec"), {"__name__": "program"})


if __name__ == "__main__":
    main()
