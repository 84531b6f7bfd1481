"""An object store for tests: moto's server as a process of this machine, which speaks S3 and keeps all in memory."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
"""What a client of it needs in its environment; any key is accepted."""


class Server:
    """The server: `bucket` is there."""

    def __init__(self, process: subprocess.Popen, port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def address(self, path: str) -> str:
        """The URI of a path in the bucket, as pyarrow takes it."""
        endpoint = quote(f"127.0.0.1:{self.port}", safe="")
        return f"s3://bucket/{path}?scheme=http&endpoint_override={endpoint}&region=us-east-1"

    def requests(self, path: str = "") -> list[str]:
        """The requests so far for what lies at or below a path of the bucket, such as `GET /bucket/a HTTP/1.1`."""
        found = re.findall(r'"([A-Z]+ \S+ \S+)" \d', self.log.read_text())
        return [each for each in found if each.split()[1].startswith(f"/bucket/{path}")]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Runs the server for the block, whose environment has the keys."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    folder = tempfile.TemporaryDirectory(prefix="ganops-s3-")
    log = Path(folder.name) / "log"
    with log.open("wb") as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
    before = {name: os.environ.get(name) for name in KEYS}
    os.environ.update(KEYS)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request"}
        made = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT", headers=signed)
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(made, timeout=10).close()
        yield Server(process, port, log)
    finally:
        process.kill()
        process.wait()
        folder.cleanup()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
