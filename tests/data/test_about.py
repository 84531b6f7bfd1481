"""The name and the licence of a source are its own, or a person's: never those of another one."""

import json
import shutil
from pathlib import Path

import pytest

from ganops.core.errors import DataError
from ganops.data.about import About
from ganops.data.sources import SOURCES

DATA = Path(__file__).parents[2] / "data"


def test_the_embedded_set_and_the_download_know_their_own():
    embedded = About.of_source(DATA / "fashion-mnist-10k")
    assert embedded == About("Fashion-MNIST (10,000 test images)", "MIT (Zalando SE)")
    assert About.of_source(DATA / "fashion-mnist") == About("Fashion-MNIST (70,000 images)", "MIT (Zalando SE)")
    assert "MIT License" in (DATA / "fashion-mnist-10k" / "LICENSE").read_text()
    assert "Zalando SE" in (DATA / "fashion-mnist-10k" / "LICENSE").read_text()


def test_any_other_source_has_its_path_for_a_name_and_no_licence(tmp_path):
    (tmp_path / "emoji").mkdir()
    (tmp_path / "faces.zip").touch()
    shutil.copy(DATA / "fashion-mnist-10k" / "t10k-images-idx3-ubyte.gz", tmp_path)
    for name in ("emoji", "faces.zip", "t10k-images-idx3-ubyte.gz"):
        assert About.of_source(tmp_path / name) == About(name, None)
    assert About.of_source("s3://bucket/photos") == About("photos", None)


def test_what_a_person_states_goes_before(tmp_path):
    (tmp_path / "emoji").mkdir()
    assert About.of_source(tmp_path / "emoji", licence="CC BY 4.0") == About("emoji", "CC BY 4.0")
    assert About.of_source(tmp_path / "emoji", name="Noto emoji") == About("Noto emoji", None)
    stated = About.of_source(DATA / "fashion-mnist-10k", name="clothes")
    assert stated == About("clothes", "MIT (Zalando SE)")


def test_a_file_about_something_else_states_nothing(tmp_path):
    (tmp_path / "about.json").write_text(json.dumps({"name": 3, "licence": ["MIT"], "version": 2}))
    assert About.of_source(tmp_path) == About(tmp_path.name, None)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / "about.json").write_text(content)
    with pytest.raises(DataError, match=r"about\.json cannot be read.*expected JSON with name and licence"):
        About.of_source(tmp_path)


def test_it_is_written_and_read(tmp_path):
    for about in (About("emoji", None), About("Fashion-MNIST", "MIT")):
        about.write(tmp_path / "reports" / "about.json")
        assert About.read(tmp_path / "reports" / "about.json") == about
    with pytest.raises(DataError, match="run the stage prepare"):
        About.read(tmp_path / "nowhere.json")


def test_the_file_is_no_image_of_the_embedded_set():
    source = SOURCES["idx"].read(DATA / "fashion-mnist-10k")
    assert (source.count, source.ignored) == (10_000, ())
