"""The golden values: a change of the code changes no bit, unless its commit says why."""

import copy

import games
import golden
import pytest
import torch

from ganops.data.augment import PRESETS
from ganops.experiment import identity
from ganops.losses import OBJECTIVES, PENALTIES
from ganops.models import ARCHITECTURES

HELD = golden.held()
USED = (
    lambda game: game.loss.r1,
    lambda game: game.loss.r2,
    lambda game: game.loss.clip,
    lambda game: game.train.d_steps > 1,
    lambda game: game.train.augment.consistency,
    lambda game: game.train.augment.transforms != "none" and game.train.augment.strength == "adaptive",
    lambda game: game.train.augment.transforms != "none" and game.train.augment.strength != "adaptive",
)


@pytest.fixture(scope="module")
def now():
    return golden.measured()


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_everything_that_can_be_played_is_played():
    played = [games.experiment(name) for name in games.GAMES]
    assert {game.model.architecture for game in played} == ARCHITECTURES.keys()
    assert {games.experiment(name).model.architecture for name in games.SHARED} == ARCHITECTURES.keys()
    assert {game.loss.name for game in played} == OBJECTIVES.keys()
    assert {game.loss.penalty for game in played} == {"none", *PENALTIES}
    named = {game.train.augment.transforms for game in played if isinstance(game.train.augment.transforms, str)}
    assert named == PRESETS.keys()
    assert {game.train.precision for game in played} == {"fp32", "bf16", "fp64"}
    assert {game.model.conditional for game in played} == {True, False}
    assert all(any(used(game) for game in played) for used in USED)


@pytest.mark.parametrize(
    ("file", "game", "workers"),
    [(file, game, workers) for file, values in HELD.items() for game, by in values.items() for workers in by],
)
def test_the_values_are_those_that_are_held(file, game, workers, now):
    lines = golden.moved(game, HELD[file][game][workers], now[file][game][workers])
    assert not lines, "\n".join([f"{game}, {workers}: see CONTRIBUTING.md, `make golden`", *lines])


def test_the_version_of_the_mathematics_is_that_of_the_values():
    assert golden.version() == identity.MATHEMATICS


@pytest.fixture
def bench(now, tmp_path, monkeypatch):
    """Files to write anew, with one value that has moved; what `main` says of them."""
    monkeypatch.setattr(golden, "FILES", {name: tmp_path / path.name for name, path in golden.FILES.items()})
    for name, values in now.items():
        golden.write(name, {}, values, golden.compare({}, values))
    moved = copy.deepcopy(now)
    moved["trainings"]["mlp"]["1 worker"]["sha256"]["D"] = "other bits"
    monkeypatch.setattr(golden, "measured", lambda: moved)
    checkpoints = []
    monkeypatch.setattr(golden, "_play", lambda workers: checkpoints.append(identity.MATHEMATICS))
    return checkpoints


def test_a_value_moves_with_the_version_alone(bench, monkeypatch, capsys):
    before = golden.FILES["trainings"].read_bytes()
    assert golden.main() == 1
    said = capsys.readouterr().out
    assert "mlp, 1 worker:\n    not the same bits: D" in said
    assert f"Raise MATHEMATICS in src/ganops/experiment/identity.py to {identity.MATHEMATICS + 1}" in said
    assert golden.FILES["trainings"].read_bytes() == before
    assert not bench
    monkeypatch.setattr(identity, "MATHEMATICS", identity.MATHEMATICS + 1)
    assert golden.main() == 0
    assert bench == [identity.MATHEMATICS], "the checkpoint of the former version is continued by no one"
    assert golden.version() == identity.MATHEMATICS
    assert golden.held()["trainings"]["mlp"]["1 worker"]["sha256"][golden.processor()]["D"] == "other bits"
    monkeypatch.setattr(identity, "MATHEMATICS", identity.MATHEMATICS - 1)
    assert golden.main() == 1


def test_another_class_of_processors_is_added(bench, now, monkeypatch):
    monkeypatch.setattr(golden, "processor", lambda: "another one")
    assert golden.main() == 0
    assert len(golden.held()["trainings"]["mlp"]["1 worker"]["sha256"]) == 2
    assert golden.compare(golden.held()["trainings"], golden.measured()["trainings"]) == {}


