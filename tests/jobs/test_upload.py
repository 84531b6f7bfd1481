"""What a submission sends: the files that git lists, byte for byte, and nothing of whoever sends them."""

import contextlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile

import pytest
import ray
from projects import new_project

from ganops.config import COMPUTE
from ganops.core.errors import ClusterError, RegistryError
from ganops.core.project import INSTALLED
from ganops.jobs import dvc, submission, upload
from ganops.registry import tracking


class Answers(http.server.BaseHTTPRequestHandler):
    """Ray's job server as far as a submission needs it: it keeps all that it gets."""

    def log_message(self, *_):
        """Nothing."""

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def do_GET(self):
        raylet = {"raylet": {"state": "ALIVE", "resourcesTotal": {"CPU": 4.0}}}
        known = {
            "/api/version": {"version": "4", "ray_version": ray.__version__, "ray_commit": "", "session_name": ""},
            "/api/jobs/": [],
            "/nodes?view=summary": {"data": {"summary": [raylet]}},
        }
        self.answer(200 if self.path in known else 404, known.get(self.path, "no"))

    def do_PUT(self):
        self.server.packages[self.path.rpartition("/")[2]] = self.body()
        self.answer(200, {})

    def do_POST(self):
        self.server.jobs.append(json.loads(self.body()))
        self.answer(200, {"job_id": "x", "submission_id": self.server.jobs[-1]["submission_id"]})


@contextlib.contextmanager
def serving(handler):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.packages, server.jobs = {}, []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def sender(tmp_path_factory):
    """A project with secrets that only its owner's settings ignore, a link within it, and a remote."""
    home = tmp_path_factory.mktemp("home")
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "ignore").write_text(".env\n*.pem\n")
    project = new_project(tmp_path_factory.mktemp("sender") / "project")
    variables = {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "RAY_AUTH_MODE": "disabled"}
    project.variables = {**variables, "XDG_CONFIG_HOME": str(home / ".config")}
    folder = project.folder
    for secret in (".env", "deploy.pem", "notes.txt", " .env"):
        (folder / secret).write_text("XSECRET" if secret != " .env" else "listed, with a space before its name")
    (folder / ".git" / "info" / "exclude").write_text("/notes.txt\n")
    (folder / "data" / "again").symlink_to("tiny")
    (folder / "venv").mkdir()
    (folder / "venv" / "kept.txt").write_text("of the project")
    (folder / "kept.tmp").write_text("by force, though ignored")
    (folder / ".gitignore").write_text((folder / ".gitignore").read_text() + "*.tmp\n")
    (folder / ".rayignore").write_text("params.yaml\n")
    project.run("git", "add", "-f", "kept.tmp")
    project.run("dvc", "remote", "add", "--default", "home", str(home / "remote"))
    return project


def sections(printed):
    """Of a dry run: the names and sizes of both packages, and the variables."""
    tree, module, variables = re.split(r"^module: .*$|^variables, .*$", printed, flags=re.MULTILINE)
    lines = r"^ {0,12}([\d,]+)  (.*)$"
    packages = [{name: int(size.replace(",", "")) for size, name in re.findall(lines, part, re.MULTILINE)}
                for part in (tree, module)]  # fmt: skip
    return *packages, dict(re.findall(r"^  (\w+)=(.*)$", variables, re.MULTILINE))


