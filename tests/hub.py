"""A Hub on this machine: a real HTTP server that speaks as much of the Hugging Face Hub's API as publishing and reading need.

Repositories, commits (files in git or as large files), tags, trees, downloads with the headers that the client relies
on.  It can be told to misbehave: ``hub.answers["commit"] = [500]`` answers the next commit with 500.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "a" * 30
LARGE = (".parquet", ".png", ".safetensors")


@dataclass
class Repository:
    private: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: list[dict[str, bytes]] = field(default_factory=list)

    def at(self, revision):
        """(commit, files) of a branch, tag or commit; None when there is none."""
        if revision == "main":
            return self.commits[-1]
        wanted = self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit[0] == wanted), None)

    def commit(self, files):
        state = json.dumps([len(self.commits), sorted((p, hashlib.sha1(d).hexdigest()) for p, d in files.items())])
        self.commits.append((hashlib.sha1(state.encode()).hexdigest(), files))
        return self.commits[-1][0]


class Hub(ThreadingHTTPServer):
    """The server; ``url`` is what ``HF_ENDPOINT`` has to be, ``log`` what was asked, ``stored`` the large files."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.log: list[tuple[str, str]] = []
        self.answers: dict[str, list[int]] = {}
        self.words: dict[str, str] = {}
        self.lies = False
        self.lock = threading.RLock()

    def environment(self, folder, token=TOKEN):
        """Variables for a client of this hub with a home of its own; ``token=None`` for one that is not logged in."""
        own = {"HF_ENDPOINT": self.url, "HF_HOME": str(folder), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
               "HF_DATASETS_CACHE": str(folder / "datasets"), "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
        return own if token is None else {**own, "HF_TOKEN": token}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.route("GET")

    def do_HEAD(self):
        self.route("HEAD")

    def do_POST(self):
        self.route("POST")

    def do_PUT(self):
        self.route("PUT")

    def route(self, method):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            body = self.chunks()
        split = urlsplit(self.path)
        path, self.query = unquote(split.path), parse_qs(split.query)
        with self.server.lock:
            self.server.log.append((method, path))
            for pattern, statuses in self.server.answers.items():
                if f"/{pattern}" in path and statuses:
                    return self.refuse(statuses.pop(0), self.server.words.get(pattern, "told to fail"))
            for methods, pattern, action in ROUTES:
                if method in methods and (match := re.fullmatch(pattern, path)):
                    return action(self, body, **match.groupdict())
        return self.refuse(404, "Not Found", code="RepoNotFound" if path.startswith("/api/") else "EntryNotFound")

    def chunks(self):
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, value, status=200, **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(value, bytes) else "application/json")
        for name, said in headers.items():
            self.send_header(name.replace("_", "-"), said)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status, message, code=None):
        headers = {"X_Error_Message": message, **({"X_Error_Code": code} if code else {})}
        self.answer({"error": message}, status, **headers)

    @property
    def logged_in(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, kind, name, *, write=False):
        if write and not self.logged_in:
            self.refuse(401, "Invalid credentials in Authorization header")
            return None
        found = self.server.repositories.get((kind, name))
        if found is None or (found.private and not self.logged_in):
            self.refuse(404 if self.logged_in else 401, "Repository Not Found", code="RepoNotFound")
            return None
        return found

    def revision(self, kind, name, revision):
        """(repository, commit, files) or None when an error was answered."""
        found = self.repository(kind, name)
        if found is None:
            return None
        at = found.at(revision or "main")
        if at is None:
            self.refuse(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
            return None
        return found, *at

    def create(self, body):
        said = json.loads(body)
        if not self.logged_in:
            return self.refuse(401, "Invalid username or password.")
        if said["organization"] == "others":
            return self.refuse(403, "You don't have the rights to create a repo under the namespace")
        kind, name = said.get("type", "model"), f"{said['organization']}/{said['name']}"
        prefix = "datasets/" if kind == "dataset" else ""
        url = f"{self.server.url}/{prefix}{name}"
        if (kind, name) in self.server.repositories:
            return self.answer({"error": "You already created this repo", "url": url}, 409)
        private = said.get("private") or said.get("visibility") == "private"
        self.server.repositories[kind, name] = made = Repository(bool(private))
        made.commit({".gitattributes": b"*.parquet filter=lfs\n"})
        return self.answer({"url": url, "name": name, "id": "0"})

    def info(self, body, kind, name, revision=None):
        if (found := self.revision(kind, name, revision)) is None:
            return None
        repository, commit, files = found
        return self.answer(
            {
                "_id": "0", "id": name, "author": name.split("/")[0], "sha": commit, "private": repository.private,
                "gated": False, "disabled": False, "tags": [], "downloads": 0, "likes": 0,
                "lastModified": "2026-11-24T00:00:00.000Z", "createdAt": "2026-11-24T00:00:00.000Z",
                "siblings": [{"rfilename": path} for path in sorted(files)],
            }
        )  # fmt: skip

    def entry(self, path, data):
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry = {"type": "file", "path": path, "size": len(data), "oid": blob}
        if path.endswith(LARGE):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry

    def entries(self, files, below=""):
        folders = {path[: at.start()] for path in files for at in re.finditer("/", path)}
        everything = [{"type": "directory", "path": folder, "size": 0, "oid": "0" * 40} for folder in sorted(folders)]
        everything += [self.entry(path, data) for path, data in sorted(files.items())]
        return [entry for entry in everything if not below or entry["path"].startswith(below + "/")]

    def tree(self, body, kind, name, revision, below=None):
        if (found := self.revision(kind, name, revision)) is None:
            return None
        below = (below or "").strip("/")
        entries = self.entries(found[2], below)
        if self.query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
            entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(below).strip("/")]
        if below and not entries:
            return self.refuse(404, "Entry not found", code="EntryNotFound")
        return self.answer(entries)

    def paths_info(self, body, kind, name, revision):
        if (found := self.revision(kind, name, revision)) is None:
            return None
        text = body.decode()
        wanted = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
        return self.answer([entry for entry in self.entries(found[2]) if entry["path"] in wanted])

    def refs(self, body, kind, name):
        if (found := self.repository(kind, name)) is None:
            return None
        tags = [{"name": t, "ref": f"refs/tags/{t}", "targetCommit": c} for t, c in found.tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.commits[-1][0]}
        return self.answer({"branches": [main], "tags": tags, "converts": []})

    def preupload(self, body, kind, name, revision):
        if self.repository(kind, name, write=True) is None:
            return None
        paths = [file["path"] for file in json.loads(body)["files"]]
        modes = [{"path": p, "uploadMode": "lfs" if p.endswith(LARGE) else "regular", "shouldIgnore": False} for p in paths]
        return self.answer({"files": modes})

    def batch(self, body, name, prefix=None):
        if self.repository("dataset" if prefix else "model", name, write=True) is None:
            return None
        objects = []
        for item in json.loads(body)["objects"]:
            if item["oid"] not in self.server.stored:
                item["actions"] = {"upload": {"href": f"{self.server.url}/large/{item['oid']}"}}
            objects.append(item)
        return self.answer({"transfer": "basic", "objects": objects})

    def put(self, body, oid):
        if hashlib.sha256(body).hexdigest() != oid:
            return self.refuse(400, "checksum mismatch")
        self.server.stored[oid] = body
        return self.answer({})

    def commit(self, body, kind, name, revision):
        if (found := self.repository(kind, name, write=True)) is None:
            return None
        before, files = found.commits[-1]
        files = dict(files)
        for line in body.splitlines():
            said = json.loads(line)
            key, value = said["key"], said["value"]
            if key == "header" and value.get("parentCommit", before) != before:
                return self.refuse(412, "A commit has happened since. Please refresh and try again.")
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        if self.server.lies:
            files.pop("README.md", None)
        if self.query.get("create_pr") == ["1"]:
            found.pulls.append(files)
            address = f"{self.server.url}/{kind}s/{name}/discussions/{len(found.pulls)}"
            url = f"{self.server.url}/{name}/commit/{'f' * 40}"
            return self.answer({"commitUrl": url, "commitOid": "f" * 40, "pullRequestUrl": address, "success": True})
        oid = found.commit(files)
        return self.answer({"commitUrl": f"{self.server.url}/{name}/commit/{oid}", "commitOid": oid, "success": True})

    def tag(self, body, kind, name, revision):
        if (found := self.repository(kind, name, write=True)) is None:
            return None
        tag = json.loads(body)["tag"]
        if tag in found.tags:
            return self.refuse(409, "Tag already exists")
        found.tags[tag] = found.at(revision)[0]
        return self.answer({})

    def resolve(self, body, name, revision, file, prefix=None):
        if (found := self.revision("dataset" if prefix else "model", name, revision)) is None:
            return None
        if file not in found[2]:
            return self.refuse(404, "Entry not found", code="EntryNotFound")
        data = found[2][file]
        entry = self.entry(file, data)
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        headers = {"X_Repo_Commit": found[1], "ETag": f'"{etag}"', "Accept_Ranges": "bytes"}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            headers["Content_Range"] = f"bytes {start}-{end}/{len(data)}"
            return self.answer(data[start : end + 1], 206, **headers)
        return self.answer(data, **headers)

    def yaml(self, body):
        return self.answer({"errors": [], "warnings": []})

    def whoami(self, body):
        return self.answer({"name": "tester", "type": "user"}) if self.logged_in else self.refuse(401, "Invalid token")


