"""An object store for tests that speaks as much of Google's JSON API as pyarrow's client asks for; all is in memory."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

TIME = "2026-01-01T00:00:00Z"


class Server(ThreadingHTTPServer):
    """The server: its bucket is there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[str] = []

    def address(self, path: str) -> str:
        """The URI of a path in the bucket, as pyarrow takes it."""
        endpoint = quote(f"127.0.0.1:{self.server_port}", safe="")
        return f"gs://anonymous@bucket/{path}?scheme=http&endpoint_override={endpoint}&retry_limit_seconds=5"

    def about(self, name: str) -> dict[str, str]:
        """Metadata of an object."""
        size = str(len(self.objects[name]))
        known = {"kind": "storage#object", "bucket": "bucket", "generation": "1", "metageneration": "1"}
        return {**known, "name": name, "size": size, "timeCreated": TIME, "updated": TIME}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """A bucket, a listing, an object or its metadata."""
        path, query = self._asked()
        if path == "/storage/v1/b/bucket":
            self._tell({"kind": "storage#bucket", "name": "bucket", "metageneration": "1", "timeCreated": TIME})
        elif path == "/storage/v1/b/bucket/o":
            names = sorted(name for name in self.server.objects if name.startswith(query.get("prefix", "")))
            self._tell({"kind": "storage#objects", "items": [self.server.about(name) for name in names]})
        elif (name := unquote(path.removeprefix("/storage/v1/b/bucket/o/"))) not in self.server.objects:
            self._tell({"error": {"code": 404, "message": f"no {name}"}}, 404)
        elif query.get("alt") == "media":
            content, part = self.server.objects[name], re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (int(part[1]), int(part[2] or len(content) - 1)) if part else (0, len(content) - 1)
            whole = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            headers = {"Content-Range": whole} if part else {}
            self._send(content[first : last + 1], 206 if part else 200, {**headers, "x-goog-generation": "1"})
        else:
            self._tell(self.server.about(name))

    def do_POST(self) -> None:
        """Begin an upload, or write a small object at once."""
        _, query = self._asked()
        body = self._body()
        if query.get("uploadType") == "resumable":
            self.server.uploads[query["name"]] = b""
            host, name = self.headers["Host"], quote(query["name"], safe="")
            self._send(b"{}", headers={"Location": f"http://{host}/upload/storage/v1/b/bucket/o?upload_id={name}"})
            return
        name = query.get("name") or json.loads(re.search(rb"\{.*?\}", body, re.DOTALL)[0])["name"]
        self.server.objects[name] = b""  # a folder's mark
        self._tell(self.server.about(name))

    def do_PUT(self) -> None:
        """Go on with an upload; an object is there when it is whole, and not before."""
        _, query = self._asked()
        name = query["upload_id"]
        self.server.uploads[name] += self._body()
        if self.headers.get("Content-Range", "").endswith("/*"):
            self._send(b"", 308, {"Range": f"bytes=0-{len(self.server.uploads[name]) - 1}"})
            return
        self.server.objects[name] = self.server.uploads.pop(name)
        self._tell(self.server.about(name))

    def do_DELETE(self) -> None:
        """Remove an object."""
        path, _ = self._asked()
        self.server.objects.pop(unquote(path.removeprefix("/storage/v1/b/bucket/o/")), None)
        self._send(b"", 204)

    def _asked(self) -> tuple[str, dict[str, str]]:
        self.server.requests.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        return parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _tell(self, content: object, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), status)

    def _send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Runs the server for the block."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
