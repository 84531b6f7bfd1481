"""Docstrings begin with a subject or an imperative, and those of public functions name the errors that they raise."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganops.core import errors

ROOT = Path(__file__).parents[1]
HELP = "cli"
"""The room whose docstrings are the help of commands, which says what a person has to know of errors."""
ROOMS = [
    *(path for path in sorted((ROOT / "src" / "ganops").iterdir()) if path.name[0] != "_"),
    ROOT / "pipeline",
]
NOT_FIRST = """
Of As That Whether Those What How Where Who Which Whose It They Its Their These From In At On By With Without Beside
Along For To Over Under Below Above Behind Between Through Until Since When Why Here There So Again Once Only Not
Nothing Also Perhaps After Before Is Hears None
"""
"""Prepositions, relatives, pronouns and adverbs: a sentence that begins with one keeps its noun from the reader."""
DESCRIBED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign)
"""Nodes that a string describes: the first statement of their body, or the next one after an assignment."""
ERRORS = {name for name, each in vars(errors).items() if isinstance(each, type)}


def faults(source: str) -> Iterator[str]:
    """Line and first words of each docstring of a module that begins with one of `NOT_FIRST`."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for before, each in zip([node, *body], body, strict=False) if isinstance(body, list) else ():
            text = each.value.value if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) else None
            if isinstance(before, DESCRIBED) and isinstance(text, str):
                first, *others = text.split()
                if first.strip(",:;.") in NOT_FIRST.split():
                    yield f"{each.lineno}: {' '.join([first, *others[:5]])}"


def silent(source: str) -> Iterator[str]:
    """Public functions of a module that raise an error of the project which no section `Raises` of theirs names."""
    for node in ast.walk(ast.parse(source)):
        text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) and node.name[0] != "_" else None
        if text:
            raised = {ast.unparse(each.exc.func) for each in ast.walk(node)
                      if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call)}  # fmt: skip
            named = text.partition("Raises:")[2]
            yield from (f"{node.lineno} {node.name}: {each}" for each in sorted(raised & ERRORS) if each not in named)


def _files(room: Path) -> list[Path]:
    return sorted(room.rglob("*.py")) if room.is_dir() else [room]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_docstrings_begin_with_their_noun(room: Path):
    assert [f"{path.relative_to(ROOT)}:{fault}" for path in _files(room) for fault in faults(path.read_text())] == []


@pytest.mark.parametrize("room", [room for room in ROOMS if room.name != HELP], ids=lambda room: room.name)
def test_public_functions_name_their_errors(room: Path):
    assert [f"{path.relative_to(ROOT)}:{each}" for path in _files(room) for each in silent(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What it does."""',
        'SIZE = 3\n"""Of a patch."""',
        'class A:\n    size: int = 3\n    """Of a patch."""',
        'class A:\n    """How it is."""',
        'def f():\n    """As g."""',
        'class A:\n    async def f(self):\n        """Whether it is."""',
    ],
)
def test_a_docstring_without_its_noun_is_noticed(source: str):
    assert len(list(faults(source))) == 1
    assert not list(faults(source.replace('"""', '"""The noun. ', 1)))


def test_an_error_that_no_docstring_names_is_noticed():
    source = 'def f():\n    """Return 1.{}"""\n    raise DataError("no")'
    assert list(silent(source.format(""))) == ["1 f: DataError"]
    assert not list(silent(source.format("\n\n    Raises:\n        DataError: Always.\n    ")))
