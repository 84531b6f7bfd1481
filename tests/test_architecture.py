"""The house: which room may import which, how many there are, and how large; held against the code itself.

`python tests/test_architecture.py [FOLDER]` prints the figures of the package in FOLDER (default: src/ganops).
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "ganops"
GROUND = {"core", "config", "data/sources", "kinds", "losses", "metrics/extractors", "models", "training"}
ARROWS = {
    "core": set(),
    "config": {"core", "kinds"},
    "data/sources": {"core", "kinds"},
    "kinds": set(),
    "losses": {"core"},
    "metrics/extractors": {"core", "kinds"},
    "models": {"core"},
    "training": {"core"},
    "data": {"core", "data/sources", "kinds"},
    "metrics": {"core", "kinds", "metrics/extractors"},
    "generator": {"core", "kinds", "models"},
    "search": {"config", "core"},
    "reports": {"core", "kinds", "metrics", "search"},
    "experiment": {
        "config", "core", "data", "data/sources", "generator", "kinds", "losses", "metrics", "metrics/extractors",
        "models", "search", "training",
    },
    "__init__": {"experiment"},
    "evaluation": {
        "config", "core", "data", "data/sources", "experiment", "generator", "kinds", "losses", "metrics",
        "metrics/extractors", "reports", "search",
    },
    "distributed": {
        "config", "core", "data", "data/sources", "evaluation", "experiment", "generator", "kinds", "metrics", "search",
    },
    "registry": {
        "config", "core", "data", "data/sources", "evaluation", "experiment", "generator", "kinds", "losses", "metrics",
        "reports", "search",
    },
    "studies": {
        "config", "core", "data", "data/sources", "distributed", "evaluation", "experiment",
        "generator", "metrics", "reports", "search",
    },
    "jobs": {"config", "core", "data/sources", "distributed", "experiment", "registry"},
    "serving": {"core", "distributed", "generator", "kinds", "registry", "reports"},
    "cli": {
        "config", "core", "data", "data/sources", "evaluation", "experiment", "generator", "jobs",
        "metrics", "registry", "search", "serving", "studies",
    },
}  # fmt: skip
"""Room -> the rooms that it imports, in functions as well; types alone do not count."""
ENGINES = {"ray.train": {"distributed"}, "ray.tune": {"distributed"}, "ray": {"distributed", "jobs", "serving"},
           "mlflow": {"registry"}, "dvc": set()}  # fmt: skip
"""Module of an engine -> the rooms that import it."""
ROOMS, FLOORS, ENTRIES, SHARE = 25, 8, 20, 0.12
"""At most so many rooms, floors and entries at the package's top, and this share of the lines in one room."""


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those beneath `if TYPE_CHECKING:`."""
    yield node
    skipped = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in node.orelse if skipped else ast.iter_child_nodes(node):
        yield from nodes(child)


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, at its top or inside a function: of `from a import b` both a and a.b."""
    found = set()
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def files(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def room(path: Path, package: Path) -> str:
    """The folder of a file, or the file itself where it lies at the top."""
    place = path.relative_to(package)
    return place.parent.as_posix() if len(place.parts) > 1 else place.stem


@cache
def file_graph(package: Path) -> dict[Path, set[Path]]:
    """File -> the files of the package that it imports; a package's `__init__` counts where it itself is meant."""
    by_name = {}
    for path in files(package):
        parts = path.relative_to(package.parent).with_suffix("").parts
        by_name[".".join(parts).removesuffix(".__init__")] = path
    return {path: {by_name[name] for name in meant(path, by_name)} - {path} for path in by_name.values()}


def meant(path: Path, modules: Mapping[str, Path]) -> set[str]:
    """The modules that a file imports; `from a import b` means a itself only where b is no module of it."""
    found = set()
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner if inner <= modules.keys() else {*inner, node.module}
    return found & modules.keys()


def room_graph(package: Path) -> dict[str, set[str]]:
    """Room -> the other rooms that its files import."""
    graph: dict[str, set[str]] = {}
    for path, others in file_graph(package).items():
        here = room(path, package)
        graph.setdefault(here, set()).update(room(other, package) for other in others)
    return {here: others - {here} for here, others in graph.items()}


def circle(graph: Mapping[object, set]) -> list[object]:
    """A circle of imports; empty: there is none."""
    done: set[object] = set()

    def walk(node: object, way: list[object]) -> list[object]:
        if node in way:
            return way[way.index(node) :]
        if node not in done:
            for other in sorted(graph.get(node, ()), key=str):
                if found := walk(other, [*way, node]):
                    return found
            done.add(node)
        return []

    return next((found for node in sorted(graph, key=str) if (found := walk(node, []))), [])


def floors(graph: Mapping[str, set[str]]) -> int:
    """Rooms on the longest way down."""

    @cache
    def height(node: str) -> int:
        return 1 + max(map(height, graph[node]), default=0)

    return max(map(height, graph))


def entries(package: Path) -> list[str]:
    """Return what lies at the package's top; folders in which an update of the code left only bytecode do not count."""
    return sorted(path.name for path in package.iterdir() if path.is_file() or files(path))


def shares(package: Path) -> dict[str, float]:
    """Room -> its share of the lines."""
    lines: dict[str, int] = {}
    for path in files(package):
        here = room(path, package)
        lines[here] = lines.get(here, 0) + len(path.read_text(encoding="utf-8").splitlines())
    return {here: count / sum(lines.values()) for here, count in lines.items()}


def defects(package: Path) -> list[str]:
    """Return what keeps a package from being this house."""
    by_file, by_room = file_graph(package), room_graph(package)
    found = []
    for kind, graph in (("files", by_file), ("rooms", by_room)):
        if way := circle(graph):
            found.append(f"a circle of {kind}: {' -> '.join(str(each).removeprefix(str(package)) for each in way)}")
    if not circle(by_room) and floors(by_room) > FLOORS:
        found.append(f"{floors(by_room)} floors, at most {FLOORS}")
    if len(by_room) > ROOMS:
        found.append(f"{len(by_room)} rooms, at most {ROOMS}")
    if len(entries(package)) > ENTRIES:
        found.append(f"{len(entries(package))} entries at the top, at most {ENTRIES}")
    found += [f"{here} has {share:.0%} of the lines" for here, share in shares(package).items() if share > SHARE]
    return found


def test_the_house_keeps_its_budget():
    assert defects(PACKAGE) == []


@pytest.mark.parametrize("here", ARROWS)
def test_a_room_imports_exactly_what_it_may(here):
    """An arrow that nobody needs any more is taken out of the table, so that it cannot come back unseen."""
    assert room_graph(PACKAGE)[here] == ARROWS[here]


def test_every_room_is_in_the_table_and_the_ground_rooms_do_not_know_each_other():
    assert room_graph(PACKAGE).keys() == ARROWS.keys()
    assert all(ARROWS[here] <= {"core", "kinds"} for here in GROUND)


@pytest.mark.parametrize("path", files(PACKAGE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_engines_stay_in_their_rooms(path):
    for engine, rooms in ENGINES.items():
        if any(name == engine or name.startswith(f"{engine}.") for name in imports(path)):
            assert room(path, PACKAGE) in rooms, f"{engine} is imported"


def test_each_engine_is_seen():
    assert all(any(engine in imports(path) for path in files(PACKAGE)) for engine in ("ray.train", "ray", "mlflow"))


def test_the_tree_in_the_readme_has_one_line_for_each_entry():
    text = (PACKAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    tree = text.partition("src/ganops/\n")[2].partition("\ntests/")[0]
    named = [line.split()[0].rstrip("/") for line in tree.splitlines()]
    assert sorted(named) == [name for name in entries(PACKAGE) if name != "__init__.py"]


def made(folder: Path, **content: str) -> Path:
    """A package whose files are named as the keys, two underscores for a slash."""
    package = folder / "ganops"
    for name, text in content.items():
        path = package / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_a_circle_is_found_also_inside_a_function_and_inside_a_room(tmp_path):
    one = made(tmp_path / "1", a__x="def f():\n    from ganops.b import y", b__y="import ganops.a.x")
    assert any("circle of files" in each for each in defects(one))
    assert any("circle of rooms" in each for each in defects(one))
    two = made(tmp_path / "2", a__x="from ganops.a import y", a__y="from ganops.a.x import f")
    assert any("circle of files" in each for each in defects(two))
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ganops.b.y"
    three = made(tmp_path / "3", a__x=types, b__y="import ganops.a.x")
    assert not any("circle" in each for each in defects(three))


def test_too_many_entries_rooms_and_floors_and_too_large_a_room_are_found(tmp_path):
    tower = {f"r{i:02}__x": f"import ganops.r{i - 1:02}.x" if i else "" for i in range(ROOMS + 1)}
    found = defects(made(tmp_path, **tower))
    assert f"{ROOMS + 1} rooms, at most {ROOMS}" in found
    assert f"{ROOMS + 1} floors, at most {FLOORS}" in found
    assert f"{ROOMS + 1} entries at the top, at most {ENTRIES}" in found
    large = defects(made(tmp_path / "large", a__x="x = 1\n" * 13, b__x="x = 1\n" * 87))
    assert large == ["a has 13% of the lines", "b has 87% of the lines"]


def without_mirror(package: Path) -> list[str]:
    """Files of the package that have no test in the same room under their own name."""
    tests = Path(__file__).parent
    places = [path.relative_to(package) for path in files(package) if path.name != "__init__.py"]
    return [str(place) for place in places if not (tests / place.parent / f"test_{place.name}").is_file()]


def main() -> None:
    package = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE
    graph, largest = room_graph(package), max(shares(package).items(), key=lambda each: each[1])
    print(f"rooms {len(graph)}, arrows {sum(map(len, graph.values()))}, entries at the top {len(entries(package))}, "
          f"largest room {largest[0]} {largest[1]:.1%}")  # fmt: skip
    missing = without_mirror(package)
    print(f"{len(missing)} of {len(files(package))} files have no test at their own path: {', '.join(missing)}")
    print("\n".join(defects(package)) or f"floors {floors(graph)}, no circle: within the budget")


if __name__ == "__main__":
    main()
