"""MLflow as the memory of the pipeline: one run for one training, found again by its fingerprint."""

import getpass
import io
import json
import math
import os
import random
import re
import socket
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from PIL import Image
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from ganops.core.errors import RegistryError
from ganops.core.files import refusal
from ganops.core.git import JOB, commit, lock_hashes
from ganops.core.redaction import reason, redacted
from ganops.core.retry import NAME as TIMEOUT
from ganops.core.retry import insist, retry_timeout
from ganops.core.terminal import say
from ganops.metrics import catalogue
from ganops.registry.relocation import ARTIFACTS, BACKUP, DATABASE, ensure, relocate

# mlflow reads some of them when it is imported: so the files of this room take mlflow from here.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # a uv.lock in the working directory is not the model's
}.items():
    os.environ.setdefault(_name, _value)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mlflow warns of type hints in its own modules
    import mlflow
    import mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

__all__ = ["MlflowClient", "mlflow"]

T = TypeVar("T")

ABSENT = {502, 503, 504}
"""HTTP statuses by which a proxy answers in place of a server."""
CONNECT_SECONDS = 10.0
"""Seconds within which whatever is there has taken a connection."""
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Ports of the databases that MLflow takes, unless their address names another."""
TIMED = {"psycopg2", "psycopg", "pymysql", "mysqldb"}
"""Drivers that take the seconds of `connect_timeout`."""
MAX_OUTAGES = 10
"""Number of outages that one call lives through."""
FINGERPRINT = "ganops.fingerprint"
"""The tag by which a training is found again."""


KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment that MLflow's list names machine learning; the view is decided by addresses (`pages`)."""
CONFLICTS = (
    "IntegrityError", "UniqueViolation", "UNIQUE constraint", "duplicate key", "DeadlockDetected",
    "SerializationFailure", "database is locked", "Giving up after",
)  # fmt: skip
"""Parts of what stores say when two clients write the same row at once."""


def is_conflict(error: Exception) -> bool:
    """True where a call failed because another client wrote the same row at the same time: again, it may succeed."""
    return isinstance(error, mlflow.MlflowException) and any(part in str(error) for part in CONFLICTS)


def again(action: Callable[[], T], amiss: Callable[[Exception], bool]) -> T:
    """Does `action` up to 20 times while others are in its way, with pauses that grow and differ between clients."""
    return insist(action, away=amiss, attempts=20, pause=lambda n: random.uniform(0, 0.05 * 2 ** min(n, 5)))


