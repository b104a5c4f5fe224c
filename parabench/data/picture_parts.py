"""Pictures that are not whole files: a box of a picture, a member of a tar file."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from parabench.data.images import Pictures, decode
from parabench.errors import DataError
from parabench.storage import sha256_json

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class PictureBoxes:
    """Boxes of pictures.

    Attributes:
        photos: opens the whole pictures.
        boxes: image id → (id of the whole picture, its box); other ids are whole pictures.
    """

    photos: Pictures
    boxes: Mapping[str, tuple[str, Box]]

    def sha256(self, image_id: str) -> str:
        """Hash of the whole picture's file and of the box."""
        if image_id not in self.boxes:
            return self.photos.sha256(image_id)
        photo_id, box = self.boxes[image_id]
        return sha256_json([self.photos.sha256(photo_id), list(box)])

    def open(self, image_id: str) -> Image:
        """The box in mode RGB.

        Raises:
            DataError: the picture can't be opened, or the box lies outside it.
        """
        if image_id not in self.boxes:
            return self.photos.open(image_id)
        photo_id, box = self.boxes[image_id]
        whole = self.photos.open(photo_id)
        if box[0] >= whole.width or box[1] >= whole.height:
            raise DataError(
                f"image '{photo_id}': the box {box} lies outside its {whole.width}×{whole.height} pixels",
                "use the pictures of the size that the boxes were drawn on",
            )
        return whole.crop((box[0], box[1], min(box[2], whole.width), min(box[3], whole.height)))


@dataclass(frozen=True)
class Member:
    """Where the bytes of a file stand in a tar."""

    tar: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The bytes of the file."""
        with self.tar.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


@dataclass(frozen=True)
class TarPictures:
    """Pictures inside uncompressed tar files, read where they stand: nothing is unpacked to disk."""

    members: Mapping[str, Member]

    def sha256(self, image_id: str) -> str:
        """Hash of the file's bytes."""
        return hashlib.sha256(self.members[image_id].read()).hexdigest()

    def open(self, image_id: str) -> Image:
        """The picture in mode RGB; :class:`DataError` names one that can't be decoded, and its tar."""
        member = self.members[image_id]
        return decode(io.BytesIO(member.read()), image_id, f"{member.tar}: {member.name}")


def tar_samples(path: Path) -> Iterator[tuple[str, dict[str, Member]]]:
    """The samples of a webdataset shard: key → extension → file.

    A key is a file's name up to the first dot of its last part; files of one sample stand together.

    Raises:
        DataError: not a tar, damaged, cut short, or compressed.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            key, sample = "", dict[str, Member]()
            size = path.stat().st_size
            for entry in archive:
                if not entry.isfile() or PurePosixPath(entry.name).name.startswith("."):
                    continue
                if entry.offset_data + entry.size > size:
                    raise tarfile.ReadError(f"{entry.name} is cut short")
                folder, last = str(PurePosixPath(entry.name).parent), PurePosixPath(entry.name).name
                stem, _, extension = last.partition(".")
                own = stem if folder == "." else f"{folder}/{stem}"
                if own != key and sample:
                    yield key, sample
                    sample = {}
                key = own
                sample[extension.lower()] = Member(path, entry.name, entry.offset_data, entry.size)
            if sample:
                yield key, sample
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DataError(
            f"{path} is not a whole, uncompressed tar file: {error}", "download it again, or decompress it (gunzip)"
        ) from None
