"""Tests that share what runs share a process, so that it is made once."""

import os
import subprocess
import sys
from pathlib import Path

from groups import LONGEST, TOGETHER

TESTS = Path(__file__).parent
NOTE = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range(6))
def test_it(number):
    with open("played", "a") as file:
        file.write(f"{pathlib.Path(__file__).parent.name} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


def test_a_process_plays_all_of_a_group(tmp_path):
    (tmp_path / "tests/conftest.py").parent.mkdir()
    (tmp_path / "tests/conftest.py").write_text("from groups import pytest_xdist_make_scheduler\n")
    for file in ("cluster/test_a.py", "cluster/test_b.py", "other/test_c.py"):
        (tmp_path / "tests" / file).parent.mkdir(exist_ok=True)
        (tmp_path / "tests" / file).write_text(NOTE)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "tests"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    played = (tmp_path / "played").read_text().splitlines()
    assert len(played) == 18
    assert len(set(played)) == 2, "each group in a process of its own, whatever the other does"


def test_the_names_are_of_files_that_are_there():
    assert all((TESTS / file).is_file() for file in TOGETHER)
    files = {path.name for path in TESTS.rglob("test_*.py")}
    assert {name for name in LONGEST if name.endswith(".py")} <= files
    assert {name for name in LONGEST if not name.endswith(".py")} == {"cluster", *TOGETHER.values()}
