"""Engines are used by their public doors: what a package hides may change with its next patch."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
FILES = sorted((SRC / "ganops").rglob("*.py"))
EXCEPTIONS: dict[str, str] = {}
"""File and private name, as "training/ema.py: torch._foreach_lerp_" -> why nothing public serves; at most `MOST`."""
MOST = 5


def hidden(name: str) -> bool:
    """A part of a dotted name is private, or it is the library that replaces what a package does not offer."""
    return any((part[:1] == "_" and part[:2] != "__") or part == "mock" for part in name.split("."))


def foreign(module: str) -> bool:
    """It is another package's, or `unittest.mock`, which is only for tests."""
    top = module.split(".")[0]
    return top != "ganops" and (top not in sys.stdlib_module_names or top == "unittest")


def dotted(node: ast.expr) -> list[str]:
    """`a.b.c` as its names; empty: something else."""
    if isinstance(node, ast.Name):
        return [node.id]
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else []
    return [*inner, node.attr] if inner else []


def private(source: str) -> Iterator[str]:
    """The private names of other packages that a module imports, at its top or in functions, or reaches by a dot."""
    tree, bound = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                bound[alias.asname or first] = alias.name if alias.asname else first
                yield from [alias.name] if foreign(alias.name) and hidden(alias.name) else []
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                bound[alias.asname or alias.name] = name
                yield from [name] if foreign(name) and hidden(name) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (names := dotted(node)) and foreign(bound.get(names[0], "ganops")):
            name = ".".join([bound[names[0]], *names[1:]])
            yield from [name] if hidden(names[-1]) else []


def found() -> dict[str, str]:
    """All of them: "file: name" -> file."""
    each = ((path.relative_to(SRC / "ganops").as_posix(), path.read_text(encoding="utf-8")) for path in FILES)
    return {f"{name}: {what}": name for name, source in each for what in private(source)}


def test_nothing_private_of_another_package_is_used_but_what_is_listed():
    assert len(FILES) > 100
    assert found().keys() == EXCEPTIONS.keys(), "left: unlisted, or listed and gone"


def test_the_list_is_short_and_says_why():
    assert len(EXCEPTIONS) <= MOST
    assert all(len(reason.split()) > 5 for reason in EXCEPTIONS.values())


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from ray._private.node import Node", ["ray._private.node.Node"]),
        ("from ray.train.v2._internal.exceptions import X", ["ray.train.v2._internal.exceptions.X"]),
        ("def f():\n    import mlflow.utils._spark", ["mlflow.utils._spark"]),
        ("from unittest import mock", ["unittest.mock"]),
        ("import unittest.mock as m", ["unittest.mock"]),
        ("import ray\nray._private.worker", ["ray._private"]),
        ("import torch.distributed as dist\ndist._all_gather_base(x)", ["torch.distributed._all_gather_base"]),
        ("from torch.nn.parallel import D\nD._inside_ddp_forward", ["torch.nn.parallel.D._inside_ddp_forward"]),
        ("from ganops.core import files\nfiles._x\nimport os\nos._exit(1)\nself._x\nimport ray\nray.__version__", []),
    ],
)
def test_a_private_door_would_be_noticed(source, names):
    assert list(private(source)) == names