def unzipped(package):
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_server_receives_what_the_dry_run_lists_byte_for_byte(sender):
    printed = sender.run("ganops", "submit", "--dry-run")
    tree, module, variables = sections(printed)
    size = sum(tree.values())
    assert f"would send {len(tree)} files, {size / 2**20:.1f} MB, of commit" in printed
    assert "the largest: data/again/some-images-idx3-ubyte (1.1 MB)" in printed
    assert {"params.yaml", "venv/kept.txt", "kept.tmp", " .env", "data/again/some-labels-idx1-ubyte"} <= tree.keys()
    assert not {".env", "deploy.pem", "notes.txt"} & tree.keys()
    with serving(Answers) as (server, address):
        sender.run("ganops", "submit", "--address", address, "--no-wait")
    (job,) = server.jobs
    sent = [server.packages[job["runtime_env"]["working_dir"].rpartition("/")[2]]]
    sent += [server.packages[uri.rpartition("/")[2]] for uri in job["runtime_env"]["py_modules"]]
    assert sorted(map(len, server.packages.values())) == sorted(map(len, sent)), "nothing beside them"
    received = [unzipped(package) for package in sent]
    assert received[0] == {name: (sender.folder / name).read_bytes() for name in tree}
    assert received[1] == {name.removeprefix("src/"): (sender.folder / name).read_bytes() for name in module}
    assert {name: len(content) for name, content in received[0].items()} == tree
    assert {**job["runtime_env"]["env_vars"], "GANOPS_JOB": ""} == {**variables, "GANOPS_JOB": ""}
    assert not any(b"XSECRET" in package for package in sent)
    assert "XSECRET" not in json.dumps(job)


