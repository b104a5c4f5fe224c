"""Downloads from servers that misbehave."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from parabench.data.download import download
from parabench.errors import DataError

BODY = bytes(range(256)) * 2000


@pytest.fixture
def server():
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            requests.append(self.headers.get("Range"))
            first = len(requests) == 1
            if self.path == "/gone":
                return self.send_error(404)
            if self.path == "/busy" and first:
                self.send_response(503)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            start = int(self.headers["Range"][6:-1]) if self.headers.get("Range") and self.path != "/no-ranges" else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(BODY) - start))
            self.end_headers()
            cut = self.path in ("/cut", "/no-ranges") and first
            self.wfile.write(BODY[start : len(BODY) // 2 if cut else None])
            return None

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", requests
    httpd.shutdown()


@pytest.mark.parametrize("path", ["/plain", "/cut", "/no-ranges", "/busy"])
def test_the_file_arrives_whole(server, tmp_path, path):
    url, requests = server
    target = download(url + path, tmp_path / "file", sha256=hashlib.sha256(BODY).hexdigest(), size=len(BODY), pause=0)
    assert target.read_bytes() == BODY and not list(tmp_path.glob("*.partial"))
    if path == "/cut":
        assert requests[1] == f"bytes={len(BODY) // 2}-", "it continues where the connection was cut"


def test_a_wrong_file_is_never_used(server, tmp_path):
    with pytest.raises(DataError, match="md5"):
        download(server[0] + "/plain", tmp_path / "file", md5="0" * 32)
    assert not list(tmp_path.iterdir())


def test_refusals(server, tmp_path):
    with pytest.raises(DataError, match="HTTP 404"):
        download(server[0] + "/gone", tmp_path / "file", pause=0)
    with pytest.raises(DataError, match="not an http address"):
        download("file:///etc/hostname", tmp_path / "file")
    with pytest.raises(DataError, match="could not be downloaded"):
        download("http://127.0.0.1:9/x", tmp_path / "file", attempts=2, pause=0)
