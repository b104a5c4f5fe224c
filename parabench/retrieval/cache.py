"""The embedding cache: one SQLite file an encoder fingerprint, every row verified when it is read.

SQLite gives what a cache needs and files of our own would not: a batch is there whole or not at all
after kill -9, and two processes may share it.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from parabench.encoders.protocol import FloatMatrix
from parabench.errors import ParabenchError
from parabench.storage import cache_home, database_error, disk_errors, sha256_text

Modality = Literal["text", "image"]

_FORMAT = "1"
_ELSEWHERE = "point $PARABENCH_CACHE elsewhere or pass --no-cache"
_LOOKUP = 500  # SQLite's oldest limit on variables a statement is 999


class EmbeddingCache:
    """Vectors of one encoder, by modality and content hash.

    Args:
        fingerprint: the encoder's; its hash names the file and it is stored in it and in every row's check.
        dim: length of a vector.
        folder: where the files lie; ``cache_home()/"embeddings"`` by default.
        rebuild: forget what is stored and start again.

    Raises:
        ParabenchError: the file or a row is not what was written (never a silent wrong vector).
    """

    def __init__(self, fingerprint: str, dim: int, *, folder: Path | None = None, rebuild: bool = False) -> None:
        self.fingerprint, self.dim = fingerprint, dim
        folder = cache_home() / "embeddings" if folder is None else folder
        name = fingerprint if re.fullmatch(r"[0-9a-f]{64}", fingerprint) else sha256_text(fingerprint)
        self.path = folder / f"{name[:32]}.sqlite"
        with disk_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        if rebuild:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS vectors (modality TEXT, content TEXT, vector BLOB NOT NULL,"
                " verify BLOB NOT NULL, PRIMARY KEY (modality, content)) WITHOUT ROWID"
            )
            identity = {"format": _FORMAT, "fingerprint": fingerprint, "dim": str(dim)}
            with self._db:
                self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", identity.items())
            if dict(self._db.execute("SELECT name, value FROM meta")) != identity:
                raise self._corrupt("it belongs to another encoder")
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def get(self, modality: Modality, contents: Sequence[str]) -> tuple[FloatMatrix, np.ndarray]:
        """Stored vectors for content hashes: ``(n, dim)`` float32 and a mask ``(n,)`` of the rows found."""
        vectors = np.zeros((len(contents), self.dim), np.float32)
        found = np.zeros(len(contents), bool)
        rows: dict[str, int] = {content: row for row, content in enumerate(contents)}
        wanted = list(rows)
        try:
            for start in range(0, len(wanted), _LOOKUP):
                part = wanted[start : start + _LOOKUP]
                marks = ",".join("?" * len(part))
                statement = f"SELECT content, vector, verify FROM vectors WHERE modality=? AND content IN ({marks})"
                for content, blob, verify in self._db.execute(statement, [modality, *part]):
                    if len(blob) != 4 * self.dim or verify != self._check(modality, content, blob):
                        raise self._corrupt(f"the {modality} entry {content[:12]}… does not match its checksum")
                    vectors[rows[content]] = np.frombuffer(blob, "<f4")
                    found[rows[content]] = True
        except (sqlite3.Error, TypeError) as error:
            raise self._problem(error) from error
        return vectors, found

    def put(self, modality: Modality, contents: Sequence[str], vectors: FloatMatrix) -> None:
        """Store one batch, whole or not at all."""
        blobs = [row.astype("<f4").tobytes() for row in vectors]
        try:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)",
                    [
                        (modality, content, blob, self._check(modality, content, blob))
                        for content, blob in zip(contents, blobs, strict=True)
                    ],
                )
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _check(self, modality: str, content: str, blob: bytes) -> bytes:
        key = f"{self.fingerprint}\0{modality}\0{content}\0".encode()
        return hashlib.blake2b(key + blob, digest_size=16).digest()

    def _corrupt(self, why: str) -> ParabenchError:
        return ParabenchError(
            f"corrupt embedding cache {self.path}: {why}", "run the same command with --rebuild-cache to embed again"
        )

    def _problem(self, error: Exception) -> ParabenchError:
        disk = database_error(error, "the embedding cache", self.path, _ELSEWHERE) if isinstance(error, sqlite3.Error) else None
        return disk or self._corrupt(str(error))
