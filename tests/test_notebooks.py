"""The example notebooks run, and show what they say."""

import base64
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "infra" / "site"))

import notebooks  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def shown(notebook, media):
    """What the cells showed of one type of content, in their order."""
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    return [each["data"][media] for each in outputs if media in each.get("data", {})]


def pictures(notebook):
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each))).convert("L"))
            for each in shown(notebook, "image/png")]  # fmt: skip


def bars(notebook):
    return re.findall(r"^train      kimg (\S+)  .* left$", "\n".join(shown(notebook, "text/plain")), re.MULTILINE)


def test_all_notebooks_are_run_here():
    assert {path.stem for path in notebooks.FOLDER.glob("*.ipynb")} == {*notebooks.SHOWN, "champion"}
    assert all(path.stat().st_size < 200_000 for path in notebooks.FOLDER.glob("*.ipynb"))


def test_arrays_are_learnt_in_a_cell_with_one_bar_and_one_picture(tmp_path):
    found = notebooks.executed("pictures", tmp_path)
    assert bars(found) == ["16/16", "20/20"], "one for each fit, at its end"
    assert len(pictures(found)) == 4, "one for each fit, the plot and the strip"
    assert all(each.std() > 40 for each in pictures(found)), "shapes, and no gray"
    assert shown(found, "text/plain")[-1] == "(20.0, True)"
    assert any("fd_pixels" in table for table in shown(found, "text/html"))


def test_a_folder_is_learnt_and_given_pictures_are_found_again(tmp_path):
    found = notebooks.executed("folder", tmp_path)
    assert bars(found) == ["12/12"], "verbose=False shows nothing"
    given, again = np.split(pictures(found)[-2].astype(float), 2)
    assert np.abs(given - again).mean() < np.abs(given - given.mean()).mean() / 2
    assert shown(found, "text/plain")[-1] == "(4, 32, 32, 3)"


def test_the_champion_is_loaded_from_the_registry(finished):
    found = notebooks.executed("champion", finished.folder, ganops_generator="tiny")
    assert "'ganops.decision': 'passed'" in shown(found, "text/plain")[-1]
    assert shown(found, "text/plain")[-2] == "True", "one seed is one picture"
    assert [each.shape for each in pictures(found)] == [(128, 512), (64, 512)]
