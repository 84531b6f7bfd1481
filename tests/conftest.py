"""What several rooms of tests need."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import groups
import pytest
import servers
import torch
from groups import pytest_xdist_make_scheduler  # noqa: F401, a hook
from projects import Project, new_project

ENGINES = {"featured", "finished", "services"}
"""Fixtures behind which Ray, DVC or MLflow run."""
ROOMS = {"cluster", "distributed", "infra", "jobs", "registry", "serving", "studies"}
"""Rooms whose tests start them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the engines and of whole pipelines, and put the groups that take longest first."""
    turns = {}
    for item in items:
        file = item.path.relative_to(Path(__file__).parent)
        wanted = ENGINES & set(getattr(item, "fixturenames", ()))
        if wanted or file.parts[0] in ROOMS or item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.engines)
        turns[item] = groups.turn(groups.group(file))
    items.sort(key=turns.__getitem__)


@pytest.fixture(scope="session")
def featured(tmp_path_factory) -> Project:
    """A project whose data and features are ready."""
    project = new_project(tmp_path_factory.mktemp("featured"))
    project.run("dvc", "repro", "features")
    return project


@pytest.fixture(scope="session")
def finished(featured, tmp_path_factory) -> Project:
    """`dvc repro` from the data set to the champion, in the store that is embedded in the project."""
    project = Project(shutil.copytree(featured.folder, tmp_path_factory.mktemp("finished") / "project", symlinks=True))
    project.log = project.run("dvc", "repro")
    return project


@pytest.fixture(scope="session")
def services(tmp_path_factory) -> Iterator[servers.Services]:
    """The services of infra/mlflow, running for all tests: names of models and users are a test's own."""
    if reason := servers.missing():
        pytest.skip(reason)
    with servers.running(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture
def project(featured, tmp_path) -> Project:
    """A copy of it, to change at will."""
    return Project(shutil.copytree(featured.folder, tmp_path / "project", symlinks=True))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """A project's folder whose store has its tables: to make them takes seconds, to copy them does not."""
    from ganops.registry import tracking  # mlflow takes seconds to import

    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.connect(root)
    return root


@pytest.fixture
def root(empty_store, tmp_path, monkeypatch) -> Path:
    """A copy of it, to change at will."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return shutil.copytree(empty_store, tmp_path / "project")


def inception_state():
    """Seeded weights for pytorch-fid's network, so large that the signal survives its depth; its norms are not idle."""
    from ganops.metrics.extractors.inception import fid_inception

    state = fid_inception().state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        if tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        elif name.endswith(("bn.weight", "running_var")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("bn.bias", "running_mean")):
            tensor.normal_(0, 0.1, generator=generator)
    return state


@pytest.fixture(scope="session")
def torch_home(tmp_path_factory) -> Path:
    """A home of torch that holds random Inception weights under the published name."""
    from ganops.metrics.extractors.inception import FILE

    home = tmp_path_factory.mktemp("torch")
    (home / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(inception_state(), home / "hub" / "checkpoints" / FILE)
    return home
