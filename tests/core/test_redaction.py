"""No text that a person sees holds a secret, and an innocent one is left as it is."""

import sys
import time

import pytest

from ganops import cli
from ganops.core.errors import ClusterError, RegistryError
from ganops.core.redaction import carries_secret, is_secret, reason, redacted
from ganops.core.terminal import say, stage

HIDDEN = [
    ("http://me:XSECRET@mlflow:5000/x", "http://mlflow:5000/x"),
    ("https://ghp_XSECRET@github.com/a/b", "https://github.com/a/b"),
    ("http://me:XSE@CRET@host", "http://host"),
    ("a 500 of http://me:XSECRET@host: (http://me:XSECRET@host/y)", "a 500 of http://host: (http://host/y)"),
    ("postgresql+psycopg2://me:XSECRET@db/x", "postgresql+psycopg2://db/x"),
    ("s3://AKIA:XSECRET@bucket/x", "s3://bucket/x"),
    ("ssh://me:XSECRET@host/srv", "ssh://host/srv"),
    ("abfss://container:XSECRET@account/x", "abfss://account/x"),
    (
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=XSECRET&x=1",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=***&x=1",
    ),
    ("host=db password=XSECRET user=me", "host=db password=*** user=me"),
    ("AccountName=a;AccountKey=XSECRET==;x", "AccountName=a;AccountKey=***;x"),
    ('{"user": "me", "api_token": "XSECRET"}', '{"user": "me", "api_token": "***"}'),
    ("Authorization: Bearer XSECRET", "Authorization: Bearer ***"),
    ("{'Authorization': 'Basic WFNFQ1JFVA=='}", "{'Authorization': 'Basic ***'}"),
]
INNOCENT = [
    "http://mlflow:5000/#/experiments/1/runs/2", "models:/ganops-generator@champion", "ssh://me@host/srv/dvc",
    "abfss://container@account.dfs.core.windows.net/runs", "webdavs://me@host/dvc", "git@github.com:a/b",
    "s3://ganops/runs?endpoint_override=http%3A%2F%2Fstore%3A8333&region=us-east-1", "mail me@example.com",
    "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file", "http://host/a@b", "design=1, config=2",
    "refuses the name me with this password: mend MLFLOW_TRACKING_USERNAME",
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), HIDDEN)
def test_secrets_are_hidden_by_their_form(text, shown):
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize("text", INNOCENT)
def test_innocent_texts_stay(text):
    assert redacted(text) == text
    assert not carries_secret(text)


def test_secrets_of_the_environment_are_hidden_wherever_a_server_repeats_them(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:pa/ss@wo:rd@db/x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/home/me/token")
    monkeypatch.setenv("S3_SECRET_KEY", "the")  # found in every second word
    text = "login me/pa/ss@wo:rd at postgresql://me:pa/ss@wo:rd@db/x failed with wJalrXUtnFEMI of /home/me/token then"
    assert redacted(text) == "login me/*** at postgresql://db/x failed with *** of /home/me/token then"


def test_variables_that_are_secrets_are_known_by_their_names():
    for name in ("MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN", "remote.far.secret_access_key",
                 "remote.home.passphrase"):  # fmt: skip
        assert is_secret(name)
    for name in (
        "MLFLOW_TRACKING_URI",
        "RAY_AUTH_TOKEN_PATH",
        "RAY_AUTH_MODE",
        "AWS_ACCESS_KEY_ID",
        "GANOPS_RETRY_TIMEOUT",
    ):
        assert not is_secret(name)


@pytest.mark.parametrize("part", ["x", "http://", "http://a:", "a-", '"', "secret", "authorization "])
def test_a_page_of_a_megabyte_takes_no_minutes(part):
    start = time.process_time()
    redacted(part * (2**20 // len(part)))
    assert time.process_time() - start < 10


def test_a_reason_is_one_short_line():
    assert reason(OSError("")) == "OSError"
    assert reason(ValueError("\n first \n second")) == "first"
    assert reason(RuntimeError("500:\nTraceback ...\n  File\nOSError: full")) == "500: ... OSError: full"
    assert len(reason(ValueError("x" * 10**6))) < 400


def test_errors_and_lines_hide_what_servers_said(capsys):
    cause = "500 of http://me:XSECRET@host"
    assert str(RegistryError(cause)) == "500 of http://host"
    assert f"{ClusterError(RegistryError(cause))}" == "500 of http://host"
    say("train", cause)
    assert "XSECRET" not in capsys.readouterr().out


def server_error(text: str) -> Exception:
    from mlflow import MlflowException

    return MlflowException(text)


@pytest.mark.parametrize("kind", [server_error, RuntimeError, RegistryError])
@pytest.mark.parametrize("debug", [True, False])
def test_whatever_ends_a_command_or_a_stage_shows_no_secret(kind, debug, monkeypatch, capsys, tmp_path):
    """A server's failure is a sentence, unless somebody wants to know more; a defect keeps its traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANOPS_DEBUG", raising=False)
    if debug:
        monkeypatch.setenv("GANOPS_DEBUG", "1")

    def fail(*_: object) -> None:
        raise kind("500 of http://me:XSECRET@host") from OSError("http://me:XSECRET@cause")

    def staged() -> None:
        (tmp_path / "pipeline").mkdir(exist_ok=True)
        with stage(str(tmp_path / "pipeline" / "register.py")):
            fail()

    monkeypatch.setattr(cli, "app", fail)
    for run in (cli.main, staged):
        with pytest.raises(SystemExit) as ended:
            run()
        told = "".join(capsys.readouterr())
        assert ended.value.code == 1
        assert "500 of http://host" in told
        assert "XSECRET" not in told
        assert ("Traceback" in told) == (kind is RuntimeError or (debug and kind is server_error))


def test_typer_shows_no_traceback_of_its_own(monkeypatch, capsys):
    """It would print the values of variables."""
    from ganops.cli import registry

    def fail(_: object) -> str:
        password = "XSECRET"
        raise RuntimeError("a defect") if password else None

    monkeypatch.setattr(registry, "_name", fail)
    monkeypatch.setattr(sys, "argv", ["ganops", "history"])
    with pytest.raises(SystemExit):
        cli.main()
    told = "".join(capsys.readouterr())
    assert "a defect" in told
    assert "XSECRET" not in told.replace('password = "XSECRET"', "")  # the line of the source


def test_a_reason_that_is_the_same_on_every_machine_names_no_file():
    error = FileNotFoundError(2, "No such file or directory", "/home/me/faces/1.png")
    assert reason(error, named=False) == "No such file or directory"
    assert "/home/me/faces/1.png" in reason(error)
    assert reason(ValueError("bad\tblock   type\nat 7"), named=False) == "bad block type"
    assert reason(ValueError("  "), named=False) == "ValueError"
    assert reason(ValueError("x" * 400), named=False) == "x" * 300 + "..."
