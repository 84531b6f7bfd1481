import shutil
from pathlib import Path

import pytest
from nodes import Cluster, obstacle
from objects import KEYS, ObjectStore
from stage import HISTORY, ON_TWO_CORES, WEIGHTS

import ganops

ROOT = Path(__file__).parents[2]
SOURCE = Path(ganops.__file__).parents[1]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two nodes that see nothing of this repository but the tested package, and nothing of the tests' folders."""
    if reason := obstacle():
        pytest.skip(reason)
    variables = {"PYTHONPATH": str(SOURCE), **KEYS}
    with Cluster(tmp_path_factory.mktemp("cluster"), hidden=[ROOT], variables=variables) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def objects(cluster, tmp_path_factory):
    """An object store that the nodes reach."""
    with ObjectStore(cluster, tmp_path_factory.mktemp("objects") / "log") as store:
        yield store


@pytest.fixture(autouse=True)
def healed(request):
    """The next test finds two nodes, whatever this one did to them."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").heal()


@pytest.fixture(scope="session")
def prepared(featured, tmp_path_factory):
    """A project that trains with two workers."""
    project = type(featured)(
        shutil.copytree(featured.folder, tmp_path_factory.mktemp("two") / "project", symlinks=True)
    )
    project.params(
        tune={"trials": 0}, train={"kimg": 12, "precision": "fp64"}, compute={"launcher": "ray", "workers": 2}
    )
    project.run("python", "pipeline/tune.py")
    return project


@pytest.fixture(scope="session")
def whole(prepared):
    """What they make of it on one host."""
    prepared.run("python", "-c", ON_TWO_CORES)
    result = (prepared.folder / WEIGHTS).read_bytes(), (prepared.folder / HISTORY).read_text()
    for made in ("artifacts/generator", "reports/train"):
        shutil.rmtree(prepared.folder / made)
    return result