_REPO = r"/api/(?P<kind>dataset|model)s/(?P<name>[^/]+/[^/]+)"
_PAGE = r"/(?P<prefix>datasets/)?(?P<name>[^/]+/[^/]+)"
ROUTES = [
    (("POST",), r"/api/repos/create", Handler.create),
    (("POST",), r"/api/validate-yaml", Handler.yaml),
    (("GET",), r"/api/whoami-v2", Handler.whoami),
    (("GET",), _REPO, Handler.info),
    (("GET",), _REPO + r"/revision/(?P<revision>.+)", Handler.info),
    (("GET",), _REPO + r"/tree/(?P<revision>[^/]+)(?P<below>/.*)?", Handler.tree),
    (("POST",), _REPO + r"/paths-info/(?P<revision>[^/]+)", Handler.paths_info),
    (("GET",), _REPO + r"/refs", Handler.refs),
    (("POST",), _REPO + r"/preupload/(?P<revision>[^/]+)", Handler.preupload),
    (("POST",), _REPO + r"/commit/(?P<revision>[^/]+)", Handler.commit),
    (("POST",), _REPO + r"/tag/(?P<revision>[^/]+)", Handler.tag),
    (("POST",), _PAGE + r"\.git/info/lfs/objects/batch", Handler.batch),
    (("PUT",), r"/large/(?P<oid>[0-9a-f]{64})", Handler.put),
    (("GET", "HEAD"), _PAGE + r"/resolve/(?P<revision>[^/]+)/(?P<file>.+)", Handler.resolve),
]