def settled(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls what changes a store, again where another client was in the way; the call must be one that may be repeated.

    Raises:
        MlflowException: It failed for another reason, or again and again.
    """
    return again(lambda: call(*arguments, **named), is_conflict)


def store_uri(root: Path) -> str:
    """Return the address of MLflow's store: `MLFLOW_TRACKING_URI`, else a database in the project's folder `mlflow`."""
    return _named_uri() or _embedded_uri(root)


def _embedded_uri(root: Path) -> str:
    return f"sqlite:///{root.resolve() / DATABASE}"


def _named_uri() -> str | None:
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def connect(root: Path) -> MlflowClient:
    """A client of the store of the project in `root`; the embedded store is created when it is first needed.

    Where the project was moved or copied, its embedded store follows.

    Raises:
        RegistryError: The store cannot be reached or used.
    """
    uri = store_uri(root)
    embedded = uri == _embedded_uri(root)
    if uri.startswith(("http://", "https://")):
        _expect_server(uri)
    elif embedded:
        ensure(root / DATABASE, lambda draft: _touch(f"sqlite:///{draft.resolve()}"))
    else:
        _expect_database(uri)
    try:
        client = _touch(uri)
    except RegistryError:
        raise
    except Exception as error:  # mlflow's own, SQLAlchemy's, a driver's
        why = refusal(error) or reason(error)
        raise RegistryError(f"the MLflow store {shown(uri)} cannot be used: {why}") from error
    for former in relocate(root) if embedded else ():
        # beside the output of the commands, which may be JSON
        print(f"mlflow: this project was at {former}; its store is up to date, {BACKUP} is as it was", file=sys.stderr)
    return client


def _touch(uri: str) -> MlflowClient:
    """A client of a store, whose tables are there afterwards: the first touch creates or checks them."""
    client = MlflowClient(tracking_uri=uri)
    with refusals():
        client.search_experiments(max_results=1)
    return client


@contextmanager
def refusals() -> Iterator[None]:
    """Says what to do where a server does not let its caller in, or not do what is asked for.

    Raises:
        RegistryError: For the server's answers 401 and 403; other errors pass.
    """
    try:
        yield
    except mlflow.MlflowException as error:
        if (text := _refusal(error)) is None:
            raise
        raise RegistryError(text) from error


def _refusal(error: mlflow.MlflowException) -> str | None:
    uri = _named_uri() or ""
    server = f"the MLflow server {shown(uri)}"
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or urlsplit(uri).username
    status = error.get_http_status_code()
    if status == 401:
        wish = f"refuses the name {user} with this password: mend" if user else "asks who calls: set"
        return f"{server} {wish} MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if status == 403 and "Host header" in str(error):
        return (
            f"{server} does not answer to this name: call it by another, or add it, with its port, to the server's "
            "--allowed-hosts (infra/mlflow: MLFLOW_HOSTS in .env)"
        )
    if status == 403:
        return (
            f"{server} does not allow {user or 'an unnamed caller'} to do this: ask its administrator for the "
            f"permission, or choose a register.name that is nobody else's ({reason(error)})"
        )
    return None


def _expect_server(uri: str) -> None:
    """Asks once: mlflow itself would try again for minutes before it gives up."""
    try:
        whole = urlsplit(uri)  # urllib takes no name and password in an address
        health = f"{whole._replace(netloc=whole.netloc.rpartition('@')[2]).geturl().rstrip('/')}/health"
        urllib.request.urlopen(health, timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError, HTTPException) as error:
        # whatever else answers is there; whether it lets us in shows at the first request
        if isinstance(error, urllib.error.HTTPError) and error.code not in ABSENT:
            return
        raise RegistryError(
            f"no MLflow server answers at {shown(uri)} ({error}); start it, or unset MLFLOW_TRACKING_URI "
            "to use the store that is embedded in the project"
        ) from error


def _expect_database(uri: str) -> None:
    """Asks a database once: mlflow itself would try again for 100 s before it gives up."""
    kind = uri.partition("://")[0].partition("+")[0]
    if kind not in PORTS:
        return
    try:
        url = make_url(uri)
        if url.host:  # drivers wait for minutes where nothing answers at all
            socket.create_connection((url.host, url.port or PORTS[kind]), timeout=CONNECT_SECONDS).close()
        patient = {"connect_timeout": int(CONNECT_SECONDS)} if url.get_driver_name() in TIMED else {}
        create_engine(url, poolclass=NullPool, connect_args=patient).connect().close()
    except Exception as error:  # a socket's, SQLAlchemy's, a driver's
        raise RegistryError(
            f"the database {shown(uri)} does not let this process in ({reason(error)}); start it, mend "
            "MLFLOW_TRACKING_URI, or unset it to use the store that is embedded in the project"
        ) from error


def insist_on_server(action: Callable[[], T], root: Path) -> T:
    """Does `action`, which may be done again, and waits for a server that is away meanwhile; other stores are here.

    Raises:
        RegistryError: The server has been away for as long as `GANOPS_RETRY_TIMEOUT` says, or time and again.
    """
    uri = store_uri(root)
    if not uri.startswith(("http://", "https://")):
        return action()
    # mlflow's own tries (seven, in minutes, without a word) would come on top of these
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

    def once() -> T:
        _await_server(uri)
        try:
            return action()
        except Exception as error:
            if not _away(error, uri):
                raise
            say("register", f"the MLflow server at {shown(uri)} went away: {_reason(error)}")
            raise _OutageError(
                f"the MLflow server at {shown(uri)} went away {MAX_OUTAGES} times, at last: {_reason(error)}. Nothing "
                "is lost: the same command goes on."
            ) from error

    return insist(
        once, away=lambda error: isinstance(error, _OutageError), attempts=MAX_OUTAGES, pause=lambda attempt: 0
    )


class _OutageError(RegistryError):
    """A server went away amid a call; the sentence is that of the last time."""


def _await_server(uri: str) -> None:
    seconds = retry_timeout()
    try:
        insist(
            lambda: _expect_server(uri),
            away=lambda error: isinstance(error, RegistryError),
            seconds=seconds,
            tell=lambda text: say("register", text),
        )
    except RegistryError as error:
        raise RegistryError(
            f"{error}. It was waited for as many seconds as {TIMEOUT} says ({seconds:.0f}); nothing is lost: the same "
            "command goes on when it is back."
        ) from error


def _reason(error: Exception) -> str:
    """The first of all that went wrong, in a line."""
    return reason(list(_causes(error))[-1])


def _away(error: Exception, uri: str) -> bool:
    """Return True where an error is due to a server that is not there, or was not for a moment."""
    if any(isinstance(each, ConnectionError | TimeoutError) for each in _causes(error)):
        return True
    try:
        _expect_server(uri)
    except RegistryError:
        return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(uri: str) -> str:
    """An address without the name and password that it may carry."""
    return redacted(uri)


def ensure_experiment(client: MlflowClient, name: str, root: Path) -> str:
    """The id of the experiment of that name, which is created where there is none.

    Raises:
        RegistryError: The experiment was deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # a server has a place for files, a database has none; absolute, since readers run in other directories
        server = store_uri(root).startswith(("http://", "https://", "databricks"))
        place = None if server else (root.resolve() / ARTIFACTS).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place, tags=KIND))
        except mlflow.MlflowException:
            experiment = client.get_experiment_by_name(name)  # another call may have been quicker
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise RegistryError(f"the MLflow experiment {name} was deleted: restore it, or choose another name")
    for key, value in KIND.items():
        if key not in experiment.tags:  # of one that was made by other means, or long ago
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)


