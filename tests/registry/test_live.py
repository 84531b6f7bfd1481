"""The run of a training in MLflow while it trains: it is there at once, is doubled by nothing, is in nobody's way."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ganops import config
from ganops.core import layout
from ganops.core.git import JOB
from ganops.core.pictures import to_bytes
from ganops.kinds import Spec
from ganops.registry import live as room
from ganops.registry import notes, pages, tracking
from ganops.registry.live import live
from ganops.registry.searches import record
from ganops.search.trials import Search, Trial

EXPERIMENT = config.parse({"register": {"name": "faces"}, "data": {"source": "photos"}, "loss": {"r1": 0.3}})
RUN = SimpleNamespace(
    fingerprint="0123456789abcdef", meaning={"data": "ab" * 32}, spec=Spec(kind="image", shape=(1, 8, 8), classes=3)
)
PICTURE = to_bytes(Image.new("L", (8, 8)))


def tick(kimg, judged=(), picture=None, checkpoint=True, **terms):
    row = {"kimg": kimg, "loss_g": 0.5, "images_per_second": 1000.0, **terms}
    return SimpleNamespace(row=row, judged=judged, picture=picture, checkpoint=checkpoint)


def trained(root, ticks, error=None):
    with live(EXPERIMENT, root) as run:
        run.begin(RUN)
        for each in ticks:
            run.tick(each)
        if error:
            raise error


def the_run(root):
    client = tracking.connect(root)
    (found,) = client.search_runs([client.get_experiment_by_name("faces").experiment_id])
    return client, found


def curve(root, name):
    client, run = the_run(root)
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def shown(root):
    """Steps of the pictures that the run's page shows, and of their previews."""
    client, run = the_run(root)
    files = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
    newest = [file for file in files if file.startswith("images/newest+step+0+")]
    files = [file for file in files if file not in newest]
    assert bool(newest) == bool(files)
    assert all(file.startswith("images/samples+step+") for file in files)
    steps = sorted((file.endswith(".png"), int(file.split("+")[2])) for file in files)
    return [[step for whole, step in steps if whole], [step for whole, step in steps if not whole]]


def newest(root):
    """The picture that the run's page shows as the newest: the last one listed of its one step."""
    client, run = the_run(root)
    files = [file.path for file in client.list_artifacts(run.info.run_id, "images") if "/newest+step+0+" in file.path]
    whole = [file for file in files if file.endswith(".png")]
    return np.asarray(Image.open(client.download_artifacts(run.info.run_id, whole[-1]))) if whole else None


def completed(root, history, metrics, pictures=None):
    """What `register` does with the run of a training."""
    client = tracking.connect(root)
    experiment = tracking.ensure_experiment(client, "faces", root)
    return tracking.ensure_run(
        client, experiment, RUN.fingerprint, name="x", tags={}, params={"loss": {"r1": 0.3}}, history=history,
        metrics=metrics, artifacts={}, pictures=pictures,
    )  # fmt: skip


HISTORY = [{"step": 1000 * i, "kimg": float(i), "loss_g": 0.5, "images_per_second": 1000.0} for i in (1, 2, 3)]


