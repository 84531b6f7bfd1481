from pathlib import Path

import pytest
from nodes import Cluster, obstacle

import ganops

ROOT = Path(__file__).parents[2]
SOURCE = Path(ganops.__file__).parents[1]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two nodes that see nothing of this repository but the tested package, and nothing of the tests' folders."""
    if reason := obstacle():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("cluster"), hidden=[ROOT], variables={"PYTHONPATH": str(SOURCE)}) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def healed(request):
    """The next test finds two nodes, whatever this one did to them."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").heal()
