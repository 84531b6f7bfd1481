"""The link by which DVC watches the ganops that runs."""

import shutil
from pathlib import Path

import pytest

from ganops.core.errors import UserError
from ganops.core.project import INSTALLED, expect_link, link, linked

ROOT = Path(__file__).parents[2]
LINK = "src/ganops"


@pytest.fixture
def installed(tmp_path):
    """A project without sources of its own."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    return tmp_path


def test_the_link_leads_to_the_package_that_runs(installed):
    assert link(installed)
    assert (installed / LINK).is_symlink()
    assert (installed / LINK).resolve() == Path(__file__).parents[2] / "src" / "ganops" == INSTALLED
    expect_link(installed)
    assert not link(installed)


def test_a_link_that_leads_elsewhere_is_refused_and_made_anew(installed, tmp_path):
    (installed / "src").mkdir()
    (installed / LINK).symlink_to(tmp_path / "gone" / "ganops")
    with pytest.raises(UserError, match=r"got one to .*/gone/ganops: `ganops check` links it anew"):
        expect_link(installed)
    assert link(installed)
    expect_link(installed)


def test_sources_of_its_own_and_other_folders_stay_as_they_are(installed, tmp_path):
    (installed / LINK).mkdir(parents=True)
    assert not link(installed)
    assert not (installed / LINK).is_symlink()
    expect_link(installed)
    assert linked(installed) == []
    other = tmp_path / "other"
    other.mkdir()
    (other / "dvc.yaml").write_text("stages: {one: {cmd: 'true', deps: [src/ganopsis]}}")
    assert not link(other)
    assert not link(tmp_path / "nowhere")
    assert [path.name for path in other.iterdir()] == ["dvc.yaml"]


def test_the_files_behind_the_link_are_named_as_a_checkout_has_them(installed):
    link(installed)
    names = linked(installed)
    assert {f"{LINK}/config.py", f"{LINK}/losses/penalties.py", f"{LINK}/reports/templates/page.html.j2"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    assert all((installed / name).is_file() for name in names)
