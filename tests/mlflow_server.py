"""An MLflow server of a test's own, on a database in a folder."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request


class Server:
    """`mlflow server` on a database, with everything that it starts; it comes back with what it had."""

    def __init__(self, folder, **variables):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.process, self.timers, self.variables = folder, None, [], variables
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        store = [
            "--backend-store-uri",
            f"sqlite:///{self.folder}/mlflow.db",
            "--artifacts-destination",
            self.folder / "files",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *where, *store],
                stdout=log, stderr=log, start_new_session=True, env={**os.environ, **self.variables},
            )  # fmt: skip

    def start_in(self, seconds):
        self.timers.append(threading.Timer(seconds, self.start))
        self.timers[-1].start()

    def wait(self, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return
            time.sleep(0.2)
        raise TimeoutError((self.folder / "log").read_text())

    def kill(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
