"""Downloads from a server that misbehaves."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from parabench.data import download as module
from parabench.data.download import download, download_coco_captions, download_images
from parabench.errors import DataError, ParabenchError

BODY = bytes(range(256)) * 1000


class Server(ThreadingHTTPServer):
    """Answers each path with the next of its behaviours; the last one stays."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plans, self.bodies, self.asked = {}, {}, []

    def url(self, path, *plan, body=BODY):
        self.plans[path], self.bodies[path] = list(plan) or ["range"], body
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        plan = self.server.plans.get(self.path, ["404"])
        how = plan.pop(0) if len(plan) > 1 else plan[0]
        body = self.server.bodies.get(self.path, b"")
        asked = self.headers.get("Range")
        self.server.asked.append((how, asked))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if how.isdigit() or how == "wait":
            self.send_response(503 if how == "wait" else int(how))
            if how == "wait":
                self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if how == "no-range":
            start = 0
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        shift = 7 if how == "wrong-range" and start else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start - shift}-{len(body) - 1}/{len(body)}")
        rest = body[start - shift :]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: len(rest) // 2] if how == "cut" else rest)
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "folder" / "file.bin"


@pytest.mark.parametrize(
    "plan",
    [
        ["range"], ["cut", "range"], ["cut", "cut", "cut", "range"], ["cut", "no-range"],
        ["cut", "wrong-range", "range"],
        ["wait", "429", "range"], ["500", "cut", "502", "range"],
    ],
)  # fmt: skip
def test_the_whole_file_arrives(server, target, plan):
    url = server.url("/f", *plan)
    digests = {"sha256": hashlib.sha256(BODY).hexdigest(), "md5": hashlib.md5(BODY).hexdigest()}
    assert download(url, target, size=len(BODY), pause=0, **digests) == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_the_next_run_continues_where_the_last_one_stopped(server, target):
    url = server.url("/f", "cut", "404")
    with pytest.raises(DataError, match="404"):
        download(url, target, pause=0)
    assert not target.exists()
    server.url("/f", "range")
    download(url, target, pause=0)
    assert server.asked[-1] == ("range", f"bytes={len(BODY) // 2}-")
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("extra", [0, 10])
def test_a_part_as_long_as_the_file_or_longer_starts_again(server, target, extra):
    target.parent.mkdir()
    target.with_name("file.bin.partial").write_bytes(b"x" * (len(BODY) + extra))
    download(server.url("/f"), target, pause=0)
    assert target.read_bytes() == BODY


def test_what_is_there_is_not_asked_for_again_unless_it_is_wrong(server, target):
    url = server.url("/f")
    target.parent.mkdir()
    target.write_bytes(BODY)
    download(url, target, sha256=hashlib.sha256(BODY).hexdigest())
    assert server.asked == []
    target.write_bytes(b"other")
    download(url, target, sha256=hashlib.sha256(BODY).hexdigest())
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"md5": "0" * 32}, {"size": 3}])
def test_a_wrong_file_is_never_kept(server, target, wrong):
    with pytest.raises(DataError, match="wrong file"):
        download(server.url("/f"), target, pause=0, **wrong)
    assert list(target.parent.iterdir()) == []


def test_a_server_that_stays_away_is_given_up(server, target):
    with pytest.raises(DataError, match="503") as caught:
        download(server.url("/f", "wait"), target, pause=0, attempts=3)
    assert len(server.asked) == 3 and "again" in caught.value.remedy


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/x", "/etc/hostname"])
def test_only_http_is_downloaded(target, url):
    with pytest.raises(DataError, match="http"):
        download(url, target)


def test_pictures_are_checked_and_failures_listed(server, tmp_path, capsys):
    buffer = io.BytesIO()
    Image.effect_noise((32, 32), 30).save(buffer, "PNG")
    picture = buffer.getvalue()
    rows = [
        {
            "image_id": "good",
            "file_name": "val/good.png",
            "url": server.url("/good", "cut", "range", body=picture),
        },
        {"image_id": "page", "file_name": "page.png", "url": server.url("/page", body=b"<html>")},
        {"image_id": "gone", "file_name": "gone.png", "url": server.url("/gone", "404")},
        {"image_id": "none", "file_name": "none.png", "url": None},
        {"image_id": "away", "file_name": "../away.png", "url": server.url("/away", body=picture)},
        {"image_id": "local", "file_name": "local.png", "url": "file:///etc/hostname"},
        {"image_id": "old", "file_name": "old.png", "url": server.url("/old", body=picture)},
    ]
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "old.png").write_bytes(picture[:100])
    assert download_images(rows, folder, workers=3, pause=0) == ["page", "gone", "none", "away", "local"]
    assert (folder / "val" / "good.png").read_bytes() == picture == (folder / "old.png").read_bytes()
    assert not (folder / "page.png").exists() and not (tmp_path / "away.png").exists()
    said = capsys.readouterr().err
    assert all(f"'{image_id}'" in said for image_id in ("page", "none", "away"))
    server.asked.clear()
    assert download_images(rows[:1], folder) == []
    assert server.asked == []


def archive(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("annotations/captions_val2017.json", content)
    return buffer.getvalue()


def test_coco_captions_come_from_the_archive_and_are_checked(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PARABENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "COCO_ANNOTATIONS", server.url("/zip", body=archive(b"{}")))
    with pytest.raises(ParabenchError, match="official"):
        download_coco_captions()
    monkeypatch.setattr(module, "COCO_CAPTIONS_MD5", hashlib.md5(b"{}").hexdigest())
    path = download_coco_captions()
    assert path.read_bytes() == b"{}"
    server.asked.clear()
    assert download_coco_captions() == path and server.asked == []
