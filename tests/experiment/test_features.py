"""The stage `features` on prepared data."""

import numpy as np
import pytest
from PIL import Image

from ganops.config import parse
from ganops.core.errors import DataError
from ganops.data import decoders, prepare
from ganops.experiment import features


def test_a_test_split_of_which_no_interval_could_be_told_is_refused_before_a_training(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(60):
        Image.fromarray(np.full((16, 16), 4 * i, np.uint8)).save(tmp_path / "images" / f"{i}.png")
    experiment = parse({"data": {"source": str(tmp_path / "images"), "resolution": 16, "channels": 1}})
    out = tmp_path / "prepared"
    prepare(experiment.data.source, out, tmp_path / "preview.png", decoders.of(experiment.data), labels="none")
    with pytest.raises(DataError, match=r"params\.data\.test: the test split has \d images, and an interval needs 40"):
        features.make(out, experiment=experiment, device="cpu", out=tmp_path / "features")
    assert not (tmp_path / "features").exists()
