"""The plots of `dvc.yaml` for each kind of objective, as `dvc plots show` finds them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("losses", [("loss_d", "loss_g"), ("loss",), ("nll",)])
def test_the_losses_of_a_game_and_of_an_autoencoder_are_drawn(tmp_path, losses):
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    (chosen,) = [plot for plot in plots if isinstance(plot, dict) and "losses" in plot]
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    shutil.copytree(ROOT / ".dvc" / "plots", tmp_path / ".dvc" / "plots", dirs_exist_ok=True)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": [chosen]}))
    history = tmp_path / "reports" / "train" / "history.csv"
    history.parent.mkdir(parents=True)
    history.write_text("\n".join([",".join(["kimg", *losses]), ",".join(["4.0", *["0.5"] * len(losses)])]))
    command = [sys.executable, "-m", "dvc", "plots", "show", "losses", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    shown = json.loads(done.stdout[done.stdout.index("{") :])
    assert not shown.get("errors"), shown["errors"]
    (plot,) = shown["data"]["losses"]
    folded = next(step["fold"] for step in plot["content"]["transform"] if "fold" in step)
    (row,) = plot["content"]["data"]["values"]
    assert [name for name in folded if name in row] == sorted(losses, reverse=True)
    assert plot["content"]["encoding"]["x"]["field"] == "kimg"