def test_a_training_is_there_while_it_goes_on(root):
    with live(EXPERIMENT, root) as run:
        run.begin(RUN)
        run.tick(tick(1.0))
        run.tick(tick(2.0, judged=({"kimg": 1.0, "fd_domain_validation": 7.5},), fd_domain_validation=3.0))
        for _ in range(200):  # its thread imports mlflow and makes the store
            if run._id and len(curve(root, "train/loss_g")) == 2:
                break
            time.sleep(0.1)
        client, found = the_run(root)
        assert found.info.status == "RUNNING"
        assert found.data.params["loss.r1"] == "0.3"
        first = client.get_metric_history(found.info.run_id, "train/loss_g")[0]
        assert found.info.start_time <= first.timestamp, "it began before its first tick"
        assert not [key for key in found.data.params if key.startswith(("tune.", "evaluate."))]
        assert found.data.tags["mlflow.source.name"] == "dvc repro"
        assert curve(root, "validation/fd") == [(1000, 7.5)], "of a line that is judged, at its own step"
        (data,) = found.inputs.dataset_inputs
        assert (data.dataset.name, data.dataset.digest) == ("photos", "ab" * 18)
        note = found.data.tags["mlflow.note.content"]
        assert note.startswith("* **Decision**: none yet")
        assert "* **Data**: `photos`, 8x8 grey images, 3 classes (SHA-256 `abababab`)\n" in note
        assert note.endswith("\ndvc repro\n```"), "the command that makes it again"
        assert "system/cpu_utilization_percentage" in found.data.metrics
        assert client.get_experiment(found.info.experiment_id).tags.items() >= tracking.KIND.items()
    assert the_run(root)[1].info.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "KILLED"), (RuntimeError("it diverged"), "FAILED")]
)
def test_it_says_how_the_training_ended_and_goes_on(root, error, status):
    with pytest.raises(type(error)):
        trained(root, [tick(1.0)], error)
    assert the_run(root)[1].info.status == status
    trained(root, [tick(2.0)])
    assert the_run(root)[1].info.status == "FINISHED"
    assert curve(root, "train/loss_g") == [(1000, 0.5), (2000, 0.5)], "in one run"


def test_register_adds_what_is_missing_and_doubles_nothing(root):
    with pytest.raises(KeyboardInterrupt):
        trained(root, [tick(1.0), tick(2.0)], KeyboardInterrupt())
    assert completed(root, HISTORY, {"fd_domain": 7.0}) == the_run(root)[1].info.run_id
    assert [step for step, _ in curve(root, "train/loss_g")] == [1000, 2000, 3000]
    assert curve(root, "test/fd_domain") == [(0, 7.0)]
    completed(root, HISTORY, {"fd_domain": 7.0})
    assert [step for step, _ in curve(root, "train/loss_g")] == [1000, 2000, 3000]


def test_a_line_that_a_kill_took_is_added_to_a_finished_run_as_well(root):
    with pytest.raises(KeyboardInterrupt):
        trained(root, [tick(1.0)], KeyboardInterrupt())
    trained(root, [tick(3.0)])  # of the second the thread had not heard, and the checkpoint had it
    assert the_run(root)[1].info.status == "FINISHED"
    completed(root, HISTORY, {"fd_domain": 7.0})
    assert sorted(step for step, _ in curve(root, "train/loss_g")) == [1000, 2000, 3000]


def test_where_it_is_stopped_between_two_ticks_there_is_no_line(root):
    trained(root, [tick(1.0), SimpleNamespace(row={"kimg": 1.5})])
    assert [step for step, _ in curve(root, "train/kimg")] == [1000]


def test_what_a_killed_training_comes_to_again_is_doubled_nowhere(root):
    with pytest.raises(KeyboardInterrupt):
        trained(root, [tick(1.0, picture=PICTURE), tick(2.0, judged=[{"kimg": 1.0, "fd_validation": 7.5}])],
                KeyboardInterrupt())  # fmt: skip
    again = tick(2.0, judged=[{"kimg": 1.0, "fd_validation": 7.5}], picture=PICTURE)
    # a note tells the last tick once more; what was not validated is of the film strip alone
    trained(root, [tick(1.0, picture=PICTURE), again, again, tick(3.0, picture=PICTURE, checkpoint=False)])
    assert [step for step, _ in curve(root, "train/loss_g")] == [1000, 2000, 3000]
    assert curve(root, "validation/fd") == [(1000, 7.5)]
    assert shown(root) == [[1000, 2000]] * 2


