"""An object store for tests: moto's server as a process of this machine, which speaks S3 and keeps all in memory."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
"""What a client of it needs in its environment; any key is accepted."""


class Server:
    """The server: `bucket` is there."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port = process, port

    def address(self, path: str) -> str:
        """The URI of a path in the bucket, as pyarrow takes it."""
        endpoint = quote(f"127.0.0.1:{self.port}", safe="")
        return f"s3://bucket/{path}?scheme=http&endpoint_override={endpoint}&region=us-east-1"


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Runs the server for the block, whose environment has the keys."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
        yield Server(process, port)
    finally:
        process.kill()
        process.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
