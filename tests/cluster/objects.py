"""An object store beside the cluster: a process of this host that speaks S3 and keeps everything in memory."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import quote

import psutil
from nodes import ip
from pyarrow import fs

PORT = 5000
BUCKET = "bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
"""What a client of it needs in its environment; any key is accepted."""


class ObjectStore:
    """The store, as a context manager, at the cluster's address 1."""

    def __init__(self, cluster, log) -> None:
        self.cluster, self.host, self.log = cluster, f"{cluster.subnet}.1", log
        self.endpoint = f"{self.host}:{PORT}"
        query = f"scheme=http&endpoint_override={quote(self.endpoint, safe='')}&region=us-east-1"
        self.address = f"s3://{BUCKET}/runs?{query}"

    def __enter__(self) -> "ObjectStore":
        with self.log.open("wb") as log:
            words = [sys.executable, "-m", "moto.server", "-H", self.host, "-p", str(PORT)]
            self.process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((self.host, PORT), timeout=1):
                break
            time.sleep(0.1)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request"}
        url = f"http://{self.endpoint}/{BUCKET}"
        direct.open(urllib.request.Request(url, method="PUT", headers=signed), timeout=10).close()
        return self

    def __exit__(self, *_) -> None:
        self.back()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def away(self, silent: bool) -> None:
        """Until it is `back`, it accepts connections and answers none, or the nodes have no way to it."""
        if silent:
            for process in self.processes():
                process.suspend()
            return
        for node in self.cluster.nodes:
            ip("route", "replace", "unreachable", f"{self.host}/32", inside=node.namespace)

    def back(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.processes():
                process.resume()
        for node in self.cluster.nodes:
            with contextlib.suppress(OSError):
                ip("route", "del", "unreachable", f"{self.host}/32", inside=node.namespace)

    def files(self) -> list[str]:
        """The names of all objects below `runs`."""
        store = fs.S3FileSystem(
            access_key="test", secret_key="test", region="us-east-1", scheme="http", endpoint_override=self.endpoint
        )
        found = store.get_file_info(fs.FileSelector(f"{BUCKET}/runs", recursive=True, allow_not_found=True))
        return [info.path for info in found if info.is_file]