def test_a_secret_is_not_sent_and_it_is_said_how(sender, monkeypatch, capsys):
    from ganops import cli

    monkeypatch.chdir(sender.folder)
    for name, value in {**sender.variables, "MLFLOW_TRACKING_URI": "http://me:XSECRET@mlflow:5000"}.items():
        monkeypatch.setenv(name, value)
    with serving(Answers) as (server, address):
        monkeypatch.setattr(sys, "argv", ["ganops", "submit", "--address", address, "--no-wait"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 1
    assert (server.packages, server.jobs) == ({}, [])
    told = "".join(capsys.readouterr())
    assert "MLFLOW_TRACKING_URI holds a password or a key" in told
    assert "the cluster's own environment" in told
    assert "XSECRET" not in told


@pytest.mark.parametrize(
    ("handed_on", "variables", "remote", "named"),
    [
        ("postgresql://me:XSECRET@db/x", {}, "s3://home", "MLFLOW_TRACKING_URI"),
        ("", {"AWS_SECRET_ACCESS_KEY": "XSECRET"}, "s3://home", "AWS_SECRET_ACCESS_KEY"),
        ("", {"STORE": "s3://key:XSECRET@bucket"}, "s3://home", "STORE"),
        ("", {}, "https://XSECRET@home", dvc.REMOTE),
    ],
)
def test_no_variable_of_a_job_is_a_secret(monkeypatch, handed_on, variables, remote, named):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", handed_on)
    tree = submission.Tree("", 0, "", dirty=False)
    with pytest.raises(ClusterError, match=f"^{named} holds a password or a key") as told:
        submission.environment_of(tree, compute={}, variables=variables, remote=remote)
    assert "XSECRET" not in str(told.value)


def test_a_password_in_the_clusters_address_is_refused():
    with pytest.raises(ClusterError, match="leave it out") as told:
        submission.Cluster.connect("http://me:XSECRET@127.0.0.1:9")
    assert "XSECRET" not in str(told.value)


def test_a_secret_in_the_committed_settings_of_dvc_is_refused(sender):
    config = sender.folder / ".dvc" / "config"
    before = config.read_text()
    config.write_text(f"{before}['remote \"far\"']\n    url = https://example.com/x\n    password = XSECRET\n")
    try:
        with pytest.raises(ClusterError, match=r"remote\.far\.password in \.dvc/config.*--local") as told:
            dvc.remote_address(sender.folder)
    finally:
        config.write_text(before)
    assert "XSECRET" not in str(told.value)


def test_an_answer_that_is_not_rays_is_a_sentence():
    class Broken(Answers):
        def do_GET(self):
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"of http://me:XSECRET@inside")

    with serving(Broken) as (_, address), pytest.raises(ClusterError, match="does not answer as Ray") as told:
        submission.Cluster.connect(address)
    assert "XSECRET" not in str(told.value)


# --- the list ---


@pytest.mark.parametrize("name", [".dvc/config.local", ".env", "infra/.env", "id_rsa"])
@pytest.mark.parametrize("known", [False, True])
def test_what_may_hold_keys_is_not_sent(tree, name, known):
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("XSECRET")
    if known:
        subprocess.run(["git", "add", "-f", name], cwd=tree, check=True)
    with pytest.raises(ClusterError, match=f"{name} may hold keys, and would be sent"):
        upload.listed(tree)


@pytest.mark.parametrize("address", ["sqlite:///mlflow.db", "./mlruns", "file:///tmp/x"])
def test_a_store_of_this_machine_is_none_of_a_job(tree, monkeypatch, address):
    def handed_on(uri):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        found = submission.environment_of(submission.Tree.of(tree), compute={}, variables={}, remote="s3://b/x")
        return found.get("MLFLOW_TRACKING_URI")

    assert handed_on(address) is None
    assert handed_on("http://there:5000") == "http://there:5000"


def test_a_job_runs_where_the_variable_here_says_and_the_command_goes_before_it(tree, monkeypatch):
    def compute(**told):
        found = submission.environment_of(submission.Tree.of(tree), compute=told, variables={}, remote="s3://b/x")
        return json.loads(found.get(COMPUTE, "{}"))

    assert compute() == {}
    assert compute(workers=2) == {"workers": 2}
    monkeypatch.setenv(COMPUTE, '{"workers": 4, "device": "cpu"}')
    assert compute() == {"workers": 4, "device": "cpu"}
    assert compute(workers=2) == {"workers": 2, "device": "cpu"}


@pytest.fixture
def tree(tmp_path):
    """A repository with one file and one that is ignored."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a.txt").write_text("a")
    (root / ".gitignore").write_text("/secret\n")
    (root / "secret").write_text("XSECRET")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


@pytest.mark.parametrize(
    ("target", "said"),
    [("../outside", "leads out of the tree"), ("secret", "which git ignores"), ("link", "a circle of links")],
)
@pytest.mark.parametrize("tracked", [True, False])
def test_links_to_what_is_not_listed_are_refused(tree, target, said, tracked):
    (tree.parent / "outside").mkdir()
    (tree / "link").symlink_to(target)
    if tracked:
        subprocess.run(["git", "add", "link"], cwd=tree, check=True)
    with pytest.raises(ClusterError, match=f"link.*{said}"):
        upload.listed(tree)


def test_a_tracked_file_whose_folder_became_a_link_is_not_followed(tree):
    (tree / "sub").mkdir()
    (tree / "sub" / "secret.txt").write_text("mine")
    subprocess.run(["git", "add", "-A"], cwd=tree, check=True)
    (tree / "sub").rename(tree.parent / "sub")
    (tree / "sub").symlink_to(tree.parent / "sub")
    with pytest.raises(ClusterError, match="leads out of the tree"):
        upload.listed(tree)


def test_what_is_gone_and_repositories_inside_are_not_sent(tree):
    inside = tree / "vendor"
    inside.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=inside, check=True)
    (inside / "b.txt").write_text("b")
    (tree / "link").symlink_to(".")
    (tree / "nowhere").symlink_to("not there")
    assert upload.listed(tree) == [".gitignore", "a.txt", "link/.gitignore", "link/a.txt"]
    (tree / "a.txt").unlink()
    assert upload.listed(tree) == [".gitignore", "link/.gitignore"]


def test_a_job_gets_the_files_of_an_installed_ganops_as_those_of_a_checkout(tree):
    """Nodes have no ganops: what the project links to arrives as the module, and in the place that DVC watches."""
    with (tree / ".gitignore").open("a") as file:
        file.write("/src/ganops\n")
    before = submission.Tree.of(tree)
    (tree / "src").mkdir()
    (tree / "src" / "ganops").symlink_to(INSTALLED)
    after = submission.Tree.of(tree)
    assert after.digest != before.digest
    with upload.staged(tree, after.files, "src/ganops") as (archive, folder):
        assert (folder / "losses" / "penalties.py").read_bytes() == (INSTALLED / "losses/penalties.py").read_bytes()
        assert not list(folder.rglob("*.pyc"))
        with zipfile.ZipFile(archive) as sent:
            names = set(sent.namelist())
    assert {"a.txt", "src/ganops/config.py", "src/ganops/reports/templates/page.html.j2"} <= names
    assert "secret" not in names


def test_a_name_that_is_not_utf8_is_refused(tree):
    (tree / os.fsdecode(b"caf\xe9")).touch()
    with pytest.raises(ClusterError, match="expected a name in UTF-8"):
        upload.listed(tree)


def test_a_file_that_changes_meanwhile_is_not_sent(tree):
    files = [upload.File.of(tree, name) for name in upload.listed(tree)]
    (tree / "a.txt").write_text("another")
    with pytest.raises(ClusterError, match=r"a\.txt changed"), upload.staged(tree, files, "src/ganops"):
        pass


def test_equal_trees_are_equal_packages(tree):
    """So that nothing is sent again that the cluster has."""
    packages = []
    for _ in range(2):
        files = [upload.File.of(tree, name) for name in upload.listed(tree)]
        with upload.staged(tree, files, "src/ganops") as (archive, _):
            packages.append(archive.read_bytes())
        os.utime(tree / "a.txt", (0, 0))
    assert packages[0] == packages[1]


def test_dvc_says_why_it_failed(tree):
    """Told to be quiet, it said nothing."""
    for words in (["init", "-q"], ["remote", "add", "--default", "-q", "home", "/dev/null/x"], ["add", "-q", "secret"]):
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=tree, check=True, capture_output=True)
    with pytest.raises(ClusterError, match=r"`dvc push .*` failed: .*Not a directory"):
        submission.push(tree)


# --- MLflow's servers and databases ---


class Failing(Answers):
    """An MLflow server that lets its caller in and then repeats its password in a page about itself."""

    def do_GET(self):
        self.answer(200, "OK") if self.path.startswith("/health") else self.fail()

    def do_POST(self):
        self.body()
        self.answer(200, {}) if self.path.endswith("experiments/search") else self.fail()

    def fail(self):
        self.answer(500, "broke at postgresql://mlflow:XSECRET1@db for me:XSECRET2")


class Resetting(Failing):
    def fail(self):
        self.close_connection = True
        self.connection.close()


class Redirecting(Failing):
    def fail(self):
        self.send_response(302)
        self.send_header("Location", "http://me:XSECRET1@127.0.0.1:9/x")
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.mark.parametrize("handler", [Failing, Resetting, Redirecting])
def test_a_server_that_fails_is_a_sentence_without_the_password(handler, monkeypatch, capsys):
    from ganops import cli

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("GANOPS_DEBUG", raising=False)
    with serving(handler) as (_, address):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("//", "//me:XSECRET2@"))
        monkeypatch.setattr(sys, "argv", ["ganops", "history", "--name", "x"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    told = "".join(capsys.readouterr())
    assert ended.value.code == 1
    assert "a server did not do what it was asked for" in told
    assert "XSECRET" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize("away", ["closed", "silent"])
def test_a_database_that_is_away_is_an_error_at_once(away, tmp_path, monkeypatch):
    """MLflow itself tries ten times, in 100 s."""
    import socket
    import time

    monkeypatch.setattr(tracking, "CONNECT_SECONDS", 2.0)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if away == "silent":
            listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg2://me:XSECRET@127.0.0.1:{port}/x")
        start = time.monotonic()
        with pytest.raises(RegistryError, match=rf"the database postgresql\+psycopg2://127.0.0.1:{port}/x") as told:
            tracking.connect(tmp_path)
    assert time.monotonic() - start < 20
    assert "XSECRET" not in str(told.value)
