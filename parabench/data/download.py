"""Downloads that resume, check what they got, and appear whole or not at all."""

from __future__ import annotations

import hashlib
import time
import zipfile
from pathlib import Path

from parabench.errors import DataError
from parabench.progress import bar, note
from parabench.storage import atomic_path, cache_home, disk_errors

COCO_ANNOTATIONS = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"
COCO_CAPTIONS_MD5 = "176452de5364139ed60f607cfa663196"
_RETRY = (408, 425, 429, 500, 502, 503, 504)


def download(
    url: str, target: Path, *, sha256: str | None = None, md5: str | None = None, size: int | None = None,
    attempts: int = 5, pause: float = 1.0,
) -> Path:  # fmt: skip
    """Download ``url`` to ``target``, unless it is there already.

    A cut connection continues where it stopped (also in the next run); a server that ignores ranges is
    read from the start; 429 and 5xx are waited out as ``Retry-After`` asks.

    Args:
        url: http or https.
        target: where the file goes.
        sha256, md5, size: what the file must be; a wrong file is deleted and never used.
        attempts: tries without progress before giving up.
        pause: seconds before the second try; doubles each time.

    Raises:
        DataError: the file can't be had, or is not what it must be.
    """
    import httpx

    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url} is not an http address")
    if target.exists():
        return target
    part = target.with_name(f"{target.name}.partial")
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        failures, problem = 0, ""
        while failures < attempts:
            before = part.stat().st_size if part.exists() else 0
            wait = pause * 2**failures
            try:
                complete, problem, asked = _continue(url, part, before)
                if complete:
                    break
                wait = asked if asked is not None else wait
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
            advanced = part.exists() and part.stat().st_size > before
            failures = 0 if advanced else failures + 1
            if failures and failures < attempts:
                time.sleep(min(wait, 60))
        else:
            raise DataError(f"{url} could not be downloaded: {problem}", "check the network and run the same command again: it continues")
        _verify(part, url, sha256, md5, size)
        part.replace(target)
    return target


def _continue(url: str, part: Path, have: int) -> tuple[bool, str, float | None]:
    """One request: ``(complete, problem, seconds to wait)``."""
    import httpx

    headers = {"Range": f"bytes={have}-"} if have else {}
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as response:
        if response.status_code == 416:  # the part is as long as the file, or longer: start again
            part.unlink(missing_ok=True)
            return False, "the server refused the range", 0.0
        if response.status_code in _RETRY:
            asked = response.headers.get("Retry-After", "")
            return False, f"HTTP {response.status_code}", float(asked) if asked.isdigit() else None
        if response.status_code >= 400:
            raise DataError(f"{url} could not be downloaded: HTTP {response.status_code}", "check the address")
        start = have if response.status_code == 206 else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None and length.isdigit() else None
        with part.open("ab" if start else "wb") as stream, bar(part.stem, total, "B", initial=start) as progress:
            for chunk in response.iter_raw():
                stream.write(chunk)
                progress.update(len(chunk))
        written = part.stat().st_size
    return (True, "", None) if total is None or written == total else (False, f"the connection ended at {written} of {total} bytes", None)


def _verify(part: Path, url: str, sha256: str | None, md5: str | None, size: int | None) -> None:
    if size is not None and part.stat().st_size != size:
        actual = part.stat().st_size
        part.unlink()
        raise DataError(f"{url} gave {actual} bytes instead of {size}", "run the same command again")
    for name, expected in (("sha256", sha256), ("md5", md5)):
        if expected is not None:
            with part.open("rb") as stream:
                actual_sum = hashlib.file_digest(stream, name).hexdigest()
            if actual_sum != expected:
                part.unlink()
                raise DataError(f"{url}: the {name} is {actual_sum} instead of {expected}", "run the same command again")


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
        raise DataError(f"{archive} is not the annotations archive: {error}", "run the same command again") from None
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != COCO_CAPTIONS_MD5:
        raise DataError(f"{archive}: captions_val2017.json is not the official file", "delete it and run the same command again")
    with atomic_path(target) as part:
        part.write_bytes(data)
    return target


def download_images(rows: list[dict[str, str]], folder: Path, workers: int = 8) -> list[str]:
    """Download gallery pictures (``image_id``, ``file_name``, ``url``) that are not in ``folder``; ids that failed.

    Every picture is decoded before it counts as there.
    """
    from concurrent.futures import ThreadPoolExecutor

    from parabench.data.images import decode

    def fetch(row: dict[str, str]) -> str | None:
        target = folder / Path(row["file_name"]).name
        try:
            download(row["url"], target)
            decode(target, row["image_id"])
        except DataError as error:
            if target.exists():
                target.unlink()
            note(str(error))
            return row["image_id"]
        return None

    with ThreadPoolExecutor(workers) as pool, bar("pictures", len(rows), "picture") as progress:
        failed = []
        for result in pool.map(fetch, rows):
            progress.update()
            if result is not None:
                failed.append(result)
    return failed
