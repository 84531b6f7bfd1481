"""Kills and full disks, a short seeded case of benchmarks/kills.py; whole it takes an hour."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "kills.py"
SPEC = importlib.util.spec_from_file_location("kills", SCRIPT)
kills = sys.modules["kills"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(kills)


@pytest.mark.slow
@pytest.mark.engines
def test_each_stage_killed_and_one_disk_filled_end_in_the_same_generator_and_one_version(tmp_path):
    rows = list(kills.attack(tmp_path, seed=1, kills=12, disks=1))
    assert [row.stage for row in rows[1:13]] == [stage for stage in kills.STAGES for _ in range(kills.TIMES)]
    assert len(rows) >= 14
    assert [row for row in rows if row.said] == []