@pytest.mark.usefixtures("bench")
def test_a_new_version_is_held_for_the_class_that_measured_it_alone(monkeypatch):
    monkeypatch.setattr(golden, "processor", lambda: "another one")
    monkeypatch.setattr(identity, "MATHEMATICS", identity.MATHEMATICS + 1)
    assert golden.main() == 0
    assert all(
        set(outcome["sha256"]) == {"another one"}
        for by in golden.held()["trainings"].values()
        for outcome in by.values()
    ), "figures that agree within the tolerance say nothing of the others' bits"


def test_all_that_is_measured_is_held(now):
    for file, values in now.items():
        assert {game: by.keys() for game, by in values.items()} == {game: by.keys() for game, by in HELD[file].items()}


@pytest.mark.usefixtures("one_thread")
def test_a_changed_training_is_noticed(now):
    old = {**now["trainings"]["mlp"]["1 worker"]}
    old["sha256"] = {golden.processor(): old["sha256"]}
    assert golden.moved("mlp", old, games.play("mlp")) == []
    lines = golden.moved("mlp", old, games.play("mlp", **{"train.beta2": 0.990001}))
    assert lines[0] == "not the same bits: D, EMA, G, best, terms"


def test_another_class_of_processors_is_held_to_the_figures(now, monkeypatch):
    monkeypatch.setattr(golden, "processor", lambda: "another one")
    old = HELD["trainings"]["dcgan"]["1 worker"]
    new = copy.deepcopy(now["trainings"]["dcgan"]["1 worker"])
    assert golden.moved("dcgan", old, new) == []
    new["terms"]["loss_d"][2] *= 1 + 2 * golden.TOLERANCE
    new["moved"]["G"] *= 1 - 2 * golden.TOLERANCE
    del new["terms"]["r1"]
    assert [line.partition(":")[0] for line in golden.moved("dcgan", old, new)] == [
        "moved G",
        "terms loss_d",
        "terms r1",
    ]


def test_a_figure_of_an_evaluation_that_moves_is_noticed(now, monkeypatch):
    new = copy.deepcopy(now["evaluation"]["evaluation"]["1 worker"])
    monkeypatch.setattr(golden, "processor", lambda: "another one")
    new["intervals"]["coverage"][0] += 0.05
    new["protocol"]["repetitions"] += 1
    lines = golden.moved("evaluation", HELD["evaluation"]["evaluation"]["1 worker"], new)
    assert [line.partition(":")[0] for line in lines] == ["intervals coverage", "protocol repetitions"]


def test_new_and_lost_games_are_told():
    game = {"1 worker": {}, "2 workers": {}}
    assert golden.compare({"mlp": game}, {}) == {("mlp", "1 worker"): ["gone"], ("mlp", "2 workers"): ["gone"]}
    assert golden.compare({}, {"mlp": {"1 worker": {}}}) == {("mlp", "1 worker"): ["new"]}


@pytest.mark.usefixtures("one_thread")
def test_the_checkpoint_ends_where_its_training_ends_uninterrupted():
    run = games.kept()
    began = games.flat(run)
    list(run.play())
    whole, continued = games.outcome(run, began), games.carry_on()
    # the first half was computed by the class of processors that wrote the checkpoint, which is held first: there every
    # bit is the same, but of distances, which are NumPy's products; on another the halves are rounded by two classes
    held = ("norm", "terms")
    before, after = ({**{part: each[part] for part in held}, "sha256": {}} for each in (whole, continued))
    assert golden.moved("checkpoint, continued", before, after) == []
    if golden.processor() == next(iter(HELD["trainings"]["checkpoint, continued"]["1 worker"]["sha256"])):
        for name, figures in whole["terms"].items():
            assert continued["terms"][name] == pytest.approx(figures, rel=1e-9), name
        assert {**continued["sha256"], "terms": ""} == {**whole["sha256"], "terms": ""}


def test_they_stay_small():
    assert sum(path.stat().st_size for path in golden.HERE.rglob("*") if "__pycache__" not in path.parts) < 300_000
