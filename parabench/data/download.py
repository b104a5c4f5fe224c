"""Downloads that resume, check what they got, and appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import time
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from parabench.errors import DataError
from parabench.progress import bar, note
from parabench.storage import atomic_path, cache_home, disk_errors

if TYPE_CHECKING:
    from tqdm import tqdm

COCO_ANNOTATIONS = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"
COCO_CAPTIONS_MD5 = "176452de5364139ed60f607cfa663196"
_RETRY = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0


def download(
    url: str, target: Path, *, sha256: str | None = None, md5: str | None = None, size: int | None = None,
    attempts: int = 5, pause: float = 1.0, show: bool = True,
) -> Path:  # fmt: skip
    """Download ``url`` to ``target``, unless it is there already and has the right sum and size.

    A cut connection continues where it stopped (also in the next run); a server that ignores ranges is
    read from the start; 429 and 5xx are waited out as ``Retry-After`` asks.

    Args:
        url: http or https.
        target: where the file goes.
        sha256, md5, size: what the file must be; a wrong file is deleted and never used.
        attempts: tries without progress before giving up.
        pause: seconds before the second try; doubles each time.
        show: whether to show a progress bar.

    Raises:
        DataError: the file can't be had, or is not what it must be.
    """
    import httpx

    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url} is not an http address", "only http:// and https:// are downloaded")
    if target.exists():
        if (wrong := _difference(target, sha256, md5, size)) is None:
            return target
        note(f"{target}: {wrong}; downloading it again")
    part = target.with_name(f"{target.name}.partial")
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        failures, problem = 0, ""
        while failures < attempts:
            before = part.stat().st_size if part.exists() else 0
            wait = pause * 2**failures
            try:
                complete, problem, asked = _continue(url, part, before, show)
                if complete:
                    break
                wait = asked if asked is not None else wait
            except httpx.InvalidURL as error:
                raise DataError(f"{url} is not an address: {error}", "check it") from None
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
            advanced = part.exists() and part.stat().st_size > before
            failures = 0 if advanced else failures + 1
            if failures and failures < attempts:
                time.sleep(min(wait, _LONGEST_WAIT))
        else:
            raise DataError(
                f"{url} could not be downloaded: {problem}",
                "check the network and run the same command again: it continues",
            )
        if (wrong := _difference(part, sha256, md5, size)) is not None:
            part.unlink()
            raise DataError(f"{url} gave the wrong file: {wrong}", "run the same command again")
        part.replace(target)
    return target


def _continue(url: str, part: Path, have: int, show: bool) -> tuple[bool, str, float | None]:
    """One request: ``(complete, problem, seconds to wait)``."""
    import httpx

    # "identity": of a compressed answer neither the length nor the place to resume would be the file's.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as response:
        if response.status_code == 416:  # the part is as long as the file, or longer: start again
            part.unlink(missing_ok=True)
            return False, "the server refused the range", 0.0
        if response.status_code in _RETRY:
            wait = retry_after_seconds(response.headers.get("Retry-After", ""))
            return False, f"HTTP {response.status_code}", wait
        if response.status_code >= 400:
            raise DataError(
                f"{url} could not be downloaded: HTTP {response.status_code}", "check the address"
            )
        start = have if response.status_code == 206 else 0
        if start and not response.headers.get("Content-Range", f"bytes {have}-").startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            return False, "the server answered with another range than asked", 0.0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None and length.isdigit() else None
        with part.open("ab" if start else "wb") as stream, _bytes(part.stem, total, start, show) as progress:
            for chunk in response.iter_raw():
                stream.write(chunk)
                stream.flush()
                progress.update(len(chunk))
        written = part.stat().st_size
    return (
        (True, "", None)
        if total is None or written == total
        else (False, f"the connection ended at {written} of {total} bytes", None)
    )


def _bytes(
    name: str, total: int | None, start: int, show: bool
) -> tqdm[None] | contextlib.nullcontext[_Silent]:
    return bar(name, total, "B", initial=start) if show else contextlib.nullcontext(_Silent())


class _Silent:
    def update(self, n: int) -> None:
        """Show nothing."""


def retry_after_seconds(retry_after: str) -> float | None:
    """How long ``Retry-After`` asks to wait: a number of seconds or a date."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (date - datetime.now(UTC if date.tzinfo else None)).total_seconds())


