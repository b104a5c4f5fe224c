"""The review page's server: bound to this machine, one ledger, verdicts written before they are answered.

What keeps other web pages out: the server answers only requests whose ``Host`` is its own address (so that no
foreign name can be rebound to it), refuses what a browser says comes from another site, and takes everything but
the page itself only with a random token that the page holds and that other sites cannot read.
"""

from __future__ import annotations

import secrets
import socket
import threading
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parabench.build.candidates import CandidateTable
from parabench.build.ledger import Ledger
from parabench.build.review.agreement import review_agreement
from parabench.build.review.item import PictureFolder, item_of
from parabench.build.reviews import ReviewTable, check_annotator
from parabench.errors import DataError, MissingDependencyError, ParabenchError

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.serving import BaseWSGIServer

_TOKEN_HEADER = "X-Parabench-Token"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip
_LARGEST_REQUEST = 200_000
HOST = "127.0.0.1"


def make_app(
    ledger: Ledger, images: Path | None = None, annotator: str | None = None, overlap: int | None = None
) -> Flask:
    """The page and its JSON interface as a WSGI application.

    Args:
        ledger: an open ledger with candidates; used from several threads under one lock.
        images: folder with the pictures; a missing picture is shown as a placeholder.
        annotator: pseudonym that the page starts with; without it the page asks.
        overlap: how many annotators a candidate gets at most; ``None`` = all.

    Raises:
        DataError: no candidates, no such folder, or a malformed pseudonym.
        MissingDependencyError: Flask is not installed.
    """
    try:
        from flask import Flask, abort, jsonify, render_template_string, request, send_file
        from werkzeug.exceptions import HTTPException
    except ImportError:
        raise MissingDependencyError("flask", "review", "the review page") from None

    if annotator is not None:
        check_annotator(annotator)
    candidates, reviews, lock = CandidateTable(ledger), ReviewTable(ledger), threading.Lock()
    if not len(candidates):
        raise DataError(
            f"{ledger.path} holds no candidates to review", "build first: parabench build-dataset --ledger …"
        )
    pictures = None if images is None else PictureFolder(images)
    token = secrets.token_urlsafe(24)
    app = Flask("parabench.build.review", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_REQUEST

    @app.before_request
    def keep_others_out() -> None:
        port = request.environ["SERVER_PORT"]
        own = {f"{name}:{port}" for name in (HOST, "localhost")}
        if request.host not in own:
            abort(HTTPStatus.FORBIDDEN, "this server answers only under its own address")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in own}:
            abort(HTTPStatus.FORBIDDEN, "a request from another site")
        if request.headers.get("Sec-Fetch-Site", "none") == "cross-site" and request.path != "/":
            abort(HTTPStatus.FORBIDDEN, "a request from another site")
        if request.path.startswith("/api/") and not secrets.compare_digest(
            request.headers.get(_TOKEN_HEADER, "").encode(), token.encode()
        ):
            abort(HTTPStatus.FORBIDDEN, "the page is of an earlier start of the server: load it again")

    @app.after_request
    def harden(response: Any) -> Any:
        response.headers.update(_HEADERS)
        return response

    @app.errorhandler(ParabenchError)
    def explain(error: ParabenchError) -> Any:
        return jsonify(error=str(error)), HTTPStatus.BAD_REQUEST

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Any:
        return jsonify(error=error.description), error.code or HTTPStatus.INTERNAL_SERVER_ERROR

    @app.get("/")
    def page() -> str:
        return render_template_string(_asset("page.html"), token=token, annotator=annotator or "")

    @app.get("/<any('page.js', 'page.css'):name>")
    def asset(name: str) -> Any:
        kind = "text/javascript" if name.endswith(".js") else "text/css"
        return app.response_class(_asset(name), content_type=f"{kind}; charset=utf-8")

    @app.get("/favicon.ico")
    def icon() -> Any:
        return "", HTTPStatus.NO_CONTENT

    @app.get("/image/<path:image_id>")
    def image(image_id: str) -> Any:
        path = pictures.find(image_id) if pictures is not None else None
        if path is None:
            abort(HTTPStatus.NOT_FOUND, "no such picture")
        return send_file(path.absolute())

    def answer(who: str, pair_id: str | None) -> Any:
        candidate = None if pair_id is None else candidates.get(pair_id)
        item = None if candidate is None or candidate.reason else item_of(reviews, candidate, who)
        if item is not None:
            item["picture"] = pictures is not None and pictures.find(item["image_id"]) is not None
        progress = reviews.progress(who, overlap)
        return jsonify(
            item=item, first=reviews.neighbour(-1, 1), done=progress.done, total=progress.total,
            agreement="" if item else str(review_agreement(reviews) or ""),
        )  # fmt: skip

    @app.get("/api/item")
    def item() -> Any:
        who, wanted = check_annotator(request.args.get("annotator", "")), request.args.get("pair_id")
        with lock:
            if wanted is None or reviews.place(wanted) is None:
                wanted = reviews.next_open(who, overlap=overlap)
            return answer(who, wanted)

    @app.post("/api/verdict")
    def verdict() -> Any:
        said = _strings(request.get_json(), "annotator", "pair_id", "decision", "reason", "text", "sentence")
        with lock:
            reviews.add(
                said["pair_id"], said["annotator"], said["decision"], reason=said["reason"], text=said["text"],
                sentence=said["sentence"],
            )  # fmt: skip
            after = reviews.place(said["pair_id"])
            assert after is not None
            return answer(said["annotator"], reviews.next_open(said["annotator"], after, overlap))

    @app.post("/api/undo")
    def undo() -> Any:
        who = check_annotator(_strings(request.get_json(), "annotator")["annotator"])
        with lock:
            taken_back = reviews.undo(who)
            if taken_back is None:
                raise DataError("there is nothing to undo")
            return answer(who, taken_back.pair_id)

    return app


def make_server(app: Flask, port: int) -> BaseWSGIServer:
    """A threaded server on this machine alone; ``port=0`` takes a free one (see ``port``).

    Raises:
        DataError: the port is in use or not allowed.
    """
    import logging

    from werkzeug.serving import make_server as make

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise DataError(f"can't listen on {HOST}:{port}: {error.strerror}", "choose another --port") from None
    listening.listen()
    with listening:  # the server takes its own copy of the socket
        return make(HOST, listening.getsockname()[1], app, threaded=True, fd=listening.fileno())


def _asset(name: str) -> str:
    return resources.files("parabench.build.review").joinpath(name).read_text("utf-8")


def _strings(body: Any, *names: str) -> dict[str, str]:
    """These fields of a JSON object, all texts."""
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in names):
        raise DataError(f"the request lacks one of {', '.join(names)}")
    return {name: body[name] for name in names}
