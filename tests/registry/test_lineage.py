"""Where a version comes from, as the registry tells it."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from packages import package
from registering import NAME, without_packing
from rich.console import Console

from ganops import config
from ganops.core import layout
from ganops.core.errors import LineageError
from ganops.core.git import Revision
from ganops.evaluation import verdict
from ganops.evaluation.gate import decide
from ganops.experiment import identity
from ganops.generator import Description
from ganops.registry import lineage as provenance
from ganops.registry import pages, registration, searches, tracking
from ganops.registry.card import model_card
from ganops.registry.model import Model
from ganops.reports.search_page import publish
from ganops.search.trials import Search, Trial

SEARCH = Search(
    "0123", "fd_validation", {}, {"trials": 1}, 1, (Trial(1, {"loss.r1": 0.086}, "finished", "", 1, 2.0, 1),)
)
ORIGIN = {"search": "0123", "trial": 1, "parameters": {"loss.r1": 0.086}, "reason": "smallest of 1 trials"}
REFUSED = {"fd_domain": {"at_most": 1}}
"""By this gate nothing becomes the champion: where versions come from does not depend on it."""


@pytest.fixture
def put(root, tmp_path, monkeypatch):
    """Registers a generator with changes, and tells what is known of the version."""
    build, prove = registration.build, registration.prove
    without_packing()

    def put(seed=0, fd=9.0, lock=None, **changes):
        made = replace(package(tmp_path / str(seed), fd, seed), **changes)
        if lock:
            made.lock.write_text(yaml.safe_dump({"stages": lock}))
        done = registration.register(made, name=NAME, decision=decide(REFUSED, made.metrics), root=root)
        return done["version"]

    yield put
    registration.build, registration.prove = build, prove


def lineage(root, which):
    return provenance.lineage(Model(tracking.connect(root), NAME), str(which))


def test_each_version_has_its_own_hashes_though_they_share_a_run(put, root):
    """Another evaluation of the same training is another version of the same run."""
    a = put(fd=9.0, hashes={"metrics/evaluation.json": "11"}, params={"seed": 0, "evaluate": {"samples": 300}})
    b = put(fd=8.0, hashes={"metrics/evaluation.json": "22"}, params={"seed": 0, "evaluate": {"samples": 400}})
    one, two = lineage(root, a), lineage(root, b)
    assert one["run"] == two["run"]
    assert (one["hashes"]["metrics/evaluation.json"], two["hashes"]["metrics/evaluation.json"]) == ("11", "22")
    assert (one["params"]["evaluate.samples"], two["params"]["evaluate.samples"]) == ("300", "400")
    assert tracking.connect(root).get_run(one["run"]).data.params == {"seed": "0"}


def test_a_version_is_found_by_the_hash_of_its_own_generator(put, root, tmp_path):
    """While `register` runs, `dvc.lock` still holds its entry of the run before, whose hash may be the larger."""
    old, new = "ff.dir", "11.dir"
    a = put(lock={"train": {"outs": [{"path": "artifacts/generator", "md5": old}]}}, params={"seed": 0})
    stale = {
        "train": {"outs": [{"path": "artifacts/generator", "md5": new}]},
        "register": {"deps": [{"path": "artifacts/generator", "md5": old}]},
    }
    b = put(seed=1, lock=stale, params={"seed": 1})
    assert lineage(root, b)["hashes"] == {"artifacts/generator": new}
    client = tracking.connect(root)
    assert provenance.of_lock(Model(client, NAME), tmp_path / "0" / "dvc.lock") == [a]
    assert provenance.of_lock(Model(client, NAME), tmp_path / "1" / "dvc.lock") == [b]


def test_registering_again_tells_what_the_latest_run_knows(put, root):
    first = put(hashes={"artifacts/generator": "aa", "src/old.py": "11"})
    assert put(hashes={"artifacts/generator": "bb"}) == first
    assert lineage(root, first)["hashes"] == {"artifacts/generator": "bb"}


def test_the_search_that_found_the_parameters_is_named_and_linked(put, root, tmp_path):
    searches.record(SEARCH, root, name=NAME)
    version = put(origin=ORIGIN, params={"loss": {"r1": 0.086}})
    found, client = lineage(root, version), tracking.connect(root)
    assert found["params"]["loss.r1"] == "0.086"
    assert {key: found["search"][key] for key in ("search", "trial")} == {"search": "0123", "trial": "1"}
    trial = client.get_run(found["search"]["run"])
    assert trial.data.params == {"loss.r1": "0.086"}
    page, parent = f"#/experiments/{trial.info.experiment_id}/runs", trial.data.tags["mlflow.parentRunId"]
    view = "?workflowType=machine_learning"
    link = f"[trial 1]({page}/{trial.info.run_id}{view}) of the [search 0123]({page}/{parent}{view})"
    assert link in client.get_model_version(NAME, str(version)).description
    assert link in client.get_run(found["run"]).data.tags["mlflow.note.content"]
    name = client.get_run(found["run"]).info.run_name
    back = f"* **Trained with its parameters**: [{name}]({page}/{found['run']}{view})"
    assert client.get_run(parent).data.tags["mlflow.note.content"] == back
    card = model_card(NAME, replace(package(tmp_path), origin=ORIGIN))
    assert "Trial 1 of the search `0123` found `loss.r1` 0.086: smallest of 1 trials." in card
    assert lineage(root, put(seed=1))["search"] == {}


def test_a_server_is_part_of_the_link(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example/base/")
    assert (
        pages.run(root, "1", "ab12")
        == "https://mlflow.example/base/#/experiments/1/runs/ab12?workflowType=machine_learning"
    )


def test_the_patch_is_kept_beside_the_report(put, root, tmp_path):
    patch = Revision("abc", changed=True, patch=b"a patch").save(tmp_path)
    found = lineage(root, put(changes=patch))
    assert found["patch"] == f"report/{patch.name}"
    kept = tracking.connect(root).download_artifacts(found["run"], found["patch"])
    assert Path(kept).read_bytes() == b"a patch"
    assert lineage(root, put(seed=1))["patch"] is None


def test_a_screen_tells_what_was_chosen_and_all_of_it_when_asked(put, root):
    hashes = {"data/prepared": "aa.dir", "artifacts/generator": "bb.dir", "src/ganops/config.py": "0123abcd"}
    params = {"seed": 3, "loss": {"name": "hinge", "interval": 4}}
    found = lineage(root, put(hashes=hashes, params=params))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(provenance.show(found))
    short = console.export_text()
    assert len(short.splitlines()) <= 20
    for told in ("aa.dir", "bb.dir", "loss.name hinge, seed 3"):
        assert told in short
    for usual in ("0123abcd", "loss.interval"):
        assert usual not in short
    console.print(provenance.show(found, every=True))
    assert {"src/ganops/config.py", "loss.interval", "loss.name"} <= set(console.export_text().split())


def description(params):
    return Description("dcgan", {}, 8, 0, (), (1, 16, 16), 1.0, "f", params)


def test_what_is_shown_is_what_the_generator_was_trained_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    publish(SEARCH, best_params=layout.BEST_PARAMS, report=layout.TUNE_REPORT)
    experiment = config.parse({"loss": {"r1": 0.2}})
    params = identity.decisive(experiment.override({"loss.r1": 0.086}))
    assert verdict.trained(experiment, description(params), layout.BEST_PARAMS).loss.r1 == 0.086
    with pytest.raises(
        LineageError, match=r"other parameters than .*: loss\.r1 differ \(loss\.r1: it has 0\.2, now 0\.086"
    ):
        verdict.trained(experiment, description(identity.decisive(experiment)), layout.BEST_PARAMS)
    with pytest.raises(LineageError, match="it has None"):
        verdict.trained(experiment, description({}), layout.BEST_PARAMS)
    publish(None, best_params=layout.BEST_PARAMS, report=layout.TUNE_REPORT)
    with pytest.raises(LineageError, match=r"it has 0\.086, now 0\.2"):
        verdict.trained(experiment, description(params), layout.BEST_PARAMS)
