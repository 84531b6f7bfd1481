"""The house: which room may import which, held against the code itself."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
GROUND = {
    "collective",
    "cores",
    "errors",
    "files",
    "identity",
    "labels",
    "latents",
    "layout",
    "lineage",
    "pictures",
    "pixels",
    "randomness",
    "redaction",
    "terminal",
    "walks",
}
ROOMS = {"config", "data", "models", "losses", "training", "metrics"}
WAIST = {
    "assemble", "comparison", "evaluation", "export", "folders", "gate", "generator", "page", "plots",
    "report", "run", "search", "study",
    "validation", "votes",
}  # fmt: skip
FLOORS = [GROUND, ROOMS, WAIST, {"estimator", "adaptors"}, {"cli", "job"}]
FILES = sorted((SRC / "ganops").rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SRC / "ganops").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor(name: str) -> int:
    (height,) = [height for height, rooms in enumerate(FLOORS) if name in rooms]
    return height


def rooms_imported(path: Path) -> set[str]:
    return {module.split(".")[1] for module in imports(path) if module.startswith("ganops.")} - {"__init__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_arrows_point_down(path):
    if path == SRC / "ganops" / "__init__.py":
        return
    here = room(path)
    for other in rooms_imported(path) - {here}:
        assert floor(other) <= floor(here), f"{here} imports {other}, which lies above it"
        if floor(here) == 1:
            assert floor(other) == 0, f"{here} imports {other}: rooms of the ground floor do not know each other"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_engines_stay_in_the_adaptors(path):
    engines = {module.split(".")[0] for module in imports(path)} & {"ray", "mlflow", "dvc"}
    assert not engines or room(path) == "adaptors"


def test_the_law_would_notice():
    assert {"ray", "mlflow"} <= {m.split(".")[0] for path in FILES for m in imports(path)}
    assert len(FILES) > 30
