from pathlib import Path

import pytest
from nodes import Cluster, obstacle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two nodes that see nothing of this repository but the installed package, and nothing of the tests' folders."""
    if reason := obstacle():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("cluster"), hidden=[ROOT]) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def healed(request):
    """The next test finds two nodes, whatever this one did to them."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").heal()