def ensure_run(
    client: MlflowClient, experiment: str, fingerprint: str, *, name: str, tags: Mapping[str, str],
    params: Mapping[str, Any], history: Sequence[Mapping[str, float]], metrics: Mapping[str, float],
    artifacts: Mapping[str, Sequence[Path]], pictures: Mapping[int, Path] | None = None,
) -> str:  # fmt: skip
    """The id of the one run of a training, which afterwards holds all that is given here.

    A run that is found again keeps its parameters, its `tags` and its history; metrics that changed get another
    point, files are replaced. A run that was not finished is completed.

    Args:
        client: The store.
        experiment: Id of the experiment.
        fingerprint: Names the training; a run with it as the tag `ganops.fingerprint` is used again.
        name: Name of a new run.
        tags: Tags of a new run.
        params: The parameters, nested as in `params.yaml`.
        history: One row for one report of the training: `step` (samples shown to D) and its values.
        metrics: The final metrics.
        artifacts: Files and folders to keep, under the folder of the run that is their key.
        pictures: PNGs of samples by their steps in the history.
    """
    run = _run(client, experiment, fingerprint, name=name, tags=tags)
    id_: str = run.info.run_id
    _log(client, run, params=flatten(params), history=history)
    known, figures = run.data.metrics, of_evaluation(metrics)
    changed = {key: value for key, value in figures.items() if known.get(key) != value}
    final = [Metric(key, value, _now(client, id_, key if key in known else None), 0) for key, value in changed.items()]
    settled(client.log_batch, id_, metrics=final)
    for folder, paths in artifacts.items():
        for path in paths:
            (client.log_artifacts if path.is_dir() else client.log_artifact)(id_, str(path), folder)
    times = dict(zip((row["step"] for row in history), _times(history, run.info.start_time), strict=True))
    log_pictures(client, id_, {step: (path.read_bytes(), times[step]) for step, path in (pictures or {}).items()})
    if run.info.status != "FINISHED":
        client.set_terminated(id_)
    return id_


