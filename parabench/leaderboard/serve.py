"""Look at a built site on this machine, as a static host would serve it."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from parabench.errors import DataError


class _Handler(SimpleHTTPRequestHandler):
    def list_directory(self, path: Any) -> None:
        self.send_error(404, "No such page")

    def send_head(self) -> Any:
        found = Path(self.translate_path(self.path))
        if not found.resolve().is_relative_to(Path(self.directory).resolve()):
            self.send_error(404, "No such page")
            return None
        return super().send_head()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def make_server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of one folder, bound to this machine; ``port=0`` takes a free one (see ``server_port``).

    Raises:
        DataError: the folder is no site, or the port is in use.
    """
    if not (site / "index.html").is_file():
        raise DataError(f"{site} holds no site", f"build one first: parabench leaderboard build --out {site}")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(site)))
    except OSError as error:
        raise DataError(f"can't listen on 127.0.0.1:{port}: {error.strerror}", "choose another --port") from error
