"""The command line, and what a stage says to its user."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ganops.cli import app
from ganops.errors import UserError
from ganops.generator import Description, Generator, generator_network
from ganops.terminal import stage


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_names_a_source_that_is_not_there(here):
    (here / "params.yaml").write_text("data: {source: nowhere}")
    result = CliRunner().invoke(app, ["check"])
    assert isinstance(result.exception, UserError)
    assert "data/nowhere does not exist" in str(result.exception)


def test_quick_check_reads_keys_and_the_full_one_looks_names_up(here):
    (here / "data" / "some").mkdir(parents=True)
    (here / "params.yaml").write_text("{data: {source: some}, loss: {name: hinged}}")
    assert CliRunner().invoke(app, ["check", "--quick"]).exit_code == 0
    assert "unknown 'hinged'" in str(CliRunner().invoke(app, ["check"]).exception)


def test_sample_draws_a_grid(here):
    description = Description("dcgan", {"width": 4}, 8, 3, ("a", "b", "c"), 1, 16, 0.0, "f")
    Generator(generator_network(description), description).save(here / "artifacts/generator")
    assert CliRunner().invoke(app, ["sample", "out.png", "--count", "6"]).exit_code == 0
    with Image.open("out.png") as picture:
        assert picture.size == ((3 * 17 - 1) * 4, (2 * 17 - 1) * 4)
    assert "expected 0 to 2, got 7" in str(CliRunner().invoke(app, ["sample", "--label", "7"]).exception)


def test_sample_without_a_generator_says_what_is_missing(here):
    assert "holds no generator" in str(CliRunner().invoke(app, ["sample"]).exception)


def test_a_stage_tells_what_can_be_mended_without_a_traceback(here, capsys):
    with pytest.raises(SystemExit) as exit_, stage(str(here / "pipeline" / "train.py")):
        raise UserError("expected this, got that")
    assert exit_.value.code == 1
    out = capsys.readouterr().out
    assert "train" in out
    assert "expected this, got that" in out
    assert "Traceback" not in out


def test_one_picture_for_one_seed_in_any_batch():
    description = Description("r3gan", {"widths": 8, "groups": 2}, 8, 3, ("a", "b", "c"), 3, 16, 0.0, "f")
    generator = Generator(generator_network(description), description)
    seeds = np.array([5, 0, 17, 2**40])
    together = generator.sample(seeds)
    alone = np.concatenate([generator.sample(seeds[i : i + 1]) for i in range(4)])
    assert np.abs(together.astype(int) - alone).max() <= 1
    assert generator.sample(np.array([], np.int64)).shape == (0, 3, 16, 16)