def of_evaluation(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the figures of an evaluation by their names in MLflow."""
    return {grouped(key, "test"): value for key, value in metrics.items()}


def of_earlier(client: MlflowClient, run: str, metrics: Mapping[str, float]) -> list[str]:
    """Return the figures of evaluations that a run shows and `metrics` lack: MLflow takes no figure of a run away."""
    shown = [key for key in client.get_run(run).data.metrics if key.startswith(("test/", "memorisation/"))]
    return sorted({*shown} - {*of_evaluation(metrics)})


def log_model_metrics(client: MlflowClient, run: str, model: str, metrics: Mapping[str, float]) -> None:
    """Show the final metrics of a run at its logged model as well: its points of these values, and no further ones."""
    points = []
    for key, value in of_evaluation(metrics).items():
        times = [point.timestamp for point in client.get_metric_history(run, key) if point.value == value]
        points.append(Metric(key, value, max(times) if times else _now(client, run, key), 0, model_id=model))
    settled(client.log_batch, run, metrics=points)


def _now(client: MlflowClient, run: str, figure: str | None) -> int:
    """Return UTC milliseconds, later than all points that a figure has: MLflow shows the latest, and clocks differ."""
    points = client.get_metric_history(run, figure) if figure else []
    return max([int(time.time() * 1000), *(int(point.timestamp) + 1 for point in points)])


def begin_run(
    client: MlflowClient, experiment: str, fingerprint: str, *, name: str, tags: Mapping[str, str],
    params: Mapping[str, Any], start: int,
) -> str:  # fmt: skip
    """The id of the one run of a training that begins or goes on: it is running, and has its parameters.

    Args as of `ensure_run`; `start` in UTC milliseconds, of a run that is made.
    """
    run = _run(client, experiment, fingerprint, name=name, tags=tags, start=start)
    _log(client, run, params=flatten(params), history=[])
    settled(client.update_run, run.info.run_id, status="RUNNING")
    return str(run.info.run_id)


def _run(
    client: MlflowClient, experiment: str, fingerprint: str, *, name: str, tags: Mapping[str, str],
    start: int | None = None,
) -> Any:  # fmt: skip
    """The one run of a training, made where there is none."""
    if (found := first_run(client, experiment, fingerprint)) is not None:
        return found
    made = client.create_run(experiment, start, {FINGERPRINT: fingerprint, **tags}, name)
    run = first_run(client, experiment, fingerprint) or made
    if run.info.run_id != made.info.run_id:  # another call was quicker
        client.delete_run(made.info.run_id)
    return run


def first_run(client: MlflowClient, experiment: str, fingerprint: str) -> Any | None:
    """Return MLflow's run of a training or search, by its fingerprint; None: there is none."""
    order = ["attributes.start_time ASC", "attributes.run_id ASC"]
    found = client.search_runs([experiment], f"tags.`{FINGERPRINT}` = '{fingerprint}'", max_results=1, order_by=order)
    return found[0] if found else None


def _log(client: MlflowClient, run: Any, *, params: Mapping[str, str], history: Sequence[Mapping[str, float]]) -> None:
    """Writes what a run does not have yet; of a finished one lines alone that a kill kept from a training's own."""
    id_, known = run.info.run_id, written(client, run.info.run_id) if history else {}
    finished = run.info.status == "FINISHED"
    if finished and not known:
        return
    lines = [(int(row["step"]), row, when)
             for row, when in zip(history, _times(history, run.info.start_time), strict=True)]  # fmt: skip
    # again at the same time it is the same point
    rows = [line for line in lines if line[0] not in known or (not finished and known[line[0]] == line[2])]
    for part in parts([point for line in rows for point in points(*line)], 1000):
        settled(client.log_batch, id_, metrics=part)
    missing = {} if finished else {key: value for key, value in params.items() if key not in run.data.params}
    for part in parts([Param(key, value) for key, value in missing.items()], 100):
        settled(client.log_batch, id_, params=part)


def written(client: MlflowClient, run: str, figure: str = "kimg") -> dict[int, int]:
    """Return the step of each line of a run that has a figure -> its time in UTC milliseconds."""
    return {point.step: point.timestamp for point in client.get_metric_history(run, grouped(figure))}


def _times(history: Sequence[Mapping[str, float]], start: int) -> Iterator[int]:
    """Yield the time of each line in UTC milliseconds, by its speed; the same ones whenever they are asked for."""
    before, now = 0.0, float(start)
    for row in history:
        now += (row["step"] - before) / row["images_per_second"] * 1000 if row.get("images_per_second") else 0
        before = row["step"]
        yield round(now)


def points(step: int, figures: Mapping[str, float], when: int) -> list[Metric]:
    """Return the points of a line of the history; `when` in UTC milliseconds."""
    return [Metric(grouped(key), value, when, step) for key, value in numbers(figures).items() if key != "step"]


PICTURES = "samples"
"""Name of the pictures of a run that its page shows by their step, on a slider that begins at 0."""
NEWEST = "newest"
"""Name under which its page shows the last of them: of pictures of one step it takes the latest."""
STEP = re.compile(rf"{PICTURES}[+%]step[+%](\d+)[+%].*compressed\.webp$")
"""Pattern of a preview's name, which MLflow writes after the picture itself."""


def log_pictures(client: MlflowClient, run: str, pictures: Mapping[int, tuple[bytes, int]]) -> None:
    """Add pictures of samples to a run's page, by their steps, and the last of them by itself; those there stay.

    Args:
        client: The store.
        run: Id of the run.
        pictures: Step -> PNG, and the time in UTC milliseconds at which it was reached.
    """
    there = [STEP.search(file.path) for file in client.list_artifacts(run, "images")] if pictures else []
    known = {int(found.group(1)) for found in there if found}
    for step, (png, when) in pictures.items():
        if step not in known:
            client.log_image(run, Image.open(io.BytesIO(png)), key=PICTURES, step=step, timestamp=when)
    if pictures and (last := max(pictures)) > max(known, default=0):
        png, when = pictures[last]
        client.log_image(run, Image.open(io.BytesIO(png)), key=NEWEST, step=0, timestamp=when)


def grouped(name: str, group: str = "train") -> str:
    """Return the name of a figure in MLflow, whose pages fold what has one word before a slash in common."""
    if "/" in name:
        return name
    if name.endswith("_validation"):
        return f"validation/{name.removesuffix('_validation')}"
    known = catalogue.of(name)
    return f"memorisation/{name}" if known and known.panel == "memorisation" else f"{group}/{name}"


def parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The parts of a list that one request may carry."""
    return (items[start : start + size] for start in range(0, len(items), size))


DIGEST = 36
"""Characters of a digest that MLflow keeps."""


def log_data(client: MlflowClient, run: str, *, name: str, digest: str, source: str) -> None:
    """Note at a run which data it learnt from, as MLflow's pages show data sets; noted again, it is one.

    Args:
        client: The store.
        run: Id of the run.
        name: Of the data set, for people.
        digest: SHA-256 of the prepared set, whose first characters are kept.
        source: As `data.source` has it.
    """
    data = Dataset(name[:500], digest[:DIGEST], "local", redacted(json.dumps({"uri": source})))
    settled(client.log_inputs, run, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])


HASHES = "dvc."
"""Prefix of the tags that hold DVC's hashes."""


def set_lineage(client: MlflowClient, run: str, lock: Path, before: str | None = None) -> None:
    """Tags a run with the hash of every file that a stage of `dvc.lock` read or wrote, or those that `before` needs."""
    tags = [RunTag(key, md5) for key, md5 in hash_tags(lock_hashes(lock, before)).items()]
    for part in parts(tags, 100):
        settled(client.log_batch, run, tags=part)


def hash_tags(hashes: Mapping[str, str]) -> dict[str, str]:
    """DVC's hashes as tags: `dvc.<path>`."""
    return {_tag(f"{HASHES}{path}"): md5 for path, md5 in hashes.items()}


def _tag(key: str) -> str:
    """A key that MLflow accepts: at most 250 letters, digits and `_-. :/`."""
    return re.sub(r"[^\w\-. :/]", "_", key)[-250:]


CODE = ("mlflow.source.git.commit", "ganops.git_dirty", "ganops.job", "ganops.dvc_experiment")
"""The tags of `code_tags`."""


def code_tags(root: Path) -> dict[str, str]:
    """Return tags of a run's code: the commit of git, whether files differ from it, and DVC's experiment, if any."""
    tags = {}
    if known := commit(root):
        tags = {"mlflow.source.git.commit": known[0], "ganops.git_dirty": json.dumps(known[1])}
    if job := os.environ.get(JOB):
        tags["ganops.job"] = job
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags["ganops.dvc_experiment"] = experiment
    return tags


def made_by() -> dict[str, str]:
    """Return the tags by which MLflow's pages tell who made a run, and with what."""
    tags = {"mlflow.source.name": "dvc repro", "mlflow.source.type": "PROJECT"}
    return tags | ({"mlflow.user": name} if (name := user()) else {})


def user() -> str | None:
    """Return the name of the user; None: a container may run as a number that has no name."""
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return None


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as `section.key: text`; lists and empty sections are written as JSON."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def numbers(content: Mapping[str, Any]) -> dict[str, float]:
    """The entries that are finite numbers; true and false are none."""
    plain = {key: value for key, value in content.items() if isinstance(value, int | float)}
    return {key: float(value) for key, value in plain.items() if math.isfinite(value) and not isinstance(value, bool)}