def test_the_newest_picture_is_shown_whatever_is_added_later(root):
    grey = {step: to_bytes(Image.new("L", (8, 8), step // 100)) for step in (1000, 2000, 3000)}
    with live(EXPERIMENT, root) as run:
        run.begin(RUN)
        run.tick(tick(1.0, picture=grey[1000]))
        time.sleep(0.002)  # the name of a picture has its milliseconds, by which the newest is found
        run.tick(tick(3.0, picture=grey[3000]))
    assert (newest(root) == 30).all()
    client, run = the_run(root)
    tracking.log_pictures(client, run.info.run_id, {2000: (grey[2000], 2), 3000: (grey[3000], 3)})  # what had been away
    assert shown(root) == [[1000, 2000, 3000]] * 2
    assert (newest(root) == 30).all()


def test_a_training_that_goes_on_leaves_the_text_of_its_page(root):
    trained(root, [tick(1.0)])
    client, run = the_run(root)
    notes.write(client, run.info.run_id, {"Decision": "passed"})
    trained(root, [tick(2.0)])
    assert the_run(root)[1].data.tags["mlflow.note.content"] == "* **Decision**: passed"


def test_the_page_of_a_training_and_that_of_its_search_lead_to_each_other(root):
    best = root / layout.BEST_PARAMS
    best.parent.mkdir(parents=True)
    best.write_text(json.dumps({"parameters": {"loss.r1": 0.3}, "reason": "best", "trial": 1, "search": "0123"}))
    trial = Trial(1, {"loss.r1": 0.3}, "finished", "", 1, 2.0, 1)
    parent = record(Search("0123", "fd_validation", {}, {"trials": 1}, 1, (trial,)), root, name="faces")
    trained(root, [tick(1.0)])
    client = tracking.connect(root)
    run = tracking.first_run(client, "1", RUN.fingerprint)
    assert f"[search 0123]({pages.run(root, '1', parent)})" in run.data.tags["mlflow.note.content"]
    back = client.get_run(parent).data.tags["mlflow.note.content"]
    assert back.endswith(f"[dcgan-01234567]({pages.run(root, '1', run.info.run_id)})")


def test_register_adds_the_pictures_that_are_missing(root, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(root, [tick(1.0, picture=PICTURE)], KeyboardInterrupt())
    file = tmp_path / "0001.000.png"
    file.write_bytes(PICTURE)
    for _ in range(2):
        completed(root, HISTORY, {}, {1000: file, 3000: file})
        assert shown(root) == [[1000, 3000]] * 2


def test_a_line_has_the_time_at_which_it_was_reached(root):
    run = completed(root, HISTORY, {})
    times = [point.timestamp for point in tracking.connect(root).get_metric_history(run, "train/loss_g")]
    start = tracking.connect(root).get_run(run).info.start_time
    assert [each - start for each in times] == [1000, 2000, 3000], "1,000 samples at 1,000 a second"


def test_a_store_that_is_away_stops_no_training_and_is_told_once(root, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    started = time.monotonic()
    trained(root, [tick(1.0), tick(2.0)])
    assert time.monotonic() - started < room.CLOSING_SECONDS + 2
    said = capsys.readouterr().out
    assert said.count("MLflow does not have these curves yet (no MLflow server answers at http://127.0.0.1:9") == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    completed(root, HISTORY, {})
    assert len(curve(root, "train/loss_g")) == 3


def test_a_job_without_a_server_writes_nothing(root, monkeypatch):
    monkeypatch.setenv(JOB, "raysubmit_1")
    trained(root, [tick(1.0)])
    assert tracking.connect(root).get_experiment_by_name("faces") is None


@pytest.mark.parametrize(
    ("name", "group", "found"),
    [
        ("loss_g", "train", "train/loss_g"),
        ("fd_domain_validation", "train", "validation/fd_domain"),
        ("fd_domain", "test", "test/fd_domain"),
        ("authenticity", "test", "memorisation/authenticity"),
        ("search/trials", "test", "search/trials"),
    ],
)
def test_figures_are_grouped(name, group, found):
    assert tracking.grouped(name, group) == found