def _difference(path: Path, sha256: str | None, md5: str | None, size: int | None) -> str | None:
    """What is wrong with a file, or ``None``."""
    if size is not None and (actual := path.stat().st_size) != size:
        return f"{actual} bytes instead of {size}"
    for name, expected in (("sha256", sha256), ("md5", md5)):
        if expected is not None:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, name).hexdigest()
            if found != expected.lower():
                return f"the {name} is {found} instead of {expected}"
    return None


def download_coco_captions() -> Path:
    """The official ``captions_val2017.json``, downloaded once into the cache and checked."""
    target = cache_home() / "data" / "coco" / "captions_val2017.json"
    if target.exists():
        return target
    note(f"captions_val2017.json is not here: downloading {COCO_ANNOTATIONS} (241 MB, once)")
    archive = download(COCO_ANNOTATIONS, target.with_name("annotations_trainval2017.zip"))
    try:
        with zipfile.ZipFile(archive) as opened:
            data = opened.read("annotations/captions_val2017.json")
    except (zipfile.BadZipFile, KeyError) as error:
        archive.unlink()
        raise DataError(
            f"{archive} is not the annotations archive: {error}", "run the same command again"
        ) from None
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != COCO_CAPTIONS_MD5:
        archive.unlink()
        raise DataError(
            f"{COCO_ANNOTATIONS}: captions_val2017.json is not the official file",
            "run the same command again",
        )
    with atomic_path(target) as part:
        part.write_bytes(data)
    archive.unlink()
    return target


def download_images(
    rows: Iterable[Mapping[str, Any]],
    folder: Path,
    workers: int = 8,
    *,
    attempts: int = 5,
    pause: float = 1.0,
) -> list[str]:
    """Download gallery pictures (``image_id``, ``file_name``, ``url``) that are not in ``folder`` yet.

    Every picture is decoded before it counts as there, also those that were there before, so that the same
    command continues after an interruption and repairs damaged files.

    Returns:
        The ids of the pictures that could not be had; the reason of each is said at the end.
    """
    from concurrent.futures import ThreadPoolExecutor

    from parabench.data.images import decode

    def fetch(row: Mapping[str, Any]) -> tuple[str, str] | None:
        image_id = str(row["image_id"])
        try:
            target = folder / _inside(image_id, row.get("file_name"))
            if not row.get("url"):
                raise DataError(f"image '{image_id}' has no url")
            if target.exists():
                try:
                    decode(target, image_id)
                    return None
                except DataError:
                    target.unlink()
            download(row["url"], target, attempts=attempts, pause=pause, show=False)
            try:
                decode(target, image_id)
            except DataError:
                target.unlink(missing_ok=True)
                raise
        except DataError as error:
            return image_id, str(error)
        return None

    wanted = list(rows)
    failed: list[tuple[str, str]] = []
    with ThreadPoolExecutor(workers) as pool, bar("pictures", len(wanted), "picture") as progress:
        for result in pool.map(fetch, wanted):
            progress.update()
            if result is not None:
                failed.append(result)
    for _, reason in failed:
        note(reason)
    return [image_id for image_id, _ in failed]


def _inside(image_id: str, file_name: str | None) -> str:
    name = file_name or f"{image_id}.jpg"
    if (
        PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).drive
        or ".." in PureWindowsPath(name).parts
    ):
        raise DataError(f"image '{image_id}': the file name '{name}' points outside the folder")
    return name
