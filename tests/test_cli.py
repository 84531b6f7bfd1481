"""The command line, and what a stage says to its user."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ganops.cli import app
from ganops.core.errors import UserError
from ganops.core.terminal import stage
from ganops.generator import Description, Generator, generator_network


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


def test_sample_walks_and_draws_one_by_one(here):
    description = Description("dcgan", {"width": 4}, 8, 3, ("a", "b", "c"), 1, 16, 0.0, "f")
    generator = Generator(generator_network(description), description)
    generator.save(here / "artifacts/generator")

    def sample(*options):
        return CliRunner().invoke(app, ["sample", *options])

    assert sample("walk.gif", "--walk", "--count", "3", "--frames", "5", "--seed", "7", "--label", "1").exit_code == 0
    with Image.open("walk.gif") as film:
        assert film.n_frames == 15
        for stop, seed in enumerate((7, 8, 9)):
            film.seek(5 * stop)
            shown = np.asarray(film.convert("L"))[8::16, 8::16].astype(int)  # magnified sixteenfold
            assert np.abs(shown - generator.sample(np.array([seed]), np.array([1]))[0, 0]).max() <= 2
    assert sample("walk.mp4", "--walk", "--count", "2", "--frames", "3").exit_code == 0
    assert "ends in .gif or .mp4" in str(sample("walk.png", "--walk").exception)
    assert sample("--separate", "each", "--count", "2", "--seed", "4").exit_code == 0
    for seed in (4, 5):
        with Image.open(f"each/{seed}.png") as picture:
            assert np.array_equal(np.asarray(picture), generator.sample(np.array([seed]))[0, 0])
    assert sorted(path.name for path in (here / "each").iterdir()) == ["4.png", "5.png"]
    assert not (here / "samples.png").exists()


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
