"""Other systems: what POSIX alone has is asked for when it is needed, and something stands in for it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "ganops"
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
"""Modules that Windows lacks."""
ATTRIBUTES = {
    "fork", "geteuid", "getgid", "getpgid", "getuid", "killpg", "sched_getaffinity", "setsid", "statvfs", "uname",
}  # fmt: skip
"""Of `os`, likewise; macOS lacks `sched_getaffinity`."""

WITHOUT = """
import os, sys, tempfile
import psutil, torch
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("getuid", "sched_getaffinity", "uname"):
    delattr(os, name)
import numpy as np
from ganops import GAN
from ganops.core.node_folder import node_folder
images = np.random.default_rng(0).integers(0, 256, (64, 16, 16), np.uint8)
small = {"train.batch": 8, "model.options": {"width": 4}, "model.latent": 8}
with tempfile.TemporaryDirectory() as folder:
    gan = GAN(kimg=0.1, verbose=False, params=small).fit(images)
    gan.save(folder)
    assert (GAN.load(folder).predict(3) == gan.predict(3)).all()
assert node_folder().is_dir()
print("trained, saved and loaded")
"""


def test_the_core_trains_saves_and_loads_where_there_is_no_posix(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT]
    place = {**os.environ, "TMPDIR": str(tmp_path), "USER": "somebody"}
    done = subprocess.run(command, env=place, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[0] == "trained, saved and loaded", done.stderr


IMPORTS = """
import builtins, importlib, pkgutil
get = builtins.__import__
def lacking(name, globals=None, locals=None, fromlist=(), level=0):
    if name in POSIX and str((globals or {}).get("__name__")).split(".")[0] == "ganops":
        raise ModuleNotFoundError(name)
    return get(name, globals, locals, fromlist, level)
builtins.__import__ = lacking
import ganops
names = [each.name for each in pkgutil.walk_packages(ganops.__path__, "ganops.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names), "imported")
"""


def test_every_module_is_imported_where_there_is_no_posix():
    """The engines bring what they need themselves: they are not asked to do without."""
    command = [sys.executable, "-W", "ignore", "-c", f"POSIX = {POSIX}{IMPORTS}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = len([*PACKAGE.rglob("*.py")]) - 1
    assert done.stdout.splitlines()[-1:] == [f"{found} imported"], done.stderr


def bare(tree):
    """Nodes outside of `try` and of what asks `hasattr` or `os.name` before."""
    for node in ast.iter_child_nodes(tree):
        asks = isinstance(node, ast.If | ast.IfExp | ast.Assign) and {"hasattr", "name"} & {
            part.id if isinstance(part, ast.Name) else getattr(part, "attr", "") for part in ast.walk(node)
        }
        if not isinstance(node, ast.Try) and not asks:
            yield node
            yield from bare(node)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_of_posix_is_used_without_a_substitute(path):
    found = set()
    for node in bare(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & POSIX
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} & POSIX
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os":
            found |= {node.attr} & ATTRIBUTES
    assert found == set()
