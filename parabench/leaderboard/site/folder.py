"""The site's folder: only what a build made is ever replaced or removed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO

from parabench.errors import DataError
from parabench.storage import atomic_path, disk_errors, write_text

MANIFEST, JOURNAL = ".parabench-site.json", ".parabench-site.part"


class SiteFolder:
    """Writes files and remembers them; ``finish`` removes what an earlier build made and this one did not.

    Raises:
        DataError: ``out`` is a file, its list of files is damaged, or a foreign file is where one has to be written.
    """

    def __init__(self, out: Path) -> None:
        if out.exists() and not out.is_dir():
            raise DataError(f"{out} is a file", "choose another --out")
        self.out, self.written, self.kept = out, 0, 0
        self._earlier: dict[str, set[str]] = {}
        self._made: dict[str, str] = {}
        self._journal: IO[str] | None = None
        for name, digest in self._read():
            self._earlier.setdefault(name, set()).add(digest)

    def _read(self) -> list[tuple[str, str]]:
        """Every file that a build made or, if it was killed, was about to make."""
        path = self.out / MANIFEST
        try:
            told = list(json.loads(path.read_text(encoding="utf-8"))["files"].items()) if path.exists() else []
            told += [json.loads(line) for line in self._unfinished()]
            return [(str(name), str(digest)) for name, digest in told]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(f"{path} is damaged, so nobody knows which files a build made", "choose another --out") from error

    def _unfinished(self) -> list[str]:
        """The whole lines of the journal of a build that was killed."""
        path = self.out / JOURNAL
        return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file unless it is there already."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        digest, path = hashlib.sha256(data).hexdigest(), self.out / name
        self._made[name] = digest
        if path.exists() or path.is_symlink():
            held = None if path.is_symlink() or not path.is_file() else hashlib.sha256(path.read_bytes()).hexdigest()
            if held == digest:
                self.kept += 1
                return
            if held not in self._earlier.get(name, ()):
                raise DataError(f"{path} was not made by a build, or was changed after it", "choose another --out, or move that file away")
        # noted before it is written: a build that is killed leaves nothing that the next takes for foreign
        self._note(name, digest)
        with atomic_path(path, durable=False) as part:
            part.write_bytes(data)
        self.written += 1

    def _note(self, name: str, digest: str) -> None:
        path = self.out / JOURNAL
        if self._journal is None:
            write_text(path, "".join(f"{line}\n" for line in self._unfinished()))  # without a torn last line
        with disk_errors(path):
            self._journal = self._journal or path.open("a", encoding="utf-8", newline="\n")
            self._journal.write(json.dumps([name, digest]) + "\n")
            self._journal.flush()

    def finish(self) -> int:
        """Remove what only an earlier build made, and write the list of files; returns how many were removed."""
        removed = 0
        for name in sorted(self._earlier.keys() - self._made.keys()):
            path = self.out / name
            inside = path.resolve().is_relative_to(self.out.resolve())
            if inside and path.is_file() and not path.is_symlink() and hashlib.sha256(path.read_bytes()).hexdigest() in self._earlier[name]:
                path.unlink()
                removed += 1
        write_text(self.out / MANIFEST, json.dumps({"files": self._made}, indent=0, sort_keys=True) + "\n")
        if self._journal is not None:
            self._journal.close()
        (self.out / JOURNAL).unlink(missing_ok=True)
        return removed
