"""MLflow's own webhooks tell another service of a promotion, signed, as docs/registry.md says."""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from cryptography.fernet import Fernet
from mlflow_server import Server
from packages import package
from registering import NAME, register, without_packing

from ganops.registry import registration
from ganops.registry.champions import promote
from ganops.registry.model import Model
from ganops.registry.tracking import connect

pytestmark = pytest.mark.slow
SECRET = "between the two"
ON_LOOPBACK = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
"""A server sends to https addresses of other networks alone."""


@pytest.fixture
def heard():
    """What a service on loopback is sent: headers and body; its port is `heard.port`."""

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            told.put((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    told: SimpleQueue = SimpleQueue()
    service = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield told, service.server_port
    service.shutdown()
    service.server_close()


@pytest.fixture
def project(empty_store, tmp_path, monkeypatch):
    """A project with a server of its own that keeps secrets of webhooks."""
    shutil.copy(empty_store / "mlflow" / "mlflow.db", tmp_path / "mlflow.db")
    key = Fernet.generate_key().decode()
    server = Server(tmp_path, **ON_LOOPBACK, MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=key)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    build, prove = registration.build, registration.prove
    without_packing()
    server.start()
    server.wait()
    yield tmp_path
    registration.build, registration.prove = build, prove
    server.kill()


def command(port):
    """The command of the page, with an address and a secret of this test."""
    page = (Path(__file__).parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")
    (block,) = [part for part in page.split("```")[1::2] if "create_webhook" in part]
    block = block.removeprefix("bash\n").replace("https://hooks.example.com/promoted", f"http://127.0.0.1:{port}/")
    return block.replace("$WEBHOOK_SECRET", SECRET)


def test_a_promotion_tells_another_service_once(project, heard):
    told, port = heard
    subprocess.run(["bash", "-c", command(port)], check=True, cwd=project)
    register(package(project / "a", fd=9.0), project)
    register(package(project / "b", fd=12.0, seed=1), project)  # rejected by the gate
    promote(Model(connect(project), NAME), "2")
    promote(Model(connect(project), NAME), "2")  # it is the champion already
    sent = []
    for headers, body in (told.get(timeout=30) for _ in range(4)):
        signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.{body.decode()}"
        digest = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        assert headers["X-MLflow-Signature"] == f"v1,{base64.b64encode(digest).decode()}"
        sent.append(json.loads(body)["data"])
    moves = sorted((each["alias"], each["version"]) for each in sent)
    assert moves == [("challenger", "1"), ("challenger", "2"), ("champion", "1"), ("champion", "2")]
    with pytest.raises(Empty):
        told.get(timeout=3)
