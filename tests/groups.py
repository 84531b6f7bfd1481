"""Groups of tests that share what runs: a process plays all of a group, those that take longest first."""

from pathlib import PurePath

import pytest

ROOT = PurePath(__file__).parent
TOGETHER = {
    "cli/test_screens.py": "finished",
    "infra/test_blocks.py": "finished",
    "infra/test_services.py": "finished",
    "test_notebooks.py": "finished",
    "test_pipeline.py": "finished",
    "test_stale.py": "finished",
}
"""Files that use what one long fixture makes; the files of tests/cluster share its hosts, any other is by itself."""
LONGEST = (
    "test_train.py", "finished", "cluster", "test_playground.py", "test_null_clusters.py", "test_tune.py",
    "test_deployment.py", "test_null_gpu.py", "test_workers.py", "test_measure_of_films.py", "test_fuzz.py",
    "test_pages.py", "test_packaging.py", "test_classifiers.py", "test_golden.py", "test_architectures.py",
)  # fmt: skip
"""Groups that begin first, so that no process works alone in the end."""


def group(file: PurePath) -> str:
    """The group of a file of tests, whose path begins at this folder."""
    return "cluster" if file.parts[0] == "cluster" else TOGETHER.get(file.as_posix(), file.name)


def turn(name: str) -> int:
    """The place of a group in the order of the run."""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`--dist loadgroup` by these groups: pytest-xdist 3.8 sees no marks under pytest 9.2 (pytest-xdist#1386)."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(PurePath(nodeid.partition("::")[0]).relative_to(ROOT.name))

    return ByGroup(config, log)
