"""The services of infra/mlflow/compose.yaml as processes of this machine, for whoever has no docker.

Commands, environments, order and health checks are those of the file, its variables come from a `.env` filled in as its
example asks. What stands in for an image is said where it does: PostgreSQL of this machine for the official image,
moto's server for SeaweedFS, this environment for that of infra/mlflow/Dockerfile. Names and ports of the network are
mapped to free ports of 127.0.0.1, volumes and /opt/mlflow to a folder; all of it ends with the context.
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

INFRA = Path(__file__).parents[1] / "infra" / "mlflow"
SECONDS = 180
"""For one service to become healthy; a quiet machine needs ten."""


def missing() -> str | None:
    """Why the services cannot be started here, or None."""
    if postgres_programs() is None:
        return "no PostgreSQL server here, neither on PATH nor in /usr/lib/postgresql"
    absent = [name for name in ("boto3", "flask_wtf", "moto", "psycopg2") if find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian keeps those of a server out of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]), reverse=True)
    named = shutil.which("postgres")
    folders = [*debian, *([Path(named).resolve().parent] if named else [])]
    needed = ("initdb", "postgres", "createdb", "pg_isready")
    return next((folder for folder in folders if all((folder / program).is_file() for program in needed)), None)


def filled_in(example: str) -> dict[str, str]:
    """The variables of `.env`, every one that the example leaves empty with a secret of its own."""
    return {key: value or secrets.token_hex(24) for key, value in re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)}


def interpolate(node: Any, variables: Mapping[str, str]) -> Any:
    """Compose's `${NAME}`, `${NAME:-default}` and `${NAME:?message}` in every string of a document.

    Raises:
        ValueError: A variable with a message is not set or empty.
    """

    def value(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        if found := variables.get(name):
            return found
        if kind == ":?":
            raise ValueError(f"{name}: {text}")
        return text or ""

    if isinstance(node, dict):
        return {key: interpolate(inner, variables) for key, inner in node.items()}
    if isinstance(node, list):
        return [interpolate(inner, variables) for inner in node]
    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, node) if isinstance(node, str) else node


def image_environment(dockerfile: str) -> dict[str, str]:
    """What the image sets by ENV, without its PATH."""
    lines = re.findall(r"^ENV (.+)$", re.sub(r"\\\n\s*", "", dockerfile), re.MULTILINE)
    return {key: value for line in lines for key, _, value in (pair.partition("=") for pair in line.split())
            if key != "PATH"}  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Services:
    """The running services, and what a client of them needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = filled_in((INFRA / ".env.example").read_text(encoding="utf-8"))
        compose = yaml.safe_load((INFRA / "compose.yaml").read_text(encoding="utf-8"))
        self.services: dict[str, dict[str, Any]] = interpolate(compose, self.variables)["services"]
        self.image = image_environment((INFRA / "Dockerfile").read_text(encoding="utf-8"))
        self.volumes: dict[str, Path] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.seconds: dict[str, float] = {}
        """From the start of each service until it was healthy, or had ended where it only has to."""
        self.healthy_too_early: bool
        """What PostgreSQL's health check says while its database is still being made."""
        self._started: dict[str, float] = {}
        self._ports: dict[tuple[str, str], int] = {}
        self._ending = ExitStack()

    # --- for clients ---

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port('mlflow', 5000)}"

    def new_user(self, name: str) -> dict[str, str]:
        """The environment of a client that is not the administrator, made as docs/cluster.md says."""
        content = {"username": name, "password": secrets.token_hex(24)}
        login = ("admin", self.variables["MLFLOW_ADMIN_PASSWORD"])
        answer = requests.post(f"{self.uri}/api/2.0/mlflow/users/create", json=content, auth=login, timeout=30)
        answer.raise_for_status()
        return self.client(name, content["password"])

    def client(self, user: str = "admin", password: str | None = None) -> dict[str, str]:
        """The environment of a client of the MLflow server; of its administrator, if no other is named."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password or self.variables["MLFLOW_ADMIN_PASSWORD"],
        }

    def s3_client(self) -> dict[str, str]:
        """The environment of a client of the S3 store."""
        return {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port('store', 8333)}",
            "AWS_ACCESS_KEY_ID": self.variables["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.variables["S3_SECRET_KEY"],
            "AWS_DEFAULT_REGION": self.services["buckets"]["environment"]["AWS_DEFAULT_REGION"],
        }

    def port(self, service: str, inside: int | str) -> int:
        """The port of this machine that stands for a port of a container."""
        return self._ports.setdefault((service, str(inside)), free_port())

    def listening(self) -> set[tuple[str, str]]:
        """Every (service, address) on which a process of a service or of its children waits for calls."""
        found = set()
        for name, process in self.processes.items():
            if process.poll() is None:
                started = psutil.Process(process.pid)
                for each in [started, *started.children(recursive=True)]:
                    sockets = each.net_connections(kind="inet")
                    found |= {(name, s.laddr.ip) for s in sockets if s.status == psutil.CONN_LISTEN}
        return found

    # --- starting ---

    def up(self, name: str = "mlflow") -> None:
        """Starts a service as `compose up` would: after those that it depends on, as far as it asks of them."""
        if name in self.processes:
            return
        service = self.services[name]
        conditions = {other: wish["condition"] for other, wish in service.get("depends_on", {}).items()}
        for other in conditions:
            self.up(other)
        for other, condition in conditions.items():
            self.wait(other, condition)
        self._started[name] = time.monotonic()
        {"postgres": self._postgres, "store": self._store}.get(name, self._of_our_image)(name, service)

    def healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        check = self.mapped(name, self.services[name]["healthcheck"]["test"])
        assert check[0] == "CMD", check
        return self._run(name, check[1:]).returncode == 0

    def mapped(self, name: str, node: Any) -> Any:
        """Addresses and folders of the container `name` as those that stand for them here."""
        if isinstance(node, dict):
            return {key: self.mapped(name, inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [self.mapped(name, inner) for inner in node]
        text = re.sub(rf"\b({'|'.join(self.services)}):(\d+)\b", self._elsewhere, str(node))
        for published in self.services[name].get("ports", []):
            bind, _, inside = self.published(published)
            text = text.replace("--host=0.0.0.0", f"--host={bind}")
            port = self.port(name, inside)
            text = re.sub(rf"(127\.0\.0\.1:|localhost:|--port=){inside}\b", rf"\g<1>{port}", text)
        for inside, here in self._folders(name).items():
            text = text.replace(inside, str(here))
        return text

    @staticmethod
    def published(ports: str) -> tuple[str, str, str]:
        """`address:port:port inside` in its parts."""
        bind, port, inside = ports.rsplit(":", 2)
        return bind, port, inside

    def _elsewhere(self, match: re.Match[str]) -> str:
        return f"127.0.0.1:{self.port(match[1], match[2])}"

    def _folders(self, name: str) -> dict[str, Path]:
        volumes = (volume.split(":") for volume in self.services[name].get("volumes", []))
        return {inside: self.folder / volume for volume, inside in volumes} | {"/opt/mlflow": self.folder / "opt"}

    def _environment(self, name: str) -> dict[str, str]:
        """Of the container: what the image and the file set, and nothing of the caller's."""
        path = f"{Path(sys.executable).parent}:{os.defpath}"
        given = self.image | self.services[name].get("environment", {})
        return {"PATH": path, "HOME": str(self.folder), **self.mapped(name, given)}

    def _run(self, name: str, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        environment = self._environment(name)
        if name == "postgres":  # inside its container both are where the programs look first
            environment |= {"PATH": str(postgres_programs()), "PGPORT": str(self.port(name, 5432))}
            environment |= {"PGHOST": str(self.sockets)}
        return subprocess.run(command, env=environment, capture_output=True, timeout=SECONDS, check=False)

    def _start(self, name: str, command: list[str], environment: dict[str, str], **more: Any) -> None:
        log = self._ending.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **more
        )
        self.processes[name] = process
        self._ending.callback(self._end, process, signal.SIGINT if name == "postgres" else signal.SIGTERM)

    def _of_our_image(self, name: str, service: dict[str, Any]) -> None:
        home = self.folder / "opt"
        if not home.exists():
            home.mkdir()
            for line in re.findall(r"^COPY (.+) /opt/mlflow/$", (INFRA / "Dockerfile").read_text(), re.MULTILINE):
                for file in line.split():
                    text = (INFRA / file).read_text(encoding="utf-8")
                    (home / file).write_text(self.mapped("mlflow", text), encoding="utf-8")
        work = self.folder / "users"
        work.mkdir(exist_ok=True)
        self._start(name, self.mapped(name, service["command"]), self._environment(name), cwd=work)

    def _store(self, name: str, service: dict[str, Any]) -> None:
        """moto's server instead of SeaweedFS: it holds what it is given in memory, whatever the keys."""
        bind, _, inside = self.published(service["ports"][0])
        command = [sys.executable, "-m", "moto.server", "-H", bind, "-p", str(self.port(name, inside))]
        self._start(name, command, self._environment(name))
        probe = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{inside}/moto-api/')"
        service["healthcheck"] = {"test": ["CMD", "python", "-c", probe]}

    def _postgres(self, name: str, service: dict[str, Any]) -> None:
        """As the official image does: a first start on a socket alone, to make the database, then the real one.

        PostgreSQL does not run as root, and its user must reach the folder, which pytest keeps from everyone: so it has
        one of its own.
        """
        given, port = service["environment"], str(self.port(name, 5432))
        self.sockets = Path(self._ending.enter_context(tempfile.TemporaryDirectory(prefix="ganops-postgres-")))
        user = unprivileged()
        if user:
            shutil.chown(self.sockets, user)
        password = self.sockets / "password"
        password.write_text(given["POSTGRES_PASSWORD"])
        data, programs = self.sockets / "data", postgres_programs()
        common = {"user": user, "cwd": self.sockets}
        make = [programs / "initdb", "--pgdata", data, f"--username={given['POSTGRES_USER']}", "--encoding=UTF8",
                "--no-sync", f"--pwfile={password}", "--auth-local=trust", "--auth-host=scram-sha-256"]  # fmt: skip
        subprocess.run(make, env={}, check=True, capture_output=True, **common)
        password.unlink()
        # no fsync: what it holds ends with the tests
        serve = [str(programs / "postgres"), "-D", str(data), "-k", str(self.sockets), "-p", port, "-F"]
        self._start("postgres-first", [*serve, "-c", "listen_addresses="], {}, **common)
        create = ["createdb", f"--username={given['POSTGRES_USER']}", given["POSTGRES_DB"]]
        self._until("postgres-first", lambda: self._run(name, create).returncode == 0)
        self.healthy_too_early = self.healthy(name)
        self._end(self.processes.pop("postgres-first"), signal.SIGINT)
        self._start(name, [*serve, "-c", "listen_addresses=127.0.0.1"], {}, **common)

    def wait(self, name: str, condition: str) -> None:
        """Until a service is what `depends_on` may ask for."""
        process = self.processes[name]
        if condition == "service_completed_successfully":
            self._until(name, lambda: process.poll() is not None, may_end=True)
            assert process.returncode == 0, self.log(name)
        else:
            assert condition == "service_healthy", condition
            self._until(name, lambda: self.healthy(name))
        self.seconds[name] = time.monotonic() - self._started[name]

    def _until(self, name: str, done: Any, *, may_end: bool = False) -> None:
        deadline = time.monotonic() + SECONDS
        process = self.processes[name]
        while not done():
            if not may_end and process.poll() is not None:
                sweep(process)
                raise RuntimeError(f"the service {name} ended with {process.returncode}:\n{self.log(name)}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service {name} is not ready after {SECONDS} s:\n{self.log(name)}")
            time.sleep(0.1)

    def log(self, name: str) -> str:
        """The last lines that the service wrote."""
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-30:])

    @staticmethod
    def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        """Ends a process that was started here: first as it likes to, then with all that it started."""
        if process.returncode is not None:  # ended long ago: its number may be another's by now
            return
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        sweep(process)

    def down(self) -> None:
        """Ends everything, the last started first, and removes what lies outside the folder."""
        self._ending.close()


def sweep(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of the group of a process that was started here and has just ended, or does not want to."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def unprivileged() -> str | None:
    """A user that is not root, where this process is."""
    if os.geteuid():
        return None
    return next(user for user in ("postgres", "nobody") if user in {entry.pw_name for entry in pwd.getpwall()})


@contextmanager
def running(folder: Path) -> Iterator[Services]:
    """All services, healthy; they end with the context."""
    services = Services(folder)
    try:
        services.up("mlflow")
        services.wait("mlflow", "service_healthy")
        yield services
    finally:
        services.down()
