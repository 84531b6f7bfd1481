"""The work of a job: what a stage has made goes to the DVC remote."""

import pytest

from ganops.core.errors import ClusterError
from ganops.core.retry import NAME
from ganops.jobs import dvc, remote


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The calls of DVC, of which pushes fail as long as told; nothing is run."""
    calls, failures = [], [1]

    def must(root, *arguments, capture=True):
        calls.append(arguments[0])
        if arguments[0] == "push" and failures[0]:
            failures[0] -= 1
            raise ClusterError("`dvc push` failed: see the lines above")

    (tmp_path / f"{dvc.HOME}.dvc").write_text("outs: [{md5: abc.dir}]")
    monkeypatch.setattr(dvc, "must", must)
    monkeypatch.setattr(dvc, "uncached", lambda root: [])
    return calls


def test_a_remote_that_is_away_for_a_moment_costs_no_stage(calls, tmp_path, capsys):
    assert remote.keep(tmp_path) == "abc.dir"
    assert calls == ["add", "push", "push"]
    said = " ".join(capsys.readouterr().out.split())
    assert "`dvc push` failed: see the lines above; it is waited for, at most 900 s" in said
    assert "it is back" in said


def test_without_patience_the_first_failure_counts(calls, tmp_path, monkeypatch):
    monkeypatch.setenv(NAME, "0")
    with pytest.raises(ClusterError, match="dvc push"):
        remote.keep(tmp_path)
    assert calls == ["add", "push"]
