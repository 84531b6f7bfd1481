import shutil

import pytest

from ganops.adaptors import tracking


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A project's folder whose store has its tables: to make them takes seconds, to copy them does not."""
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.connect(root)
    return root


@pytest.fixture
def root(empty_store, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return shutil.copytree(empty_store, tmp_path / "project")
